//! The tables of blocks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, SmallInt, Text, Timestamptz};

use crate::database::statement;

use super::block::{self, Block, BlockKey, Reporter, Sighting, Sums};
use super::registry::Registry;
use super::{Hour, Losses, Report};

/// Stale hours that are remembered.
const STALE_MAX: usize = 100_000;

/// Hours that are added up at once, about 10 ms each.
const HOURS_AT_ONCE: i64 = 100;

#[derive(QueryableByName)]
struct BlockRow {
    #[diesel(sql_type = Integer)]
    chain_id: i32,
    #[diesel(sql_type = BigInt)]
    height: i64,
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
    #[diesel(sql_type = Timestamptz)]
    first_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    first_peer_id: String,
    #[diesel(sql_type = Text)]
    first_server_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    author_peer_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    author_server_id: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    arrivals: Option<Vec<u8>>,
}

#[derive(QueryableByName)]
struct HourRow {
    #[diesel(sql_type = Integer)]
    chain_id: i32,
    #[diesel(sql_type = Timestamptz)]
    hour: Hour,
}

/// Reads blocks that were written.
pub(super) fn load(
    conn: &mut PgConnection,
    keys: &BTreeSet<BlockKey>,
) -> QueryResult<Vec<(BlockKey, Block)>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<BlockRow> = with_columns!(include_str!("load.sql"), keys, |key|
        key.chain_id => Integer,
        key.height => BigInt,
        key.hash.as_slice() => Binary,
    )
    .load(conn)?;
    let blocks = found.into_iter().filter_map(|row| {
        let key = BlockKey {
            chain_id: row.chain_id,
            height: row.height,
            hash: row.hash.try_into().ok()?,
        };
        let reporter = |(peer_id, server_id): (String, String)| Reporter {
            peer_id: peer_id.into(),
            server_id: server_id.into(),
        };
        let first = Sighting {
            at: row.first_at,
            reporter: reporter((row.first_peer_id, row.first_server_id)),
        };
        let author = row.author_peer_id.zip(row.author_server_id).map(reporter);
        Some((key, Block::written(row.arrivals.as_deref(), first, author)))
    });
    Ok(blocks.collect())
}

/// Writes blocks; returns the hours that changed.
pub(super) fn put(
    conn: &mut PgConnection,
    registry: &mut Registry,
    blocks: &mut BTreeMap<BlockKey, Block>,
    touched: &BTreeSet<BlockKey>,
) -> QueryResult<BTreeSet<(i32, Hour)>> {
    struct Row {
        key: BlockKey,
        first_at: DateTime<Utc>,
        first: i32,
        author: Option<i32>,
        sums: Sums,
        arrivals: Vec<u8>,
    }
    if touched.is_empty() {
        return Ok(BTreeSet::new());
    }
    let those = touched.iter().filter_map(|key| blocks.get(key));
    let reporters = those.flat_map(|block| {
        let first = block.first.as_ref().map(|first| &first.reporter);
        [first, block.author.as_ref()]
    });
    registry.meet(conn, reporters.flatten())?;
    let rows: Vec<Row> = touched
        .iter()
        .filter_map(|key| {
            let block = blocks.get_mut(key)?;
            let first = block.first.as_ref()?;
            let author = block.author.as_ref();
            Some(Row {
                key: *key,
                first_at: first.at,
                first: registry.number(&first.reporter)?,
                author: author.and_then(|author| registry.number(author)),
                sums: block.sums(),
                arrivals: block.take_fresh(),
            })
        })
        .collect();
    let hours: Vec<HourRow> = with_columns!(include_str!("put.sql"), rows, |row|
        row.key.chain_id => Integer,
        row.key.height => BigInt,
        row.key.hash.as_slice() => Binary,
        row.first_at => Timestamptz,
        row.first => Integer,
        row.author => Nullable<Integer>,
        row.sums.nodes => Integer,
        row.sums.own => Integer,
        row.sums.broadcast => Integer,
        row.sums.other => Integer,
        array(&row.sums.delays) => Text,
        row.arrivals.as_slice() => Binary,
    )
    .load(conn)?;
    Ok(hours
        .into_iter()
        .map(|row| (row.chain_id, row.hour))
        .collect())
}

/// Counts of buckets as PostgreSQL reads them: those of empty ones take no room.
fn array(counts: &[i32]) -> String {
    let counts = counts.iter().map(|count| match *count {
        0 => "NULL".to_owned(),
        count => count.min(i32::from(i16::MAX)).to_string(),
    });
    format!("{{{}}}", counts.collect::<Vec<_>>().join(","))
}

