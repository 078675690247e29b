//! What one read of a socket gave.

use super::memory_budget::Reservation;
use crate::store::Group;

/// What a session takes of the memory budget, in bytes: its texts are bounded.
const SESSION_BYTES: usize = 2_048;

/// Its rows and changed sessions, which reserve memory together and stay together.
pub(super) struct SocketRead {
    pub(super) group: Group,
    /// Places of the introductions among the rows.
    pub(super) introductions: Vec<usize>,
}

impl SocketRead {
    /// What it takes of the memory budget.
    pub(super) fn reservation(&self) -> Reservation {
        Reservation {
            rows: self.group.rows.count(),
            bytes: self.group.rows.len() + self.group.sessions.len() * SESSION_BYTES,
            is_priority: false,
        }
    }
}
