//! The messages as they were stored: those of batches, and those of a span.

use chrono::{DateTime, Utc};
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Timestamptz};

use super::MessageRow;
use crate::database::read_unlocked;
use crate::ids::SessionId;
use crate::store::{StoredBatch, partitions};

/// Increment of `telemetry_messages_id_seq`.
const ID_BLOCK_LENGTH: i64 = 1 << 20;

/// A message of a stream, as it was read from the database.
#[derive(Debug, QueryableByName)]
pub struct StreamedMessage {
    #[diesel(embed)]
    message: MessageRow,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    node_ts: Option<DateTime<Utc>>,
    #[diesel(sql_type = Bool)]
    audit: bool,
}

impl StreamedMessage {
    /// As those that are still in memory are seen.
    pub fn view(&self) -> MessageView<'_> {
        let row = &self.message;
        MessageView {
            id: row.id,
            created_at: row.created_at,
            session: SessionId(row.peer_connection_id),
            kind_id: row.kind_id,
            target: row.target.as_deref(),
            fields: row.fields(),
            node_ts: self.node_ts,
            audit: self.audit,
        }
    }
}

/// A message of a stream, wherever it lies.
#[derive(Debug, Clone, Copy)]
pub struct MessageView<'a> {
    /// Number.
    pub id: i64,
    /// Arrival at the server.
    pub created_at: DateTime<Utc>,
    /// Session.
    pub session: SessionId,
    /// Number of its kind.
    pub kind_id: i16,
    /// Field `target`.
    pub target: Option<&'a str>,
    /// Fields as JSON; empty where they are not wanted.
    pub fields: &'a str,
    /// What the node claimed to be the time.
    pub node_ts: Option<DateTime<Utc>>,
    /// From `/audit`.
    pub audit: bool,
}

/// Of which messages a stream has the fields.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Those of these kinds.
    pub kinds: &'a [i16],
    /// Those that may hold an event.
    pub events: bool,
}

/// Consecutive numbers of messages, and the span of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) ids: (i64, i64),
    pub(super) arrival: (DateTime<Utc>, DateTime<Utc>),
}

