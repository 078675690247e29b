//! The numbers of chains, and of nodes that were the first to report a block.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};

use super::block::Reporter;
use crate::database::statement;
use crate::store::SessionRow;

/// Chains that get a number; anybody can invent one.
const CHAINS_MAX: i64 = 10_000;

/// Longest genesis hash in bytes; those of today have 66.
const GENESIS_BYTES_MAX: usize = 130;

/// Numbers that are remembered.
const KNOWN_MAX: usize = 100_000;

/// What is known of `chains` and `block_reporters`.
#[derive(Debug, Default)]
pub(super) struct Registry {
    chains: HashMap<String, i32>,
    reporters: HashMap<Reporter, i32>,
    names: HashMap<String, Name>,
}

/// The name of a chain, as the latest session says it.
#[derive(Debug, Default)]
struct Name {
    /// Start of the session, and the name.
    said: (DateTime<Utc>, String),
    is_written: bool,
}

#[derive(QueryableByName)]
struct ChainRow {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Text)]
    genesis_hash: String,
}

#[derive(QueryableByName)]
struct ReporterRow {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Text)]
    peer_id: String,
    #[diesel(sql_type = Text)]
    server_id: String,
}

impl Registry {
    /// Takes what a session says of its chain.
    pub(super) fn learn(&mut self, session: &SessionRow) {
        let (Some(genesis_hash), Some(name)) = (&session.facts.genesis_hash, &session.facts.chain)
        else {
            return;
        };
        if self.names.len() > KNOWN_MAX {
            self.names.clear();
        }
        let said = (session.created_at, name.clone());
        let known = self.names.entry(genesis_hash.clone()).or_default();
        if said > known.said {
            *known = Name {
                said,
                is_written: false,
            };
        }
    }

    /// The numbers of chains, of those that have or get one.
    pub(super) fn chains(
        &mut self,
        conn: &mut PgConnection,
        asked: HashSet<&str>,
    ) -> QueryResult<HashMap<String, i32>> {
        if self.chains.len() > KNOWN_MAX {
            self.chains.clear();
        }
        let is_sane = |hash: &&str| !hash.is_empty() && hash.len() <= GENESIS_BYTES_MAX;
        let asked: Vec<&str> = asked.into_iter().filter(is_sane).collect();
        let is_due = |hash: &&&str| {
            let name = self.names.get(**hash);
            !self.chains.contains_key(**hash) || name.is_some_and(|name| !name.is_written)
        };
        let due: Vec<(&str, Option<&Name>)> = asked
            .iter()
            .filter(is_due)
            .map(|hash| (*hash, self.names.get(*hash)))
            .collect();
        if !due.is_empty() {
            let rows: Vec<ChainRow> = with_columns!(include_str!("chains.sql"), due, |chain|
                chain.0 => Text,
                chain.1.map(|name| name.said.1.as_str()) => Nullable<Text>,
                chain.1.map(|name| name.said.0) => Nullable<Timestamptz>,
            )
            .bind::<BigInt, _>(CHAINS_MAX)
            .load(conn)?;
            self.chains
                .extend(rows.into_iter().map(|row| (row.genesis_hash, row.id)));
            for hash in &asked {
                if let Some(name) = self.names.get_mut(*hash) {
                    name.is_written = true;
                }
            }
        }
        let numbers = asked.into_iter();
        let numbers = numbers.filter_map(|hash| Some((hash.to_owned(), *self.chains.get(hash)?)));
        Ok(numbers.collect())
    }

    /// Has the numbers of some reporters ready.
    pub(super) fn meet<'a>(
        &mut self,
        conn: &mut PgConnection,
        reporters: impl Iterator<Item = &'a Reporter>,
    ) -> QueryResult<()> {
        if self.reporters.len() > KNOWN_MAX {
            self.reporters.clear();
        }
        let unknown = reporters.filter(|reporter| !self.reporters.contains_key(*reporter));
        let unknown: HashSet<&Reporter> = unknown.collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let texts = |text: fn(&Reporter) -> &str| {
            unknown
                .iter()
                .map(|reporter| text(reporter))
                .collect::<Vec<_>>()
        };
        let rows: Vec<ReporterRow> = statement(include_str!("reporters.sql"))
            .bind::<Array<Text>, _>(texts(|reporter| &reporter.peer_id))
            .bind::<Array<Text>, _>(texts(|reporter| &reporter.server_id))
            .load(conn)?;
        for row in rows {
            let reporter = Reporter {
                peer_id: row.peer_id.into(),
                server_id: row.server_id.into(),
            };
            self.reporters.insert(reporter, row.id);
        }
        Ok(())
    }

    /// The number of a reporter that is ready.
    pub(super) fn number(&self, reporter: &Reporter) -> Option<i32> {
        self.reporters.get(reporter).copied()
    }
}
