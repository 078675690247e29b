//! In which countries the nodes of a chain are, and at which providers.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::Share;
use crate::locations::Locations;
use crate::query::QueryError;

/// Countries, and providers, of an answer.
const VALUES_MAX: usize = 1_000;

/// Where the nodes of a chain are that are there, or were within a day, by their addresses.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChainLocations {
    /// How exactly the list of nodes says where they are: `country` or `city`; null if locations are not known
    /// (`GEOIP_DATABASE`) or not shown to who asks (`EXPOSE_LOCATIONS`), and all else is empty then.
    #[schema(example = "country")]
    pub precision: Option<&'static str>,
    /// Nodes.
    pub nodes: i64,
    /// Those of each country (ISO 3166-1), the most first; at most 1,000. Of the others it is not known.
    pub countries: Vec<Share>,
    /// Those of each provider of a network, as `countries`.
    pub providers: Vec<Share>,
}

#[derive(QueryableByName)]
struct AddressRow {
    #[diesel(sql_type = Text)]
    ip_addr: String,
    #[diesel(sql_type = BigInt)]
    nodes: i64,
}

/// Where the nodes of a chain are; without `locations` nothing is said.
///
/// # Errors
/// [`QueryError::NotFound`] for an unknown chain.
pub fn locations(
    conn: &mut PgConnection,
    chain: &str,
    locations: Option<&Locations>,
) -> Result<ChainLocations, QueryError> {
    let known = super::find(conn, chain)?;
    let mut rows: Vec<AddressRow> = Vec::new();
    let shown = locations.and_then(|locations| Some((locations, locations.precision()?)));
    if shown.is_some() {
        rows = diesel::sql_query(include_str!("locations.sql"))
            .bind::<Text, _>(&known.genesis_hash)
            .load(conn)?;
    }
    let mut nodes = 0;
    let (mut countries, mut providers) = (HashMap::new(), HashMap::new());
    for row in rows {
        nodes += row.nodes;
        let found = shown.map(|(locations, _)| locations.of(&row.ip_addr));
        let found = found.unwrap_or_default();
        let add = |counts: &mut HashMap<String, i64>, value: Option<String>| {
            if let Some(value) = value {
                *counts.entry(value).or_default() += row.nodes;
            }
        };
        add(&mut countries, found.country);
        add(&mut providers, found.provider);
    }
    Ok(ChainLocations {
        precision: shown.map(|(_, precision)| precision.name()),
        nodes,
        countries: ranked(countries),
        providers: ranked(providers),
    })
}

/// The most first.
fn ranked(counts: HashMap<String, i64>) -> Vec<Share> {
    let shares = counts.into_iter();
    let mut shares: Vec<Share> = shares
        .map(|(value, nodes)| Share { value, nodes })
        .collect();
    shares.sort_by(|one, other| {
        let by_nodes = other.nodes.cmp(&one.nodes);
        by_nodes.then_with(|| one.value.cmp(&other.value))
    });
    shares.truncate(VALUES_MAX);
    shares
}
