//! The machines under test.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::QueryError;
use super::params::ListQuery;
use crate::store::benchmarks::HostSystem;

/// The machines, in the order in which they were entered.
///
/// # Errors
/// If the database cannot be read.
pub fn fetch(conn: &mut PgConnection, query: &ListQuery) -> Result<Vec<HostSystem>, QueryError> {
    let systems = diesel::sql_query(include_str!("host_systems.sql"))
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(systems)
}
