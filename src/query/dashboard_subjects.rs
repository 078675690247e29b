//! What a dashboard can be made for: services and chains.

use std::fmt;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

/// What a dashboard is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A service that has jobs or sends heartbeats.
    Service(String),
    /// A chain.
    Chain {
        /// Its name.
        name: String,
        /// Its identity.
        genesis_hash: String,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(formatter, "service {name}"),
            Self::Chain { name, genesis_hash } => write!(formatter, "chain {name} {genesis_hash}"),
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    genesis_hash: Option<String>,
}

impl Row {
    fn subject(self) -> Subject {
        match self.genesis_hash {
            Some(genesis_hash) => Subject::Chain {
                name: self.name,
                genesis_hash,
            },
            None => Subject::Service(self.name),
        }
    }
}

/// All services and chains of a name, or the chain of a genesis hash.
///
/// # Errors
/// If the database is away.
pub fn find(conn: &mut PgConnection, name: &str) -> QueryResult<Vec<Subject>> {
    let rows: Vec<Row> = diesel::sql_query(include_str!("dashboard_subjects.sql"))
        .bind::<Nullable<Text>, _>(Some(name))
        .bind::<BigInt, _>(i64::MAX)
        .load(conn)?;
    Ok(rows.into_iter().map(Row::subject).collect())
}

/// Names of services and chains, at most so many.
///
/// # Errors
/// If the database is away.
pub fn known(conn: &mut PgConnection, limit: usize) -> QueryResult<Vec<String>> {
    let rows: Vec<Row> = diesel::sql_query(include_str!("dashboard_subjects.sql"))
        .bind::<Nullable<Text>, _>(None::<&str>)
        .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(conn)?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}
