//! Names of things, each of its own type, so that they cannot be swapped.

mod request;

use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use request::RequestId;

/// A row of `peer_connections`: one node id on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub i64);

/// Numbers of sessions of sources that post over HTTP: those of nodes count from 1, or are
/// below zero. JavaScript has numbers below 2^53 exactly.
const POSTED: std::ops::Range<i64> = 1 << 52..1 << 53;

impl SessionId {
    /// The session of all that a source posts over HTTP, or that is posted about a node, by a
    /// hash of the name: the messages stand together, and no row of `peer_connections` belongs
    /// to it.
    pub fn of_posts(name: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(name).into();
        let (first, _) = hash.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let place = u64::from_be_bytes(*first) & (POSTED.start.unsigned_abs() - 1);
        Self(POSTED.start | i64::try_from(place).unwrap_or(0))
    }

    /// Whether its messages were posted over HTTP.
    pub fn is_posted(self) -> bool {
        POSTED.contains(&self.0)
    }
}

/// A stored message; also names a batch. Grows with the time of
/// arrival at one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub i64);

/// A websocket connection, unique for one run of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionId(pub i64);

/// A value of `msg`, numbered by this process; see `store::Kinds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindIndex(pub u16);

/// A random number of the system, for what has to differ between servers and runs.
///
/// # Errors
/// If the system has no random numbers; the start looks for that.
pub fn random_number() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::from)
}
