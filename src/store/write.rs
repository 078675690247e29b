//! Stores batches: in one transaction, each exactly once, and without letting
//! one bad message take its neighbours along.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use diesel::Connection as _;
use diesel::ExecuteCopyFromDsl;
use diesel::copy_from;
use diesel::pg::CopyFormat;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text, Timestamptz};

use super::batch::BatchRange;
use super::node_time::NodeTime;
use super::rows::{COPY_HEADER, COPY_TRAILER, RowView};
use super::schema::{
    ingest_batches, rejected_messages, telemetry_messages, telemetry_messages_audit,
};
use super::{AuditMonths, Batch, Kinds, SessionRow, sessions};
use crate::database::{Connection, DatabaseError, WRITER_LOCK_TIMEOUT};
use crate::metrics::RejectReason;

/// From this age on the messages themselves tell whether a batch is stored: its entry may be
/// forgotten, as entries are after 30 days.
const OLD_AFTER: TimeDelta = TimeDelta::days(7);

/// Bytes of a refused message that are kept.
const REJECTED_BYTES_MAX: usize = 65_536;

/// What became of batches.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Messages that are stored.
    pub stored: usize,
    /// Messages that the database refused.
    pub rejected: Vec<RejectReason>,
    /// Batches that were stored before; an answer was lost.
    pub recognised: usize,
}

/// A batch as it is entered.
#[derive(Debug, Insertable)]
#[diesel(table_name = ingest_batches)]
struct Entry<'a> {
    id: i64,
    last_id: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    server_id: &'a str,
}

/// What all batches of a server have in common.
#[derive(Debug, Clone)]
pub struct WriteContext {
    /// Name of the server.
    pub server_id: Arc<str>,
    /// `REJECTED_MESSAGES_MAX`.
    pub rejected_max: u64,
    /// Months of `/audit` that have a partition.
    pub audit_months: Arc<AuditMonths>,
}

