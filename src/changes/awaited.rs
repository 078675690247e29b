//! What a reader of this server waits for.

use std::sync::atomic::{AtomicI64, Ordering};

use super::Position;

/// The highest position that somebody in this server waits to see in the projections. Where
/// rows are put off to write many at once, this is when to write them.
#[derive(Debug, Default)]
pub struct Awaited(AtomicI64);

impl Awaited {
    /// Waits for all that was stored before `end`.
    pub fn expect(&self, end: Position) {
        self.0.fetch_max(end.0, Ordering::Relaxed);
    }

    /// Whether somebody waits for what comes after `position`.
    pub fn is_beyond(&self, position: Position) -> bool {
        self.0.load(Ordering::Relaxed) > position.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_position_that_anybody_expects_is_awaited() {
        let awaited = Awaited::default();
        assert!(!awaited.is_beyond(Position(0)));
        awaited.expect(Position(7));
        awaited.expect(Position(5));
        assert!(awaited.is_beyond(Position(6)));
        assert!(!awaited.is_beyond(Position(7)));
    }
}
