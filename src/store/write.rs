//! Stores a batch: in one transaction, exactly once, and without letting one
//! bad message take its neighbours along.

use std::sync::Arc;

use diesel::ExecuteCopyFromDsl;
use diesel::copy_from;
use diesel::pg::CopyFormat;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, SmallInt, Text, Timestamptz};

use super::rows::{COPY_HEADER, COPY_TRAILER, RowView};
use super::schema::{
    ingest_batches, rejected_messages, telemetry_messages, telemetry_messages_audit,
};
use super::{Batch, Kinds, StoreError, sessions};
use crate::metrics::RejectReason;

/// Bytes of a refused message that are kept.
const REJECTED_BYTES_MAX: usize = 65_536;

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Messages that are stored.
    pub stored: usize,
    /// Messages that the database refused.
    pub rejected: Vec<RejectReason>,
    /// The batch was stored before; an answer was lost.
    pub recognised: bool,
}

/// What a writer knows of the server it works for.
#[derive(Debug, Clone)]
pub struct BatchOrigin {
    /// Name of the server.
    pub server_id: Arc<str>,
    /// `REJECTED_MESSAGES_MAX`.
    pub rejected_max: u64,
}

#[derive(QueryableByName)]
struct TriedRow {
    #[diesel(sql_type = Nullable<Text>)]
    sqlstate_code: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

/// Stores a batch.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Refused`] if nothing of it is
/// known to be stored: then it should be sent again, as it is.
pub fn store_batch(
    conn: &mut PgConnection,
    kinds: &Kinds,
    batch: &mut Arc<Batch>,
    origin: &BatchOrigin,
) -> Result<Outcome, StoreError> {
    let pending = batch.pending_kinds();
    if !pending.is_empty() {
        kinds.store(conn, &pending)?;
        // The batcher keeps the batch too, so this copies it; kinds are seldom new.
        for group in &mut Arc::make_mut(batch).groups {
            group.rows.fill_in_kinds(|index| kinds.stored(index));
        }
    }
    match store_whole(conn, batch, origin) {
        Ok(()) => Ok(Outcome {
            stored: batch.rows(),
            ..Outcome::default()
        }),
        Err(error) if is_stored_already(&error) => recognised(conn, batch),
        Err(error) if StoreError::concerns_connection(&error) => Err(error.into()),
        // Only the database knows whether a message is at fault or it itself.
        Err(_unclear) => store_in_pieces(conn, kinds, batch, origin),
    }
}

fn store_whole(conn: &mut PgConnection, batch: &Batch, origin: &BatchOrigin) -> QueryResult<()> {
    conn.transaction(|conn| {
        enter_batch(conn, batch, origin)?;
        for audit in [false, true] {
            let groups = batch.groups.iter().filter(|group| group.audit == audit);
            let slices: Vec<&[u8]> = groups.map(|group| group.rows.bytes()).collect();
            copy_rows(conn, audit, &slices)?;
        }
        // Last, so that rows which other transactions want are held shortly.
        sessions::upsert(conn, &batch.newest_sessions())
    })
}

fn enter_batch(conn: &mut PgConnection, batch: &Batch, origin: &BatchOrigin) -> QueryResult<()> {
    if let Some(span) = batch.span() {
        diesel::insert_into(ingest_batches::table)
            .values((
                ingest_batches::id.eq(span.ids.0.0),
                ingest_batches::last_id.eq(span.ids.1.0),
                ingest_batches::first_at.eq(span.times.0),
                ingest_batches::last_at.eq(span.times.1),
                ingest_batches::server_id.eq(&*origin.server_id),
            ))
            .execute(conn)?;
    }
    Ok(())
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

fn is_stored_already(error: &Error) -> bool {
    match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, about) => {
            about.constraint_name() == Some("ingest_batches_pkey")
        }
        _ => false,
    }
}

fn recognised(conn: &mut PgConnection, batch: &Batch) -> Result<Outcome, StoreError> {
    let rejected: i64 = match batch.id() {
        Some(id) => entry(id.0)
            .select(ingest_batches::rejected)
            .get_result(conn)?,
        None => 0,
    };
    let rejected = usize::try_from(rejected).unwrap_or(0);
    Ok(Outcome {
        stored: batch.rows().saturating_sub(rejected),
        rejected: vec![RejectReason::Data; rejected],
        recognised: true,
    })
}

/// Stores what can be stored, in the same one transaction: halves of halves,
/// until what cannot be stored stands alone.
fn store_in_pieces(
    conn: &mut PgConnection,
    kinds: &Kinds,
    batch: &Batch,
    origin: &BatchOrigin,
) -> Result<Outcome, StoreError> {
    conn.transaction(|conn| {
        enter_batch(conn, batch, origin)?;
        store_sessions_in_pieces(conn, batch)?;
        let mut outcome = Outcome::default();
        for group in &batch.groups {
            let slices = group.rows.slices();
            store_rows_in_pieces(conn, kinds, group.audit, &slices, &mut outcome)?;
        }
        if let Some(id) = batch.id().filter(|_| !outcome.rejected.is_empty()) {
            let count = i64::try_from(outcome.rejected.len()).unwrap_or(i64::MAX);
            diesel::update(entry(id.0))
                .set(ingest_batches::rejected.eq(count))
                .execute(conn)?;
            prune_rejected(conn, origin.rejected_max)?;
        }
        Ok(outcome)
    })
}

fn store_sessions_in_pieces(conn: &mut PgConnection, batch: &Batch) -> Result<(), StoreError> {
    for session in batch.newest_sessions() {
        let stored =
            conn.transaction(|conn| sessions::upsert(conn, std::slice::from_ref(&session)));
        match stored {
            Err(error) if StoreError::concerns_connection(&error) => return Err(error.into()),
            Err(error) => log::warn!(
                "session {} was refused by the database: {error}",
                session.id.0
            ),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn store_rows_in_pieces(
    conn: &mut PgConnection,
    kinds: &Kinds,
    audit: bool,
    rows: &[&[u8]],
    outcome: &mut Outcome,
) -> Result<(), StoreError> {
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
        Err(error) if StoreError::concerns_connection(&error) => Err(error.into()),
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
) -> Result<(), StoreError> {
    let Some(view) = RowView::read(row) else {
        debug_assert!(false, "rows are written by this program");
        outcome.rejected.push(RejectReason::Data);
        return Ok(());
    };
    let tried: TriedRow =
        diesel::sql_query("SELECT * FROM telemetry_try_store($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind::<Bool, _>(audit)
            .bind::<BigInt, _>(view.id.0)
            .bind::<Timestamptz, _>(view.created_at)
            .bind::<BigInt, _>(view.session.0)
            .bind::<SmallInt, _>(view.kind_id)
            .bind::<Nullable<Timestamptz>, _>(view.node_ts)
            .bind::<Nullable<Text>, _>(view.target)
            .bind::<Binary, _>(view.logs)
            .get_result(conn)?;
    let Some(sqlstate) = tried.sqlstate_code else {
        outcome.stored += 1;
        return Ok(());
    };
    let cause = tried.reason.unwrap_or_default();
    let Some(reason) = reject_reason(&sqlstate) else {
        return Err(StoreError::from_sqlstate(&sqlstate, cause));
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
