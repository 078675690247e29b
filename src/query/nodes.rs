//! The nodes that are known, each by its latest session.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::params;
use super::{PageCursor, QueryError};

/// Nodes in an answer; the default shows all nodes of the largest networks that
/// this server is made for.
const LIMIT: RangeInclusive<i64> = 1..=100_000;
const LIMIT_DEFAULT: i64 = 10_000;

/// Parameters.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodesParams {
    /// Only nodes whose latest session is on this chain: its name or its genesis hash.
    chain: Option<String>,
    /// Only nodes with this name.
    name: Option<String>,
    /// Only nodes that are connected (`true`), or are not (`false`).
    #[param(value_type = Option<bool>)]
    online: Option<String>,
    /// Nodes in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100_000, default = 10_000)]
    limit: Option<String>,
}

/// A query that needs no check again.
#[derive(Debug, Clone)]
pub struct NodesQuery {
    chain: Option<String>,
    name: Option<String>,
    online: Option<bool>,
    limit: i64,
}

impl TryFrom<NodesParams> for NodesQuery {
    type Error = QueryError;

    fn try_from(asked: NodesParams) -> Result<Self, QueryError> {
        Ok(Self {
            chain: params::text("chain", asked.chain.as_deref())?,
            name: params::text("name", asked.name.as_deref())?,
            online: params::flag("online", asked.online.as_deref())?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
        })
    }
}

/// A node as it was in its latest session. What it did not report is null.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Node {
    /// Number of the session; below zero if it began while the database was away.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Address from which the node connected; null without the right to see it.
    #[diesel(sql_type = Nullable<Text>)]
    pub ip_addr: Option<String>,
    /// libp2p identity.
    #[diesel(sql_type = Text)]
    pub peer_id: String,
    /// Start of the session.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// Connected to `/audit`: its messages are never purged.
    #[diesel(sql_type = Bool)]
    pub audit: bool,
    /// Name that the operator gave.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Name of the chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// Version of the software.
    #[diesel(sql_type = Nullable<Text>)]
    pub version: Option<String>,
    /// Whether the node is an authority.
    #[diesel(sql_type = Nullable<Bool>)]
    pub authority: Option<bool>,
    /// Start of the process, Unix milliseconds by the node's clock.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub startup_time: Option<i64>,
    /// Name of the software.
    #[diesel(sql_type = Nullable<Text>)]
    pub implementation: Option<String>,
    /// Tells apart the nodes of one process; null for the flat format.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub node_id: Option<i64>,
    /// Identity of the chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub genesis_hash: Option<String>,
    /// Operating system for which the node was built.
    #[diesel(sql_type = Nullable<Text>)]
    pub target_os: Option<String>,
    /// Processor architecture for which the node was built.
    #[diesel(sql_type = Nullable<Text>)]
    pub target_arch: Option<String>,
    /// C library for which the node was built.
    #[diesel(sql_type = Nullable<Text>)]
    pub target_env: Option<String>,
    /// Model of the processor.
    #[diesel(sql_type = Nullable<Text>)]
    pub cpu: Option<String>,
    /// Memory of the machine, bytes.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub memory_bytes: Option<i64>,
    /// Physical cores.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub core_count: Option<i64>,
    /// Version of the Linux kernel.
    #[diesel(sql_type = Nullable<Text>)]
    pub linux_kernel: Option<String>,
    /// Linux distribution.
    #[diesel(sql_type = Nullable<Text>)]
    pub linux_distro: Option<String>,
    /// Whether the node detected a virtual machine.
    #[diesel(sql_type = Nullable<Bool>)]
    pub is_virtual_machine: Option<bool>,
    /// Hardware benchmark: BLAKE2b-256 on one core, MiB/s.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub cpu_hashrate_score: Option<i64>,
    /// Hardware benchmark: BLAKE2b-256 on several cores, MiB/s.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub parallel_cpu_hashrate_score: Option<i64>,
    /// Hardware benchmark: cores used for the parallel score.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub parallel_cpu_cores: Option<i64>,
    /// Hardware benchmark: memory copy, MiB/s.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub memory_memcpy_score: Option<i64>,
    /// Hardware benchmark: sequential disk writes, MiB/s.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub disk_sequential_write_score: Option<i64>,
    /// Hardware benchmark: random disk writes, MiB/s.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub disk_random_write_score: Option<i64>,
    /// Time of the last message, to about a minute while connected.
    #[diesel(sql_type = Timestamptz)]
    pub last_seen_at: DateTime<Utc>,
    /// End of the session; null while connected.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub disconnected_at: Option<DateTime<Utc>>,
    /// Why the session ended; null while connected.
    #[diesel(sql_type = Nullable<Text>)]
    pub disconnect_reason: Option<String>,
    /// Whether the session is open.
    #[diesel(sql_type = Bool)]
    pub online: bool,
}

impl Node {
    /// Its place in lists of the newest sessions.
    pub(super) fn place(&self) -> PageCursor {
        PageCursor {
            created_at: self.created_at,
            id: self.id,
        }
    }
}

/// The nodes, the newest session first.
///
/// # Errors
/// If the database cannot be read.
pub fn fetch(conn: &mut PgConnection, query: &NodesQuery) -> Result<Vec<Node>, QueryError> {
    let nodes = diesel::sql_query(include_str!("nodes.sql"))
        .bind::<Nullable<Text>, _>(&query.chain)
        .bind::<Nullable<Text>, _>(&query.name)
        .bind::<Nullable<Bool>, _>(query.online)
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_parameter_is_named() {
        let bad = || Some("\0".to_owned());
        for (expected, params) in [
            (
                "chain",
                NodesParams {
                    chain: bad(),
                    ..NodesParams::default()
                },
            ),
            (
                "name",
                NodesParams {
                    name: bad(),
                    ..NodesParams::default()
                },
            ),
            (
                "online",
                NodesParams {
                    online: bad(),
                    ..NodesParams::default()
                },
            ),
            (
                "limit",
                NodesParams {
                    limit: bad(),
                    ..NodesParams::default()
                },
            ),
        ] {
            match NodesQuery::try_from(params) {
                Err(QueryError::Invalid { parameter, .. }) => assert_eq!(parameter, expected),
                other => panic!("{expected} was not refused: {other:?}"),
            }
        }
    }
}