/// Keeps when blocks were finalized; returns the hours that changed.
pub(super) fn settle(
    conn: &mut PgConnection,
    finals: &BTreeMap<BlockKey, DateTime<Utc>>,
) -> QueryResult<BTreeSet<(i32, Hour)>> {
    if finals.is_empty() {
        return Ok(BTreeSet::new());
    }
    let hours: Vec<HourRow> = with_columns!(include_str!("settle.sql"), finals, |row|
        row.0.chain_id => Integer,
        row.0.height => BigInt,
        row.0.hash.as_slice() => Binary,
        *row.1 => Timestamptz,
    )
    .load(conn)?;
    Ok(hours
        .into_iter()
        .map(|row| (row.chain_id, row.hour))
        .collect())
}

/// Keeps reports of sessions whose node is not known.
pub(super) fn wait(
    conn: &mut PgConnection,
    reports: &[&(Report, DateTime<Utc>)],
) -> QueryResult<()> {
    if reports.is_empty() {
        return Ok(());
    }
    with_columns!(
        "INSERT INTO session_blocks AS n (session_id, height, hash, origin, at) \
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::smallint[], $5::timestamptz[]) \
         ON CONFLICT (session_id, height, hash, origin) DO UPDATE SET at = least(n.at, excluded.at)",
        reports, |row|
        row.0.session.0 => BigInt,
        row.0.height => BigInt,
        row.0.hash.as_slice() => Binary,
        row.0.origin.map_or(0, |origin| i16::from(block::number(origin))) => SmallInt,
        row.1 => Timestamptz,
    )
    .execute(conn)?;
    Ok(())
}

/// Counts what was left out.
pub(super) fn count(conn: &mut PgConnection, losses: &HashMap<i32, Losses>) -> QueryResult<()> {
    if losses.is_empty() {
        return Ok(());
    }
    with_columns!(
        "UPDATE chains c SET left_out_behind = c.left_out_behind + v.behind, left_out_ahead = c.left_out_ahead + v.ahead, \
         left_out_excess = c.left_out_excess + v.excess, left_out_late = c.left_out_late + v.late, left_out_malformed = c.left_out_malformed + v.malformed \
         FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS v (id, behind, ahead, excess, late, malformed) \
         WHERE c.id = v.id",
        losses, |row|
        *row.0 => Integer,
        row.1.behind => BigInt,
        row.1.ahead => BigInt,
        row.1.excess => BigInt,
        row.1.late => BigInt,
        row.1.malformed => BigInt,
    )
    .execute(conn)?;
    Ok(())
}

/// Marks hours as stale, of those that are not known to be.
pub(super) fn mark_stale(
    conn: &mut PgConnection,
    known: &mut BTreeSet<(i32, Hour)>,
    hours: &BTreeSet<(i32, Hour)>,
) -> QueryResult<()> {
    let fresh: Vec<(i32, Hour)> = hours.difference(known).copied().collect();
    if fresh.is_empty() {
        return Ok(());
    }
    with_columns!(
        "INSERT INTO chain_hours AS n (chain_id, hour, is_stale) SELECT chain_id, hour, true FROM unnest($1::integer[], $2::timestamptz[]) AS v (chain_id, hour) \
         ON CONFLICT (chain_id, hour) DO UPDATE SET is_stale = true WHERE NOT n.is_stale",
        fresh, |hour|
        hour.0 => Integer,
        hour.1 => Timestamptz,
    )
    .execute(conn)?;
    if known.len() > STALE_MAX {
        known.clear();
    }
    known.extend(fresh);
    Ok(())
}

/// Adds up hours that are over and stale; whether there are more.
pub(super) fn add_up(conn: &mut PgConnection, current: Hour) -> QueryResult<bool> {
    let added = statement(include_str!("add_up.sql"))
        .bind::<Timestamptz, _>(current)
        .bind::<BigInt, _>(HOURS_AT_ONCE)
        .execute(conn)?;
    Ok(i64::try_from(added).is_ok_and(|added| added >= HOURS_AT_ONCE))
}

/// Deletes what was kept for late messages, and is not any more.
pub(super) fn forget(conn: &mut PgConnection) -> QueryResult<()> {
    for table in ["block_arrivals", "block_finalities"] {
        diesel::sql_query(format!("DELETE FROM {table} WHERE kept_until < now()")).execute(conn)?;
    }
    Ok(())
}

/// Counts anew what is left out.
pub(super) fn forget_losses(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute(
        "UPDATE chains SET left_out_behind = 0, left_out_ahead = 0, left_out_excess = 0, left_out_late = 0, left_out_malformed = 0",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_buckets_are_written_without_those_that_are_empty() {
        assert_eq!(array(&[]), "{}");
        assert_eq!(
            array(&[0, 7, 32_767, 0, 32_768]),
            "{NULL,7,32767,NULL,32767}"
        );
    }
}
