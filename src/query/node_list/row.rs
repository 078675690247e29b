//! A node of the list.

use chrono::{DateTime, Utc};
use diesel::deserialize;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::row::NamedRow;
use diesel::sql_types::{BigInt, Bool, Double, Nullable, Text, Timestamptz};
use serde::Serialize;
use utoipa::ToSchema;

use crate::locations::Location;
use crate::query::nodes::Node;
use crate::query::status::StateName;

/// A node: its latest session, what it reported last, and its status. What is not known is null.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct ListedNode {
    /// The node in its latest session.
    #[diesel(embed)]
    #[serde(flatten)]
    pub node: Node,
    /// Whether it is alive and well.
    #[diesel(sql_type = Text)]
    #[schema(value_type = StateName)]
    pub state: String,
    /// Why it changed to this.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(example = "silent")]
    pub state_reason: Option<String>,
    /// Since when it is so; of a silent node the arrival of its last message.
    #[diesel(sql_type = Timestamptz)]
    pub state_since: DateTime<Utc>,
    /// Whether something is wrong with it, or it went offline within a day.
    #[diesel(sql_type = Bool)]
    pub attention: bool,
    /// Number of its best block.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub best_height: Option<i64>,
    /// Hash of that block.
    #[diesel(sql_type = Nullable<Text>)]
    pub best_hash: Option<String>,
    /// Arrival of the first message that reported it.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub best_at: Option<DateTime<Utc>>,
    /// Number of its finalized block.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub finalized_height: Option<i64>,
    /// Hash of that block.
    #[diesel(sql_type = Nullable<Text>)]
    pub finalized_hash: Option<String>,
    /// Arrival of the first message that reported it.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub finalized_at: Option<DateTime<Utc>>,
    /// Blocks that it is behind its chain, as a fair part of its nodes sees it; null while it is not connected.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub behind: Option<i64>,
    /// Blocks between its best and its finalized block.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub finality_lag: Option<i64>,
    /// By how much its clock is ahead of the server's, milliseconds (negative: behind), by the least delayed of its last
    /// messages; null if it is not connected, or claims no time.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub clock_ahead_ms: Option<i64>,
    /// Where it is by its address.
    #[diesel(embed)]
    #[serde(flatten)]
    pub location: Location,
    /// The authority id with which it introduced itself last, as an address (SS58); what a node says is not proven.
    #[diesel(sql_type = Nullable<Text>)]
    pub authority_id: Option<String>,
    /// Whether that was one of the authority set then: a validator.
    #[diesel(sql_type = Nullable<Bool>)]
    pub is_in_authority_set: Option<bool>,
    /// Connected peers.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub peers: Option<i64>,
    /// Download, bytes per second.
    #[diesel(sql_type = Nullable<Double>)]
    pub download_bytes_per_s: Option<f64>,
    /// Upload, bytes per second.
    #[diesel(sql_type = Nullable<Double>)]
    pub upload_bytes_per_s: Option<f64>,
    /// Transactions in the pool.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub transactions: Option<i64>,
    /// State cache in use, bytes.
    #[diesel(sql_type = Nullable<Double>)]
    pub state_cache_bytes: Option<f64>,
    /// Share of the last `uptime_h` hours in which it was there, without outages of our own.
    #[diesel(sql_type = Nullable<Double>)]
    #[schema(minimum = 0, maximum = 1)]
    pub uptime: Option<f64>,
    #[diesel(sql_type = Timestamptz)]
    #[serde(skip)]
    pub(super) seen_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    #[serde(skip)]
    pub(super) session_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    #[serde(skip)]
    pub(super) sort_key: String,
}

/// It stands in no row, and is looked up for those who may see it.
impl QueryableByName<Pg> for Location {
    fn build<'a>(_row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        Ok(Self::default())
    }
}
