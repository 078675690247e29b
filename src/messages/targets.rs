//! Which targets the messages of a kind have.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text, Timestamptz};

use super::Window;
use crate::database::read_unlocked;

/// Messages of a target.
#[derive(Debug, QueryableByName)]
pub struct TargetCount {
    /// The target.
    #[diesel(sql_type = Text)]
    pub target: String,
    /// How many there are.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// The values of their field `name`, each once, in no order.
    #[diesel(sql_type = Array<Nullable<Text>>)]
    pub names: Vec<Option<String>>,
}

/// Counts the messages of a kind within a window by target, in no order; those of
/// some sessions, or of all.
///
/// # Errors
/// If the database cannot be read.
pub fn count_by_target(
    conn: &mut PgConnection,
    (kind, window): (i16, Window),
    sessions: Option<&[i64]>,
) -> QueryResult<Vec<TargetCount>> {
    read_unlocked(conn, |conn| {
        diesel::sql_query(include_str!("targets.sql"))
            .bind::<SmallInt, _>(kind)
            .bind::<Timestamptz, _>(window.from)
            .bind::<Timestamptz, _>(window.until)
            .bind::<Nullable<Array<BigInt>>, _>(sessions)
            .load(conn)
    })
}