/// Batches by whether they are stored already.
struct Entered<'a> {
    /// Not stored before, with their numbers.
    new: Vec<(Option<i64>, &'a Batch)>,
    /// Stored before, or a second copy of a new one.
    recognised: Vec<(i64, &'a Batch)>,
    /// Stored before, and their entries are forgotten.
    forgotten: Vec<&'a Batch>,
}

#[derive(QueryableByName)]
struct TriedRow {
    #[diesel(sql_type = Nullable<Text>)]
    sqlstate_code: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

/// Stores batches, all in one transaction.
///
/// # Errors
/// [`DatabaseError::Unavailable`] or [`DatabaseError::Refused`] if nothing of them is
/// known to be stored: then they should be sent again, as they are.
pub fn store_batches(
    conn: &mut Connection,
    kinds: &Kinds,
    batches: &mut [Arc<Batch>],
    origin: &WriteContext,
) -> Result<Outcome, DatabaseError> {
    for batch in &mut *batches {
        let pending = batch.pending_kinds();
        if pending.is_empty() {
            continue;
        }
        kinds.store(conn, &pending)?;
        // The batcher keeps the batch too, so this copies it; kinds are seldom new.
        for group in &mut Arc::make_mut(batch).groups {
            group.rows.fill_in_kinds(|index| kinds.found(index));
        }
    }
    for at in audit_times(batches) {
        origin.audit_months.prepare(conn, at);
    }
    match store_whole(conn, batches, origin) {
        Ok(outcome) => Ok(outcome),
        Err(error) if DatabaseError::concerns_connection(&error) => Err(error.into()),
        // Whether a message or the database is at fault is found row by row.
        Err(_unclear) => store_in_pieces(conn, kinds, batches, origin),
    }
}

/// First and last arrival of each group from `/audit`.
fn audit_times(batches: &[Arc<Batch>]) -> Vec<DateTime<Utc>> {
    let groups = batches.iter().flat_map(|batch| &batch.groups);
    let times = groups.filter(|group| group.audit).flat_map(|group| {
        let all = || group.rows.views().map(|(row, _)| row.created_at);
        all().min().into_iter().chain(all().max())
    });
    times.collect()
}

fn store_whole(
    conn: &mut Connection,
    batches: &[Arc<Batch>],
    origin: &WriteContext,
) -> QueryResult<Outcome> {
    conn.transaction(|conn| {
        let Entered {
            new,
            recognised,
            forgotten,
        } = enter(conn, batches, origin)?;
        for audit in [false, true] {
            let groups = new.iter().flat_map(|(_, batch)| &batch.groups);
            let slices: Vec<&[u8]> = groups
                .filter(|group| group.audit == audit)
                .map(|group| group.rows.bytes())
                .collect();
            copy_rows(conn, audit, &slices)?;
        }
        // Last, so that rows which other transactions want are held shortly.
        sessions::upsert(conn, &newest_sessions(&new))?;
        let mut outcome = Outcome {
            stored: new.iter().map(|(_, batch)| batch.rows()).sum(),
            ..Outcome::default()
        };
        count_recognised(conn, &recognised, &mut outcome)?;
        count_forgotten(&forgotten, &mut outcome);
        Ok(outcome)
    })
}

/// Enters batches as stored; what is entered already is recognised.
fn enter<'a>(
    conn: &mut PgConnection,
    batches: &'a [Arc<Batch>],
    origin: &WriteContext,
) -> QueryResult<Entered<'a>> {
    let spans: Vec<Option<BatchRange>> = batches.iter().map(|batch| batch.span()).collect();
    let mut entries: Vec<Entry<'_>> = spans
        .iter()
        .flatten()
        .map(|span| Entry {
            id: span.ids.0.0,
            last_id: span.ids.1.0,
            first_at: span.times.0,
            last_at: span.times.1,
            server_id: &origin.server_id,
        })
        .collect();
    // So that two transactions never wait for each other in a circle.
    entries.sort_unstable_by_key(|entry| entry.id);
    let entered = match entries.as_slice() {
        [] => Vec::new(),
        entries => diesel::insert_into(ingest_batches::table)
            .values(entries)
            .on_conflict_do_nothing()
            .returning(ingest_batches::id)
            .get_results(conn)?,
    };
    let mut entered: HashSet<i64> = entered.into_iter().collect();
    let (mut new, mut recognised) = (Vec::with_capacity(batches.len()), Vec::new());
    let mut forgotten = Vec::new();
    for (batch, span) in batches.iter().zip(&spans) {
        match span {
            // The spool may hold two copies, and each number is entered once.
            Some(span) if !entered.remove(&span.ids.0.0) => {
                recognised.push((span.ids.0.0, &**batch));
            }
            Some(span) if is_forgotten(conn, span)? => forgotten.push(&**batch),
            Some(span) => new.push((Some(span.ids.0.0), &**batch)),
            None => new.push((None, &**batch)),
        }
    }
    Ok(Entered {
        new,
        recognised,
        forgotten,
    })
}

/// Whether a batch that was just entered is an old one whose messages are stored: its file
/// outlived its entry. Then it is none that is new to readers of changes either.
fn is_forgotten(conn: &mut PgConnection, span: &BatchRange) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    if Utc::now() - span.times.1 < OLD_AFTER {
        return Ok(false);
    }
    let Found { found } = diesel::sql_query(include_str!("holds_messages.sql"))
        .bind::<BigInt, _>(span.ids.0.0)
        .bind::<BigInt, _>(span.ids.1.0)
        .bind::<Timestamptz, _>(span.times.0)
        .bind::<Timestamptz, _>(span.times.1)
        .get_result(conn)?;
    if found {
        diesel::delete(entry(span.ids.0.0)).execute(conn)?;
    }
    Ok(found)
}

/// Counts what was stored, and rejected, of batches when they were new.
fn count_recognised(
    conn: &mut PgConnection,
    recognised: &[(i64, &Batch)],
    outcome: &mut Outcome,
) -> QueryResult<()> {
    for (number, batch) in recognised {
        let rejected: i64 = entry(*number)
            .select(ingest_batches::rejected)
            .get_result(conn)?;
        let rejected = usize::try_from(rejected).unwrap_or(0);
        outcome.stored += batch.rows().saturating_sub(rejected);
        let reasons = std::iter::repeat_n(RejectReason::Data, rejected);
        outcome.rejected.extend(reasons);
        outcome.recognised += 1;
    }
    Ok(())
}

