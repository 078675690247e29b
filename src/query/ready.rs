//! Whether questions can be answered.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::QueryError;

/// What the database for queries looks like.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub struct Ready {
    /// It has what queries read; a replica may be behind.
    #[diesel(sql_type = Bool)]
    pub has_schema: bool,
}

/// Asks the database.
///
/// # Errors
/// If it does not answer.
pub fn fetch(conn: &mut PgConnection) -> Result<Ready, QueryError> {
    let ready = diesel::sql_query(include_str!("ready.sql")).get_result(conn)?;
    Ok(ready)
}
