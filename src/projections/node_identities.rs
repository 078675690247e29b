//! The projection `node_identities`: with which authority ids each node introduced itself, and when.
//!
//! Nodes tell their authority id to the sets that they vote in (`afg.authority_set`). Rows of
//! a session whose node is not known yet have its number, and move to the node when it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};

use super::beside::Table;
use super::identities::Identities;
use super::{Message, Occasion, Projection};
use crate::cluster::Job;
use crate::ids::SessionId;
use crate::store::SessionRow;
use crate::telemetry::AuthorityId;

/// Authority ids of one node; anybody can invent more.
const IDS_MAX: i64 = 100;

/// Longest time until what was read is written.
const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// When an id was told, and the last set that it was told with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    set_id: Option<i64>,
    is_in_set: bool,
}

/// Node, or session while the node is not known, and authority id.
type Key = (String, String, i64, String);

/// A row that waited for the node of its session.
#[derive(QueryableByName)]
struct Waited {
    #[diesel(sql_type = BigInt)]
    session_id: i64,
    #[diesel(sql_type = Text)]
    authority_id: String,
    #[diesel(sql_type = Timestamptz)]
    first_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    last_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<BigInt>)]
    authority_set_id: Option<i64>,
    #[diesel(sql_type = Bool)]
    is_in_set: bool,
}

/// The projection.
#[derive(Debug, Default)]
pub(super) struct NodeIdentities {
    told: HashMap<(SessionId, String), Told>,
    changed: HashSet<SessionId>,
    identities: Identities,
}

impl Projection for NodeIdentities {
    fn name(&self) -> &'static str {
        "node_identities"
    }

    fn job(&self) -> Job {
        Job::NodeIdentities
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[AuthorityId::KIND]
    }

    fn interval_max(&self) -> Duration {
        INTERVAL_MAX
    }

    fn fold(&mut self, message: Message<'_>) {
        let said = AuthorityId::from_fields(message.kind, message.fields.as_bytes());
        let Some(AuthorityId {
            id,
            set_id,
            is_in_set,
        }) = said
        else {
            return;
        };
        let told = Told {
            first_at: message.created_at,
            last_at: message.created_at,
            set_id,
            is_in_set,
        };
        let known = self.told.entry((message.session, id)).or_insert(told);
        known.merge(&told);
    }

    fn session(&mut self, session: &SessionRow, _occasion: Occasion) {
        self.changed.insert(session.id);
        self.identities.learn(session);
    }

    fn pending(&self) -> usize {
        self.told.len() + self.changed.len()
    }

    fn reported(&self) -> usize {
        self.told.len()
    }

    fn write(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let told = std::mem::take(&mut self.told);
        let changed = std::mem::take(&mut self.changed);
        self.identities
            .look_up(conn, told.keys().map(|(session, _)| *session))?;
        let take = "DELETE FROM node_identities WHERE peer_id = '' AND session_id = ANY($1) \
                    RETURNING session_id, authority_id, first_at, last_at, authority_set_id, is_in_set";
        let waited: Vec<Waited> = self.identities.take_waiting(conn, &changed, take)?;
        let waited = waited.into_iter().map(|row| {
            let told = Told {
                first_at: row.first_at,
                last_at: row.last_at,
                set_id: row.authority_set_id,
                is_in_set: row.is_in_set,
            };
            ((SessionId(row.session_id), row.authority_id), told)
        });
        let mut rows: BTreeMap<Key, Told> = BTreeMap::new();
        for ((session, id), told) in told.into_iter().chain(waited) {
            let key = self.key(session, id);
            rows.entry(key).or_insert(told).merge(&told);
        }
        add(conn, &rows)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn tables(&self) -> Vec<Table> {
        vec![Table::of_times("node_identities", "first_at")]
    }
}

impl NodeIdentities {
    fn key(&self, session: SessionId, id: String) -> Key {
        match self.identities.of(session) {
            Some(known) => {
                let node = &known.node;
                (node.peer_id.clone(), node.genesis_hash.clone(), 0, id)
            }
            None => (String::new(), String::new(), session.0, id),
        }
    }
}

impl Told {
    /// Puts two together; the order does not matter.
    fn merge(&mut self, other: &Self) {
        let rank = |told: &Self| (told.last_at, told.set_id, told.is_in_set);
        if rank(other) > rank(self) {
            (self.set_id, self.is_in_set) = (other.set_id, other.is_in_set);
        }
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
    }
}

fn add(conn: &mut PgConnection, rows: &BTreeMap<Key, Told>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    with_columns!(include_str!("node_identities_add.sql"), rows, |row|
        row.0.0.as_str() => Text,
        row.0.1.as_str() => Text,
        row.0.2 => BigInt,
        row.0.3.as_str() => Text,
        row.1.first_at => Timestamptz,
        row.1.last_at => Timestamptz,
        row.1.set_id => Nullable<BigInt>,
        row.1.is_in_set => Bool,
    )
    .bind::<BigInt, _>(IDS_MAX)
    .execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_set_counts_whatever_comes_first() {
        let told = |at: i64, set_id| Told {
            first_at: DateTime::from_timestamp(at, 0).unwrap(),
            last_at: DateTime::from_timestamp(at, 0).unwrap(),
            set_id: Some(set_id),
            is_in_set: set_id == 8,
        };
        let (mut one, mut other) = (told(1, 7), told(2, 8));
        one.merge(&told(2, 8));
        other.merge(&told(1, 7));
        assert_eq!(one, other);
        assert_eq!((one.set_id, one.is_in_set), (Some(8), true));
        assert_eq!(one.first_at, told(1, 0).first_at);
    }
}
