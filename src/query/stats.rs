//! How large the database is.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::QueryError;
use super::params::ListQuery;

/// A table or an index.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Relation {
    /// Name.
    #[diesel(sql_type = Text)]
    #[schema(example = "peer_connections")]
    pub relation: String,
    /// `table` or `index`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// `size_bytes` for people.
    #[diesel(sql_type = Text)]
    #[schema(example = "12 MB")]
    pub size: String,
    /// Size without indexes, bytes.
    #[diesel(sql_type = BigInt)]
    pub size_bytes: i64,
    /// Size of the indexes of a table, bytes.
    #[diesel(sql_type = BigInt)]
    pub index_bytes: i64,
    /// Both together.
    #[diesel(sql_type = BigInt)]
    pub total_bytes: i64,
    /// Rows, as the database estimates.
    #[diesel(sql_type = BigInt)]
    pub rows_estimate: i64,
    /// The partitioned table or index of which this is a part. Its sizes are
    /// counted there too.
    #[diesel(sql_type = Nullable<Text>)]
    pub partition_of: Option<String>,
}

/// Sizes of tables and indexes, the largest first.
///
/// # Errors
/// If the database cannot be read.
pub fn fetch(conn: &mut PgConnection, query: &ListQuery) -> Result<Vec<Relation>, QueryError> {
    let relations = diesel::sql_query(include_str!("stats.sql"))
        .bind::<BigInt, _>(query.limit)
        .load(conn)?;
    Ok(relations)
}
