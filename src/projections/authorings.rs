//! The projection `authorings`: the blocks that nodes say they built, also those that became none
//! of the chain.
//!
//! A block is told of twice: when it is prepared, and with its final hash when it is sealed. Rows of
//! a session whose node is not known yet have its number, and move to the node when it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bytea, Nullable, Text, Timestamptz};

use super::beside::Table;
use super::identities::Identities;
use super::{Message, Occasion, Projection};
use crate::cluster::Job;
use crate::ids::SessionId;
use crate::store::SessionRow;
use crate::telemetry::{Authoring, BlockHash};

/// Blocks of one node in an hour: one each three seconds; anybody can invent more.
const HOURLY_MAX: i64 = 1_200;

/// Longest time until what was read is written.
const INTERVAL_MAX: Duration = Duration::from_secs(10);

/// What is known of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Built {
    prepared_at: Option<DateTime<Utc>>,
    /// When it was sealed, and its hash then.
    sealed: Option<(DateTime<Utc>, BlockHash)>,
}

/// Height, and hash before the seal.
type BlockOf = (i64, BlockHash);

/// Node, or session while the node is not known, and block.
type Key = (String, String, i64, BlockOf);

/// A row that waited for the node of its session.
#[derive(QueryableByName)]
struct Waited {
    #[diesel(sql_type = BigInt)]
    session_id: i64,
    #[diesel(sql_type = BigInt)]
    height: i64,
    #[diesel(sql_type = Bytea)]
    prepared_hash: Vec<u8>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    prepared_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    sealed_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Bytea>)]
    hash: Option<Vec<u8>>,
}

/// The projection.
#[derive(Debug, Default)]
pub(super) struct Authorings {
    built: HashMap<(SessionId, BlockOf), Built>,
    changed: HashSet<SessionId>,
    identities: Identities,
}

impl Projection for Authorings {
    fn name(&self) -> &'static str {
        "authorings"
    }

    fn job(&self) -> Job {
        Job::Authorings
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[Authoring::PREPARED, Authoring::SEALED]
    }

    fn interval_max(&self) -> Duration {
        INTERVAL_MAX
    }

    fn fold(&mut self, message: Message<'_>) {
        let said = Authoring::from_fields(message.kind, message.fields.as_bytes());
        let Some(said) = said else {
            return;
        };
        let built = match said.sealed {
            None => Built {
                prepared_at: Some(message.created_at),
                sealed: None,
            },
            Some(hash) => Built {
                prepared_at: None,
                sealed: Some((message.created_at, hash)),
            },
        };
        let key = (message.session, (said.height, said.prepared));
        self.built.entry(key).or_default().merge(&built);
    }

    fn session(&mut self, session: &SessionRow, _occasion: Occasion) {
        self.changed.insert(session.id);
        self.identities.learn(session);
    }

    fn pending(&self) -> usize {
        self.built.len() + self.changed.len()
    }

    fn reported(&self) -> usize {
        self.built.len()
    }

    fn write(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let built = std::mem::take(&mut self.built);
        let changed = std::mem::take(&mut self.changed);
        self.identities
            .look_up(conn, built.keys().map(|(session, _)| *session))?;
        let take = "DELETE FROM authorings WHERE peer_id = '' AND genesis_hash = '' AND session_id = ANY($1) \
                    RETURNING session_id, height, prepared_hash, prepared_at, sealed_at, hash";
        let waited: Vec<Waited> = self.identities.take_waiting(conn, &changed, take)?;
        let waited = waited.into_iter().filter_map(Waited::read);
        let mut rows: BTreeMap<Key, Built> = BTreeMap::new();
        for ((session, block), built) in built.into_iter().chain(waited) {
            let (peer_id, genesis_hash, session_id) = self.node(session);
            let key = (peer_id, genesis_hash, session_id, block);
            rows.entry(key).or_default().merge(&built);
        }
        add(conn, &rows)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn tables(&self) -> Vec<Table> {
        vec![Table::of_times("authorings", "at")]
    }
}

impl Authorings {
    fn node(&self, session: SessionId) -> (String, String, i64) {
        match self.identities.of(session) {
            Some(known) => {
                let node = &known.node;
                (node.peer_id.clone(), node.genesis_hash.clone(), 0)
            }
            None => (String::new(), String::new(), session.0),
        }
    }
}

impl Waited {
    fn read(self) -> Option<((SessionId, BlockOf), Built)> {
        let hash = |bytes: Vec<u8>| BlockHash::try_from(bytes).ok();
        let built = Built {
            prepared_at: self.prepared_at,
            sealed: self.sealed_at.zip(self.hash.and_then(hash)),
        };
        let block = (self.height, hash(self.prepared_hash)?);
        Some(((SessionId(self.session_id), block), built))
    }
}

impl Built {
    /// Puts two together; the order does not matter.
    fn merge(&mut self, other: &Self) {
        self.prepared_at = earlier(self.prepared_at, other.prepared_at);
        self.sealed = earlier(self.sealed, other.sealed);
    }
}

fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn add(conn: &mut PgConnection, rows: &BTreeMap<Key, Built>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    with_columns!(include_str!("authorings_add.sql"), rows, |row|
        row.0.0.as_str() => Text,
        row.0.1.as_str() => Text,
        row.0.2 => BigInt,
        row.0.3.0 => BigInt,
        row.0.3.1.as_slice() => Bytea,
        row.1.prepared_at => Nullable<Timestamptz>,
        row.1.sealed.map(|(at, _)| at) => Nullable<Timestamptz>,
        row.1.sealed.as_ref().map(|(_, hash)| hash.as_slice()) => Nullable<Bytea>,
    )
    .bind::<BigInt, _>(HOURLY_MAX)
    .execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_block_is_put_together_in_any_order() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let prepared = Built {
            prepared_at: Some(at(1)),
            sealed: None,
        };
        let sealed = Built {
            prepared_at: None,
            sealed: Some((at(2), [7; 32])),
        };
        let again = Built {
            prepared_at: Some(at(9)),
            sealed: Some((at(9), [7; 32])),
        };
        let all = [prepared, sealed, again];
        let put = |order: [usize; 3]| {
            let mut built = Built::default();
            order.iter().for_each(|place| built.merge(&all[*place]));
            built
        };
        let whole = put([0, 1, 2]);
        assert_eq!(
            (whole.prepared_at, whole.sealed),
            (Some(at(1)), Some((at(2), [7; 32])))
        );
        for order in [[0, 2, 1], [1, 0, 2], [2, 1, 0]] {
            assert_eq!(put(order), whole);
        }
    }
}
