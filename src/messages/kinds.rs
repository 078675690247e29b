//! The dictionary of kinds: messages carry the number of theirs.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{Array, Nullable, SmallInt, Text};
use serde::Deserialize;

use super::MessageRow;
use crate::store::{UNLISTED, UNLISTED_NAME};

#[derive(QueryableByName)]
struct Kind {
    #[diesel(sql_type = SmallInt)]
    id: i16,
    #[diesel(sql_type = Text)]
    msg: String,
}

fn find(
    conn: &mut PgConnection,
    ids: Option<&[i16]>,
    names: Option<&[&str]>,
) -> QueryResult<Vec<Kind>> {
    diesel::sql_query(include_str!("kinds.sql"))
        .bind::<Nullable<Array<SmallInt>>, _>(ids)
        .bind::<Nullable<Array<Text>>, _>(names)
        .load(conn)
}

/// The kinds among `names` that were ever stored, by number.
///
/// # Errors
/// If the database cannot be read.
pub fn numbers(
    conn: &mut PgConnection,
    names: &[&'static str],
) -> QueryResult<HashMap<i16, &'static str>> {
    let known = find(conn, None, Some(names))?
        .into_iter()
        .filter_map(|kind| {
            let name = names.iter().find(|name| **name == kind.msg)?;
            Some((kind.id, *name))
        });
    Ok(known.collect())
}

/// The numbers of the kinds among `names` that were ever stored.
pub(super) fn of_names(conn: &mut PgConnection, names: &[&str]) -> QueryResult<Vec<i16>> {
    let found = find(conn, None, Some(names))?;
    Ok(found.into_iter().map(|kind| kind.id).collect())
}

/// The kinds of some messages, by number. Messages beyond the dictionary have the
/// name that it has for them all; [`unlisted_name`] reads theirs.
///
/// # Errors
/// If the database cannot be read.
pub fn names(conn: &mut PgConnection, rows: &[MessageRow]) -> QueryResult<HashMap<i16, String>> {
    let ids: BTreeSet<i16> = rows.iter().map(|row| row.kind_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids = Vec::from_iter(ids);
    let found = find(conn, Some(&ids), None)?;
    Ok(found.into_iter().map(|kind| (kind.id, kind.msg)).collect())
}

/// The name of a message beyond the dictionary, which stands among its fields.
pub fn unlisted_name(row: &MessageRow) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        msg: String,
    }
    if row.kind_id != UNLISTED {
        return None;
    }
    let named: Result<Named, _> = serde_json::from_str(row.fields());
    Some(named.map_or_else(|_| String::new(), |named| named.msg))
}

/// The messages of one kind, as a condition of statements.
#[derive(Debug, Clone, Default)]
pub struct KindFilter {
    /// Number of the kind and of those beyond the dictionary; none for all kinds.
    pub(super) ids: Option<Vec<i16>>,
    /// Name that a message beyond the dictionary has to have; none for any.
    pub(super) unlisted: Option<String>,
}

impl KindFilter {
    /// Looks a kind up; `None` stands for all. By its number the planner knows how
    /// rare it is.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn find(conn: &mut PgConnection, msg: Option<&str>) -> QueryResult<Self> {
        let Some(msg) = msg else {
            return Ok(Self::default());
        };
        // The entry itself means all kinds that share it.
        if msg == UNLISTED_NAME {
            return Ok(Self {
                ids: Some(vec![UNLISTED]),
                unlisted: None,
            });
        }
        let listed = find(conn, None, Some(&[msg]))?;
        let mut ids = vec![UNLISTED];
        ids.extend(listed.into_iter().map(|kind| kind.id));
        Ok(Self {
            ids: Some(ids),
            unlisted: Some(msg.to_owned()),
        })
    }
}
