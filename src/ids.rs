//! Numbers that name things, each of its own type, so that they cannot be swapped.

use std::io;

use serde::{Deserialize, Serialize};

/// A row of `peer_connections`: one node id on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub i64);

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
