//! Frames on their way to a subscriber's connection, and when it took the last of them.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures::Stream;

/// Bytes of an empty ping (RFC 6455 section 5.2); what is longer holds data.
const PING_BYTES: usize = 2;

/// Frames of a subscriber. Its connection asks for more once it has room, so it has taken
/// what it got before.
pub(super) struct Outgoing<S> {
    frames: S,
    holds_data: bool,
    taken_at: Rc<Cell<Instant>>,
}

impl<S> Outgoing<S> {
    /// Sets `taken_at` whenever data were taken.
    pub(super) fn new(frames: S, taken_at: Rc<Cell<Instant>>) -> Self {
        Self {
            frames,
            holds_data: false,
            taken_at,
        }
    }
}

impl<S, E> Stream for Outgoing<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        // Before the actor runs, which may have slept since.
        if std::mem::take(&mut self.holds_data) {
            self.taken_at.set(Instant::now());
        }
        let frames = ready!(Pin::new(&mut self.frames).poll_next(context));
        if let Some(Ok(frames)) = &frames {
            self.holds_data = frames.len() > PING_BYTES;
        }
        Poll::Ready(frames)
    }
}
