//! What one connection brings in: bytes become frames, within the limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frames::{Frame, FrameReader};
use super::limits::{Limits, Verdict};
use super::memory_budget::signed;
use crate::config::IngestConfig;
use crate::metrics::{DisconnectReason, DropReason, Metrics};

/// Part of a message, in bytes, that is nothing to speak of: what one read may
/// bring beyond the last whole message.
const PART_BYTES_MIN: usize = 64 * 1_024;

/// The incoming side of one connection.
#[derive(Debug)]
pub(super) struct Intake {
    frames: FrameReader,
    limits: Limits,
    over: Option<DropReason>,
    heard_at: Instant,
    framed_at: Instant,
    part_bytes: usize,
    part_bytes_max: i64,
    metrics: Arc<Metrics>,
}

impl Intake {
    /// Nothing has come yet.
    pub(super) fn new(config: &IngestConfig, metrics: Arc<Metrics>, now: Instant) -> Self {
        Self {
            frames: FrameReader::new(config.frame_bytes_max),
            limits: Limits::new(config, now),
            over: None,
            heard_at: now,
            framed_at: now,
            part_bytes: 0,
            part_bytes_max: signed(config.queue_bytes_max),
            metrics,
        }
    }

    /// Takes one read of the socket.
    ///
    /// # Errors
    /// The connection stays over this limit and has to end; what has come is over it.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant) -> Result<(), DropReason> {
        self.heard_at = now;
        // Frames are those of the read before, for these are not cut yet.
        let frames = self.frames.take_count();
        self.frames.push(bytes);
        self.over = match self.limits.charge(bytes.len(), frames, now) {
            Verdict::Within => None,
            Verdict::Over(reason) => Some(reason),
            Verdict::StaysOver(reason) => {
                self.over = Some(reason);
                return Err(reason);
            }
        };
        Ok(())
    }

    /// The next frame, if all of it has come.
    ///
    /// # Errors
    /// Why the connection has to end.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, DisconnectReason> {
        let frame = self.frames.next()?;
        if frame.is_some() {
            self.framed_at = self.heard_at;
        } else {
            self.weigh_part()?;
        }
        Ok(frame)
    }

    /// Why what comes has to be dropped, if it has to be.
    pub(super) fn over(&self) -> Option<DropReason> {
        self.over
    }

    /// Drops all messages from now on, for this reason.
    pub(super) fn block(&mut self, reason: DropReason) {
        self.over = Some(reason);
    }

    /// A message is over a limit; whether the connection goes on sending such ones.
    pub(super) fn exceed(&mut self, now: Instant) -> bool {
        self.limits.exceed(now)
    }

    /// The socket was not read for so long, up to now.
    pub(super) fn paused(&mut self, pause: Duration) {
        self.limits.paused(pause, Instant::now());
    }

    /// How long nothing has come.
    pub(super) fn silence(&self) -> Duration {
        self.heard_at.elapsed()
    }

    /// Time since the last whole frame: a peer that sends single bytes (slow loris)
    /// is never silent.
    pub(super) fn since_frame(&self) -> Duration {
        self.framed_at.elapsed()
    }

    /// Parts of messages are in memory too, and many connections can hold one.
    fn weigh_part(&mut self) -> Result<(), DisconnectReason> {
        let held = self.frames.held_bytes();
        let part = if held > PART_BYTES_MIN { held } else { 0 };
        if part == self.part_bytes {
            return Ok(());
        }
        let all = &self.metrics.part_bytes;
        all.add(signed(part) - signed(self.part_bytes));
        self.part_bytes = part;
        if part > 0 && all.get() > self.part_bytes_max {
            return Err(DisconnectReason::TooManyParts);
        }
        Ok(())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.metrics.part_bytes.sub(signed(self.part_bytes));
    }
}