/// Counts what was stored of batches whose entries are forgotten; how many of their
/// messages were rejected is forgotten with them.
fn count_forgotten(forgotten: &[&Batch], outcome: &mut Outcome) {
    outcome.stored += forgotten.iter().map(|batch| batch.rows()).sum::<usize>();
    outcome.recognised += forgotten.len();
}

/// The entry of a batch.
#[diesel::dsl::auto_type]
fn entry(id: i64) -> _ {
    ingest_batches::table.filter(ingest_batches::id.eq(id))
}

fn copy_rows(conn: &mut PgConnection, audit: bool, slices: &[&[u8]]) -> QueryResult<()> {
    if slices.iter().all(|slice| slice.is_empty()) {
        return Ok(());
    }
    let send = |to: &mut dyn std::io::Write| -> QueryResult<()> {
        let mut send_all = || {
            to.write_all(COPY_HEADER)?;
            for slice in slices {
                to.write_all(slice)?;
            }
            to.write_all(COPY_TRAILER)
        };
        send_all().map_err(|error: std::io::Error| Error::SerializationError(Box::new(error)))
    };
    if audit {
        use telemetry_messages_audit::{all_columns, table};
        let copy = copy_from(table).from_raw_data(all_columns, send);
        copy.with_format(CopyFormat::Binary).execute(conn)?;
    } else {
        use telemetry_messages::{all_columns, table};
        let copy = copy_from(table).from_raw_data(all_columns, send);
        copy.with_format(CopyFormat::Binary).execute(conn)?;
    }
    Ok(())
}

/// Stores what can be stored, in the same one transaction: halves of halves,
/// until what cannot be stored stands alone.
fn store_in_pieces(
    conn: &mut Connection,
    kinds: &Kinds,
    batches: &[Arc<Batch>],
    origin: &WriteContext,
) -> Result<Outcome, DatabaseError> {
    conn.transaction(|conn| {
        let Entered {
            new,
            recognised,
            forgotten,
        } = enter(conn, batches, origin)?;
        let mut outcome = Outcome::default();
        for (number, batch) in &new {
            let rejected_before = outcome.rejected.len();
            for audit in [false, true] {
                let groups = batch.groups.iter().filter(|group| group.audit == audit);
                let rows: Vec<&[u8]> = groups.flat_map(|group| group.rows.slices()).collect();
                let Some((first, rest)) = rows.split_first() else {
                    continue;
                };
                // The code of one row says whether the database is at fault.
                store_row(conn, kinds, audit, first, &mut outcome)?;
                store_rows_in_pieces(conn, kinds, audit, rest, &mut outcome)?;
            }
            let rejected = outcome.rejected.len() - rejected_before;
            if let Some(number) = number.filter(|_| rejected > 0) {
                diesel::update(entry(number))
                    .set(ingest_batches::rejected.eq(i64::try_from(rejected).unwrap_or(i64::MAX)))
                    .execute(conn)?;
                prune_rejected(conn, origin.rejected_max)?;
            }
        }
        store_sessions_in_pieces(conn, &new)?;
        count_recognised(conn, &recognised, &mut outcome)?;
        count_forgotten(&forgotten, &mut outcome);
        Ok(outcome)
    })
}

fn newest_sessions(new: &[(Option<i64>, &Batch)]) -> Vec<SessionRow> {
    let batches: Vec<&Batch> = new.iter().map(|(_, batch)| *batch).collect();
    Batch::newest_sessions(&batches)
}

fn store_sessions_in_pieces(
    conn: &mut PgConnection,
    new: &[(Option<i64>, &Batch)],
) -> Result<(), DatabaseError> {
    for session in newest_sessions(new) {
        let asked_at = Instant::now();
        let stored =
            conn.transaction(|conn| sessions::upsert(conn, std::slice::from_ref(&session)));
        let Err(error) = stored else {
            continue;
        };
        // The code is hidden here; a session that waited for a lock is not at fault.
        let was_busy = asked_at.elapsed() >= WRITER_LOCK_TIMEOUT;
        if was_busy || DatabaseError::concerns_connection(&error) {
            return Err(error.into());
        }
        log::warn!(
            "session {} was refused by the database: {error}",
            session.id.0
        );
    }
    Ok(())
}

