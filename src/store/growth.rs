//! How fast the messages grow on disk.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, Text, Timestamptz};

use super::partitions;

/// Newest partitions, the one of now included, that tell the present rate.
const RECENT_PARTITIONS: usize = 2;

/// Size of the messages, and how fast it grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// Bytes of all partitions, with their indexes.
    pub bytes: u64,
    /// Growth in the newest partitions, bytes per second; none while too little is
    /// known.
    pub bytes_per_s: Option<f64>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
    #[diesel(sql_type = BigInt)]
    recent_bytes: i64,
    #[diesel(sql_type = Nullable<Double>)]
    recent_s: Option<f64>,
}

/// Seconds of messages that tell a rate.
const KNOWN_S: f64 = 600.0;

/// Looks at the sizes of the partitions.
///
/// # Errors
/// If the database cannot be read.
pub fn growth(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Growth> {
    let all = partitions::list(conn)?;
    let begun = |one: &&partitions::Partition| !one.audit && one.start <= now;
    let recent: Vec<_> = all
        .iter()
        .filter(begun)
        .rev()
        .take(RECENT_PARTITIONS)
        .collect();
    let start = recent.last().map_or(now, |first| first.start);
    let names = |of: Vec<&partitions::Partition>| -> Vec<String> {
        of.into_iter().map(|one| one.name.clone()).collect()
    };
    let row: Row = diesel::sql_query(include_str!("growth.sql"))
        .bind::<Array<Text>, _>(names(all.iter().collect()))
        .bind::<Array<Text>, _>(names(recent))
        .bind::<Timestamptz, _>(start)
        .get_result(conn)?;
    let known = row.recent_s.filter(|seconds| *seconds >= KNOWN_S);
    let recent_bytes = u32::try_from(row.recent_bytes >> 10).map(f64::from);
    Ok(Growth {
        bytes: u64::try_from(row.bytes).unwrap_or_default(),
        bytes_per_s: known.map(|seconds| recent_bytes.unwrap_or(f64::MAX) * 1_024.0 / seconds),
    })
}
