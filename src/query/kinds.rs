//! The numbers of kinds, by which messages are found.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, SmallInt, Text};

#[derive(QueryableByName)]
struct Kind {
    #[diesel(sql_type = SmallInt)]
    id: i16,
    #[diesel(sql_type = Text)]
    msg: String,
}

/// The numbers of those kinds that anyone ever sent.
pub(super) fn numbers(
    conn: &mut PgConnection,
    names: &[&'static str],
) -> QueryResult<HashMap<String, i16>> {
    let kinds: Vec<Kind> = diesel::sql_query(include_str!("kinds.sql"))
        .bind::<Array<Text>, _>(names)
        .load(conn)?;
    Ok(kinds.into_iter().map(|kind| (kind.msg, kind.id)).collect())
}
