//! Numbers for messages and sessions, handed out in memory from blocks that are
//! reserved in the database: a message has its identity before it is stored.
//!
//! One block is in use and one in reserve, so that a short outage changes nothing. When
//! both are used up, or the database was never
//! there, a block is made up: below zero, where the database reserves none, and
//! at random, so that two servers have one in 2^43 of making up the same.

use std::ops::Range;
use std::sync::Mutex;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::database::Connection;
use crate::ids::{MessageId, SessionId, random_number};

/// Length of a block that is made up.
const MADE_UP_LENGTH: i64 = 1 << 20;

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
    /// Consecutive numbers for so many messages: what is left of a block that is
    /// too short for them is not used.
    pub fn next_messages(&self, count: usize) -> impl Iterator<Item = MessageId> + use<> {
        self.messages.take(count).map(MessageId)
    }

    /// The next number of a session.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.sessions.next())
    }

    /// Reserves blocks where the reserve is empty.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub fn refill(&self, conn: &mut Connection) -> QueryResult<()> {
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

    fn next(&self) -> i64 {
        let Ok(mut free) = self.free.lock() else {
            return made_up_block().start;
        };
        if free.current.is_empty() {
            free.current = std::mem::take(&mut free.reserve);
        }
        if free.current.is_empty() {
            free.current = made_up_block();
        }
        free.current.next().unwrap_or_default()
    }

    fn take(&self, count: usize) -> Range<i64> {
        let count = i64::try_from(count).unwrap_or(MADE_UP_LENGTH);
        let fits = |block: &Range<i64>| block.end.saturating_sub(block.start) >= count;
        let Ok(mut free) = self.free.lock() else {
            let block = made_up_block();
            return block.start..block.start.saturating_add(count);
        };
        if !fits(&free.current) {
            free.current = std::mem::take(&mut free.reserve);
        }
        if !fits(&free.current) {
            free.current = made_up_block();
        }
        let start = free.current.start;
        free.current.start = start.saturating_add(count);
        start..free.current.start
    }

    fn refill(&self, conn: &mut Connection) -> QueryResult<()> {
        while self.free.lock().is_ok_and(|free| free.reserve.is_empty()) {
            let block: ReservedBlock = conn.transaction(|conn| {
                diesel::sql_query(
                    "SELECT nextval($1::regclass) AS first, seqincrement AS length \
                     FROM pg_sequence WHERE seqrelid = $1::regclass",
                )
                .bind::<Text, _>(self.sequence)
                .get_result(conn)
            })?;
            let block = block.first..block.first.saturating_add(block.length);
            let Ok(mut free) = self.free.lock() else {
                break;
            };
            // A block that was made up is not used up: reserved ones are better.
            if free.current.is_empty() || free.current.start < 0 {
                free.current = block;
            } else if free.reserve.is_empty() {
                free.reserve = block;
            }
        }
        Ok(())
    }
}

/// A block that is not reserved.
fn made_up_block() -> Range<i64> {
    // The start has checked that there are random numbers.
    let random = random_number().unwrap_or_default();
    let blocks = u64::try_from(i64::MAX).unwrap_or(u64::MAX) / MADE_UP_LENGTH.unsigned_abs();
    let number = i64::try_from(random % blocks).unwrap_or(0);
    let start = -(number + 1) * MADE_UP_LENGTH;
    start..start + MADE_UP_LENGTH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_in_the_reserve_and_then_in_a_block_below_zero() {
        let blocks = Blocks::of("unused");
        *blocks.free.lock().unwrap() = Free {
            current: 1..3,
            reserve: 101..102,
        };
        assert_eq!([blocks.next(), blocks.next(), blocks.next()], [1, 2, 101]);
        let first = blocks.next();
        assert!(first < 0 && first % MADE_UP_LENGTH == 0);
        assert_eq!(blocks.next(), first + 1);
        let other = made_up_block();
        *blocks.free.lock().unwrap() = Free {
            current: 1..3,
            reserve: 101..110,
        };
        assert_eq!(blocks.take(5), 101..106, "never over the end of a block");
        assert_eq!(blocks.take(4), 106..110);
        assert!(blocks.take(1).end <= 0);
        assert!(other.start < 0 && other.end <= 0 && other.start != first);
    }
}
