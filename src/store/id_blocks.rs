//! Numbers for messages and sessions, handed out in memory from blocks that are
//! reserved in the database: a message has its identity before it is stored.
//!
//! One block is in use and one in reserve, so that a database that is away for
//! a while doesn't stop ingestion.

use std::ops::Range;
use std::sync::Mutex;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::ids::{MessageId, SessionId};

/// The blocks of this server.
#[derive(Debug)]
pub struct IdBlocks {
    messages: Blocks,
    sessions: Blocks,
}

#[derive(Debug)]
struct Blocks {
    sequence: &'static str,
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    current: Range<i64>,
    reserve: Range<i64>,
}

#[derive(QueryableByName)]
struct ReservedBlock {
    #[diesel(sql_type = BigInt)]
    first: i64,
    #[diesel(sql_type = BigInt)]
    length: i64,
}

impl Default for IdBlocks {
    fn default() -> Self {
        Self {
            messages: Blocks::of("telemetry_messages_id_seq"),
            sessions: Blocks::of("peer_connections_id_seq"),
        }
    }
}

impl IdBlocks {
    /// The next number of a message or a batch; none if all blocks are used up.
    pub fn next_message(&self) -> Option<MessageId> {
        self.messages.next().map(MessageId)
    }

    /// The next number of a session; none if all blocks are used up.
    pub fn next_session(&self) -> Option<SessionId> {
        self.sessions.next().map(SessionId)
    }

    /// Reserves blocks where the reserve is empty.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub fn refill(&self, conn: &mut PgConnection) -> QueryResult<()> {
        self.messages.refill(conn)?;
        self.sessions.refill(conn)
    }
}

impl Blocks {
    fn of(sequence: &'static str) -> Self {
        Self {
            sequence,
            free: Mutex::default(),
        }
    }

    fn next(&self) -> Option<i64> {
        let mut free = self.free.lock().ok()?;
        if free.current.is_empty() {
            free.current = std::mem::take(&mut free.reserve);
        }
        free.current.next()
    }

    fn refill(&self, conn: &mut PgConnection) -> QueryResult<()> {
        while self.free.lock().is_ok_and(|free| free.reserve.is_empty()) {
            let block: ReservedBlock = diesel::sql_query(
                "SELECT nextval($1::regclass) AS first, seqincrement AS length \
                 FROM pg_sequence WHERE seqrelid = $1::regclass",
            )
            .bind::<Text, _>(self.sequence)
            .get_result(conn)?;
            let block = block.first..block.first.saturating_add(block.length);
            let Ok(mut free) = self.free.lock() else {
                break;
            };
            if free.current.is_empty() {
                free.current = block;
            } else if free.reserve.is_empty() {
                free.reserve = block;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_in_the_reserve_and_end_with_it() {
        let blocks = Blocks::of("unused");
        assert_eq!(blocks.next(), None);
        *blocks.free.lock().unwrap() = Free {
            current: 1..3,
            reserve: 101..102,
        };
        let numbers: Vec<_> = std::iter::from_fn(|| blocks.next()).collect();
        assert_eq!(numbers, [1, 2, 101]);
    }
}
