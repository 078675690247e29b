//! What is wrong now, from the tables of status, chains, servers and projections.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz};

use crate::config::StatusConfig;
use crate::database::statement;

/// Nodes of which something is found; more are counted in `alerts_nodes_left_out`.
pub(super) const NODES_MAX: i64 = 10_000;

/// A condition that holds.
#[derive(Debug, Clone, Default, PartialEq, QueryableByName)]
pub(super) struct Finding {
    /// The rule.
    #[diesel(sql_type = Text)]
    pub(super) rule: String,
    /// What it is about, for the rule.
    #[diesel(sql_type = Text)]
    pub(super) key: String,
    #[diesel(sql_type = Text)]
    pub(super) subject: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) peer_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) genesis_hash: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) chain: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) server_id: Option<String>,
    #[diesel(sql_type = Bool)]
    pub(super) authority: bool,
    /// What is wrong, in a sentence.
    #[diesel(sql_type = Text)]
    pub(super) summary: String,
    /// Since when it is so; none if that is not kept.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) since: Option<DateTime<Utc>>,
    /// Since when it is known to be so; none if that is not kept.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) held_since: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    peer_id: String,
    #[diesel(sql_type = Text)]
    genesis_hash: String,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    chain: Option<String>,
    #[diesel(sql_type = Text)]
    version: String,
}

/// What is wrong with nodes and servers.
///
/// # Errors
/// If the database cannot be read.
pub(super) fn of_nodes(
    conn: &mut PgConnection,
    config: &StatusConfig,
) -> QueryResult<Vec<Finding>> {
    statement(include_str!("find_nodes.sql"))
        .bind::<Double, _>(config.slash_risk().map_or(0.0, |risk| risk.as_secs_f64()))
        .bind::<Double, _>(config.session.as_secs_f64())
        .bind::<BigInt, _>(NODES_MAX)
        .load(conn)
}

/// What is wrong with chains, projections, versions and machines, which changes slowly.
///
/// # Errors
/// If the database cannot be read.
pub(super) fn of_chains(
    conn: &mut PgConnection,
    config: &StatusConfig,
) -> QueryResult<Vec<Finding>> {
    let mut found: Vec<Finding> = statement(include_str!("find_chains.sql"))
        .bind::<BigInt, _>(config.rules.finality_lag)
        .bind::<BigInt, _>(NODES_MAX)
        .load(conn)?;
    let minimum = config.minimum_versions();
    if !minimum.is_empty() {
        found.extend(of_versions(conn, &minimum)?);
    }
    Ok(found)
}

fn of_versions(
    conn: &mut PgConnection,
    minimum: &HashMap<&str, &str>,
) -> QueryResult<Vec<Finding>> {
    let chains: Vec<&str> = minimum.keys().copied().collect();
    let nodes: Vec<Version> = statement(include_str!("find_versions.sql"))
        .bind::<Array<Text>, _>(chains)
        .bind::<BigInt, _>(NODES_MAX)
        .load(conn)?;
    let old = nodes.into_iter().filter_map(|node| {
        let chain = node.chain.as_deref().unwrap_or_default();
        let wanted = minimum
            .get(node.genesis_hash.as_str())
            .or_else(|| minimum.get(chain))?;
        is_older(&node.version, wanted).then(|| Finding {
            rule: "version_below_minimum".to_owned(),
            key: format!("{}/{}", node.peer_id, node.genesis_hash),
            subject: "node".to_owned(),
            summary: format!("runs version {}, older than {wanted}", node.version),
            peer_id: Some(node.peer_id),
            genesis_hash: Some(node.genesis_hash).filter(|hash| !hash.is_empty()),
            name: node.name,
            chain: node.chain,
            ..Finding::default()
        })
    });
    Ok(old.collect())
}

/// Whether a version comes before another, by the numbers at its beginning: `1.10.0-abc`
/// comes after `1.9.3`. One without numbers is not compared.
fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| {
        let text = text.trim_start_matches('v');
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let head = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        let parts = head.split('.').map_while(|part| part.parse::<u64>().ok());
        let mut numbers: Vec<u64> = parts.collect();
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        numbers
    };
    let (version, than) = (numbers(version), numbers(than));
    !version.is_empty() && version < than
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, than, older) in [
            ("1.9.3", "1.10.0", true),
            ("1.10.0-deadbeef", "1.10.0", false),
            ("1.10", "1.10.0", false),
            ("v0.9.43-ba42b9ce51d", "0.9.44", true),
            ("2.0.0", "1.99.99", false),
            ("unknown", "1.0.0", false),
        ] {
            assert_eq!(is_older(version, than), older, "{version} {than}");
        }
    }
}
