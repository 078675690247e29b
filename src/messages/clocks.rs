//! The clocks of nodes, measured by their last messages.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Timestamptz};

use super::Window;

#[derive(QueryableByName)]
struct Clock {
    #[diesel(sql_type = BigInt)]
    session: i64,
    #[diesel(sql_type = BigInt)]
    ahead_ms: i64,
}

/// By how much the clock of each session's node is ahead of the server's, milliseconds (negative: behind).
///
/// The least delayed of its last messages within a window says so. Sessions whose messages
/// claim no time are left out.
///
/// # Errors
/// If the database cannot be read.
pub fn clocks(
    conn: &mut PgConnection,
    sessions: &[i64],
    window: Window,
) -> QueryResult<HashMap<i64, i64>> {
    let clocks: Vec<Clock> = diesel::sql_query(include_str!("clocks.sql"))
        .bind::<Array<BigInt>, _>(sessions)
        .bind::<Timestamptz, _>(window.from)
        .bind::<Timestamptz, _>(window.until)
        .load(conn)?;
    let clocks = clocks.into_iter();
    Ok(clocks
        .map(|clock| (clock.session, clock.ahead_ms))
        .collect())
}