fn store_rows_in_pieces(
    conn: &mut PgConnection,
    kinds: &Kinds,
    audit: bool,
    rows: &[&[u8]],
    outcome: &mut Outcome,
) -> Result<(), DatabaseError> {
    match rows {
        [] => return Ok(()),
        [row] => return store_row(conn, kinds, audit, row, outcome),
        _ => {}
    }
    match conn.transaction(|conn| copy_rows(conn, audit, rows)) {
        Ok(()) => {
            outcome.stored += rows.len();
            Ok(())
        }
        Err(error) if DatabaseError::concerns_connection(&error) => Err(error.into()),
        Err(_unclear) => {
            let (left, right) = rows.split_at(rows.len() / 2);
            store_rows_in_pieces(conn, kinds, audit, left, outcome)?;
            store_rows_in_pieces(conn, kinds, audit, right, outcome)
        }
    }
}

fn store_row(
    conn: &mut PgConnection,
    kinds: &Kinds,
    audit: bool,
    row: &[u8],
    outcome: &mut Outcome,
) -> Result<(), DatabaseError> {
    let Some(view) = RowView::read(row) else {
        debug_assert!(false, "rows are written by this program");
        outcome.rejected.push(RejectReason::Data);
        return Ok(());
    };
    let (node_ts, node_delta_us) = match view.node_time {
        NodeTime::Unknown => (None, None),
        NodeTime::Delta(delta_us) => (None, Some(delta_us)),
        NodeTime::Full(node_ts) => (Some(node_ts), None),
    };
    let tried: TriedRow =
        diesel::sql_query("SELECT * FROM telemetry_try_store($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind::<Bool, _>(audit)
            .bind::<BigInt, _>(view.id.0)
            .bind::<Timestamptz, _>(view.created_at)
            .bind::<BigInt, _>(view.session.0)
            .bind::<SmallInt, _>(view.kind_id)
            .bind::<Nullable<Timestamptz>, _>(node_ts)
            .bind::<Nullable<Text>, _>(view.target)
            .bind::<Binary, _>(view.logs)
            .bind::<Nullable<Integer>, _>(node_delta_us)
            .get_result(conn)?;
    let Some(sqlstate) = tried.sqlstate_code else {
        outcome.stored += 1;
        return Ok(());
    };
    let cause = tried.reason.unwrap_or_default();
    let Some(reason) = reject_reason(&sqlstate) else {
        return Err(DatabaseError::from_sqlstate(&sqlstate, cause));
    };
    log::debug!("message {} was refused: {sqlstate} {cause}", view.id.0);
    keep_rejected(conn, kinds, &view, &format!("{sqlstate}: {cause}"))?;
    outcome.rejected.push(reason);
    Ok(())
}

/// Whether a message is at fault, by the class of the error; see appendix A of
/// the manual of PostgreSQL.
fn reject_reason(sqlstate: &str) -> Option<RejectReason> {
    match sqlstate.get(..2)? {
        "22" => Some(RejectReason::Data),
        "23" | "P0" => Some(RejectReason::Constraint),
        "54" => Some(RejectReason::Limit),
        _ => None,
    }
}

fn keep_rejected(
    conn: &mut PgConnection,
    kinds: &Kinds,
    row: &RowView<'_>,
    reason: &str,
) -> QueryResult<()> {
    let cut = row.logs.get(..REJECTED_BYTES_MAX).unwrap_or(row.logs);
    diesel::insert_into(rejected_messages::table)
        .values((
            rejected_messages::id.eq(row.id.0),
            rejected_messages::created_at.eq(row.created_at),
            rejected_messages::peer_connection_id.eq(row.session.0),
            rejected_messages::msg.eq(kinds.name(row.kind_id)),
            rejected_messages::reason.eq(reason),
            rejected_messages::logs.eq(cut),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(())
}

fn prune_rejected(conn: &mut PgConnection, rejected_max: u64) -> QueryResult<()> {
    diesel::sql_query(
        "DELETE FROM rejected_messages WHERE id <= \
         (SELECT id FROM rejected_messages ORDER BY id DESC OFFSET $1 LIMIT 1)",
    )
    .bind::<BigInt, _>(i64::try_from(rejected_max).unwrap_or(i64::MAX))
    .execute(conn)?;
    Ok(())
}
