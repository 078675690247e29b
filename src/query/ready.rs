//! Whether the database can be queried.

use diesel::prelude::*;

use super::QueryError;
use crate::messages;

/// What the database for queries looks like.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// It has what queries read; a replica may be behind.
    pub has_schema: bool,
}

/// Checks it.
///
/// # Errors
/// If it does not answer.
pub fn fetch(conn: &mut PgConnection) -> Result<Ready, QueryError> {
    Ok(Ready {
        has_schema: messages::are_readable(conn)?,
    })
}
