//! The messages of some sessions and kinds in stored batches.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Timestamptz};

use super::stream::{near, runs};
use super::{MessageRow, kinds, unlisted_name};
use crate::store::{StoredBatch, UNLISTED};

/// Which messages are wanted.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Sessions; none for all. Messages whose session is not stored yet come too.
    pub sessions: Option<Vec<i64>>,
    /// Kinds; none for all. Messages beyond the dictionary come too.
    pub kinds: Option<Vec<String>>,
}

/// The selected messages of some batches, each with the name of its kind, in the
/// order of their numbers. Index: `telemetry_messages_time_idx`.
///
/// # Errors
/// If the database cannot be read.
pub fn selected(
    conn: &mut PgConnection,
    batches: &[StoredBatch],
    selection: &Selection,
) -> QueryResult<Vec<(MessageRow, String)>> {
    let wanted = match &selection.kinds {
        None => None,
        Some(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut ids = kinds::of_names(conn, &names)?;
            ids.push(UNLISTED);
            Some(ids)
        }
    };
    let mut rows = Vec::new();
    for together in runs(batches).chunk_by(near) {
        let first = together.iter().map(|run| run.ids.0);
        let last = together.iter().map(|run| run.ids.1);
        let found: Vec<MessageRow> = diesel::sql_query(include_str!("selected.sql"))
            .bind::<Array<BigInt>, _>(Vec::from_iter(first))
            .bind::<Array<BigInt>, _>(Vec::from_iter(last))
            .bind::<Nullable<Timestamptz>, _>(together.iter().map(|run| run.arrival.0).min())
            .bind::<Nullable<Timestamptz>, _>(together.iter().map(|run| run.arrival.1).max())
            .bind::<Nullable<Array<BigInt>>, _>(&selection.sessions)
            .bind::<Nullable<Array<SmallInt>>, _>(&wanted)
            .load(conn)?;
        rows.extend(found);
    }
    let names: HashMap<i16, String> = kinds::names(conn, &rows)?;
    let named = rows.into_iter().filter_map(|row| {
        let name = unlisted_name(&row).or_else(|| names.get(&row.kind_id).cloned())?;
        Some((row, name))
    });
    Ok(named.collect())
}