#[derive(QueryableByName)]
struct Earliest {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    created_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Here {
    #[diesel(sql_type = Bool)]
    has_messages: bool,
}

/// Gives the messages of some batches to `each`, one at a time: there may be very many;
/// fields only of those that are `wanted`. Index: `telemetry_messages_time_idx`.
///
/// # Errors
/// If the database cannot be read.
pub fn of_batches(
    conn: &mut PgConnection,
    batches: &[StoredBatch],
    wanted: Wanted<'_>,
    mut each: impl FnMut(MessageView<'_>),
) -> QueryResult<()> {
    for together in runs(batches).chunk_by(near) {
        let ids = |id: fn(&Run) -> i64| together.iter().map(id).collect::<Vec<i64>>();
        let from = together.iter().map(|run| run.arrival.0).min();
        let until = together.iter().map(|run| run.arrival.1).max();
        let statement = diesel::sql_query(include_str!("of_batches.sql"))
            .bind::<Array<BigInt>, _>(ids(|run| run.ids.0))
            .bind::<Array<BigInt>, _>(ids(|run| run.ids.1))
            .bind::<Nullable<Timestamptz>, _>(from)
            .bind::<Nullable<Timestamptz>, _>(until)
            .bind::<Array<SmallInt>, _>(wanted.kinds)
            .bind::<Bool, _>(wanted.events);
        for row in statement.load_iter::<StreamedMessage, PgRowByRowLoadingMode>(conn)? {
            each(row?.view());
        }
    }
    Ok(())
}

/// The messages that arrived in a span of time, up to but without its end; fields
/// only of those that are `wanted`. Index: `telemetry_messages_time_idx`.
///
/// # Errors
/// If the database cannot be read.
pub fn of_span(
    conn: &mut PgConnection,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    wanted: Wanted<'_>,
) -> QueryResult<Vec<StreamedMessage>> {
    diesel::sql_query(include_str!("of_span.sql"))
        .bind::<Timestamptz, _>(from)
        .bind::<Timestamptz, _>(until)
        .bind::<Array<SmallInt>, _>(wanted.kinds)
        .bind::<Bool, _>(wanted.events)
        .load(conn)
}

/// A time at or after `from` since when there are messages, with none between the
/// two; none if there is no message.
///
/// Goes through the partitions one after the other, and looks for one message in each
/// up to the first that has any. Index: `telemetry_messages_time_idx`.
///
/// # Errors
/// If the database cannot be read.
pub fn earliest(
    conn: &mut PgConnection,
    from: Option<DateTime<Utc>>,
) -> QueryResult<Option<DateTime<Utc>>> {
    let found = earliest_stray(conn, from)?;
    for partition in partitions::list(conn)? {
        let start = from.map_or(partition.start, |from| from.max(partition.start));
        if found.is_some_and(|found| found <= start) {
            break;
        }
        if partition.end <= start {
            continue;
        }
        let here: Here = read_unlocked(conn, |conn| {
            diesel::sql_query(
                "SELECT EXISTS (SELECT FROM telemetry_rows WHERE created_at >= $1 AND created_at < $2) AS has_messages",
            )
            .bind::<Timestamptz, _>(start)
            .bind::<Timestamptz, _>(partition.end)
            .get_result(conn)
        })?;
        if here.has_messages {
            return Ok(Some(start));
        }
    }
    Ok(found)
}

/// Since when the log is complete, except for audit messages, which may be older:
/// what arrived before is purged, or there was nothing. None without partitions.
///
/// # Errors
/// If the database cannot be read.
pub fn complete_since(conn: &mut PgConnection) -> QueryResult<Option<DateTime<Utc>>> {
    let stray = earliest_stray(conn, None)?;
    let all = partitions::list(conn)?;
    let oldest = all.iter().find(|partition| !partition.audit);
    let oldest = oldest.map(|partition| partition.start);
    Ok(oldest.into_iter().chain(stray).min())
}

/// From when on there may be messages; none if there are none. Costs 15 µs a partition.
///
/// # Errors
/// If the database cannot be read.
pub fn begin(conn: &mut PgConnection) -> QueryResult<Option<DateTime<Utc>>> {
    let stray = earliest_stray(conn, None)?;
    let first = partitions::list(conn)?.first().map(|first| first.start);
    Ok(first.into_iter().chain(stray).min())
}

/// The arrival of the oldest message outside of all partitions.
fn earliest_stray(
    conn: &mut PgConnection,
    from: Option<DateTime<Utc>>,
) -> QueryResult<Option<DateTime<Utc>>> {
    let found: Earliest = diesel::sql_query(include_str!("earliest_stray.sql"))
        .bind::<Nullable<Timestamptz>, _>(from)
        .get_result(conn)?;
    Ok(found.created_at)
}

/// Batches whose numbers follow each other become one run; runs are sorted by arrival.
pub(super) fn runs(batches: &[StoredBatch]) -> Vec<Run> {
    let mut sorted: Vec<(i64, i64, &StoredBatch)> = batches.iter().flat_map(pieces).collect();
    sorted.sort_unstable_by_key(|(first, _, _)| *first);
    let mut runs: Vec<Run> = Vec::new();
    for (first, last, batch) in sorted {
        let arrival = (batch.first_at, batch.last_at);
        match runs.last_mut() {
            Some(run) if run.ids.1 + 1 == first => {
                run.ids.1 = last;
                run.arrival = (run.arrival.0.min(arrival.0), run.arrival.1.max(arrival.1));
            }
            _ => runs.push(Run {
                ids: (first, last),
                arrival,
            }),
        }
    }
    runs.sort_unstable_by_key(|run| run.arrival);
    runs
}

/// The numbers of a batch. Those of version 1.0 go on in another block of numbers
/// where theirs ended; what lies between belongs to other servers.
fn pieces(batch: &StoredBatch) -> Vec<(i64, i64, &StoredBatch)> {
    let block = |id: i64| (id - 1).div_euclid(ID_BLOCK_LENGTH);
    if batch.id < 0 || block(batch.id) == block(batch.last_id) {
        return vec![(batch.id, batch.last_id, batch)];
    }
    let end = (block(batch.id) + 1) * ID_BLOCK_LENGTH;
    let start = block(batch.last_id) * ID_BLOCK_LENGTH + 1;
    vec![(batch.id, end, batch), (start, batch.last_id, batch)]
}

/// Whether it is cheaper to read both at once.
pub(super) fn near(one: &Run, next: &Run) -> bool {
    next.arrival.0 <= one.arrival.1 + chrono::TimeDelta::seconds(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_that_follow_each_other_are_read_together() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let batch = |id, last_id, second| StoredBatch {
            id,
            last_id,
            first_at: at(second),
            last_at: at(second + 1),
            transaction_id: 0,
        };
        let runs = runs(&[batch(11, 20, 2), batch(1, 10, 1), batch(500, 510, 90)]);
        assert_eq!(
            runs,
            [
                Run {
                    ids: (1, 20),
                    arrival: (at(1), at(3))
                },
                Run {
                    ids: (500, 510),
                    arrival: (at(90), at(91))
                }
            ]
        );
        assert!(!near(&runs[0], &runs[1]));
        let odd = batch(ID_BLOCK_LENGTH - 1, 2 * ID_BLOCK_LENGTH + 5, 1);
        let numbers: Vec<_> = pieces(&odd)
            .iter()
            .map(|piece| (piece.0, piece.1))
            .collect();
        assert_eq!(
            numbers,
            [
                (ID_BLOCK_LENGTH - 1, ID_BLOCK_LENGTH),
                (2 * ID_BLOCK_LENGTH + 1, 2 * ID_BLOCK_LENGTH + 5)
            ]
        );
    }
}
