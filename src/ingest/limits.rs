//! Rate limit of one connection: bytes and frames, each as a mean over a rolling
//! window, and how long it stays over any other limit. Pure: time is passed in.
//! Charged once for each read of the socket, which costs nanoseconds.

use std::time::{Duration, Instant};

use crate::config::IngestConfig;
use crate::metrics::DropReason;

/// Slots of the window, each of a second: bursts of a few seconds, as a node
/// makes when it has just connected, do not count as much.
const SLOTS: usize = 10;

/// The window, in milliseconds.
const WINDOW_MS: u64 = 10_000;

/// A connection that is over a limit for longer goes on sending: one burst has
/// left the window by then.
const PATIENCE: Duration = Duration::from_millis(WINDOW_MS);

/// What to do with what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take it.
    Within,
    /// Drop it, for this reason.
    Over(DropReason),
    /// End the connection.
    StaysOver(DropReason),
}

/// What one connection has sent within the window.
#[derive(Debug)]
pub(super) struct Limits {
    bytes_per_s_max: u64,
    frames_per_s_max: u64,
    started_at: Instant,
    /// Number of the slot that is being filled, since the start.
    current: u64,
    slots: [Sent; SLOTS],
    total: Sent,
    over_since: Option<Instant>,
    /// The first and the last message over a limit of its own, with less than a
    /// window between two of them.
    excesses: Option<(Instant, Instant)>,
}

/// What was sent, and for how long the server did not read.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    bytes: u64,
    frames: u64,
    paused_ms: u64,
}

impl Limits {
    /// Nothing sent yet.
    pub(super) fn new(config: &IngestConfig, now: Instant) -> Self {
        Self {
            bytes_per_s_max: config.node_bytes_per_s_max,
            frames_per_s_max: config.node_frames_per_s_max,
            started_at: now,
            current: 0,
            slots: [Sent::default(); SLOTS],
            total: Sent::default(),
            over_since: None,
            excesses: None,
        }
    }

    /// Counts a message that by itself is over a limit; whether the connection
    /// goes on sending such ones.
    pub(super) fn exceed(&mut self, now: Instant) -> bool {
        let recent = self
            .excesses
            .filter(|(_, last)| now.saturating_duration_since(*last) < PATIENCE);
        let (first, _) = *self
            .excesses
            .insert((recent.map_or(now, |(first, _)| first), now));
        now.saturating_duration_since(first) > PATIENCE
    }

    /// Counts what was read, and says what to do with it.
    pub(super) fn charge(&mut self, bytes: usize, frames: u64, now: Instant) -> Verdict {
        self.add(
            Sent {
                bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
                frames,
                paused_ms: 0,
            },
            now,
        );
        let Some(reason) = self.excess() else {
            self.over_since = None;
            return Verdict::Within;
        };
        let since = *self.over_since.get_or_insert(now);
        if now.duration_since(since) > PATIENCE {
            Verdict::StaysOver(reason)
        } else {
            Verdict::Over(reason)
        }
    }

    /// The socket was not read for so long, up to now. What the node sent
    /// meanwhile is about to come at once, which is not its fault.
    pub(super) fn paused(&mut self, pause: Duration, now: Instant) {
        self.add(
            Sent {
                paused_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                ..Sent::default()
            },
            now,
        );
    }

    fn excess(&self) -> Option<DropReason> {
        let time_ms = self.total.paused_ms.saturating_add(WINDOW_MS);
        let is_over = |sent: u64, per_s_max: u64| {
            sent.saturating_mul(1_000) > per_s_max.saturating_mul(time_ms)
        };
        if is_over(self.total.bytes, self.bytes_per_s_max) {
            return Some(DropReason::TooManyBytes);
        }
        is_over(self.total.frames, self.frames_per_s_max).then_some(DropReason::TooManyFrames)
    }

    fn add(&mut self, sent: Sent, now: Instant) {
        let second = now.saturating_duration_since(self.started_at).as_secs();
        // After a long silence every slot is emptied once, and no more often.
        let stale = second.saturating_sub(self.current).min(WINDOW_MS / 1_000);
        for step in 1..=stale {
            let left = std::mem::take(self.slot(self.current + step));
            self.total.bytes = self.total.bytes.saturating_sub(left.bytes);
            self.total.frames = self.total.frames.saturating_sub(left.frames);
            self.total.paused_ms = self.total.paused_ms.saturating_sub(left.paused_ms);
        }
        self.current = self.current.max(second);
        self.slot(self.current).add(sent);
        self.total.add(sent);
    }

    fn slot(&mut self, number: u64) -> &mut Sent {
        let [first, others @ ..] = &mut self.slots;
        match usize::try_from(number % (WINDOW_MS / 1_000)) {
            Ok(index @ 1..) => others.get_mut(index - 1).unwrap_or(first),
            _ => first,
        }
    }
}

impl Sent {
    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.frames = self.frames.saturating_add(other.frames);
        self.paused_ms = self.paused_ms.saturating_add(other.paused_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn limits(bytes: u64, frames: u64, start: Instant) -> Limits {
        let mut config = Config::from_lookup(&|_| None).unwrap().ingest;
        config.node_bytes_per_s_max = bytes;
        config.node_frames_per_s_max = frames;
        Limits::new(&config, start)
    }

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn the_mean_over_the_window_counts_not_the_burst() {
        let start = Instant::now();
        let mut limits = limits(100, u64::MAX, start);
        assert_eq!(limits.charge(1_000, 1, start), Verdict::Within);
        let over = Verdict::Over(DropReason::TooManyBytes);
        assert_eq!(limits.charge(1, 1, after(start, 9_999)), over);
        assert_eq!(limits.charge(1, 1, after(start, 10_000)), Verdict::Within);
        assert_eq!(
            limits.charge(1_000, 1, after(start, 1_000_000)),
            Verdict::Within,
            "a long silence empties the window"
        );
    }

    #[test]
    fn frames_count_as_bytes_do() {
        let start = Instant::now();
        let mut limited = limits(u64::MAX, 10, start);
        assert_eq!(limited.charge(usize::MAX, 100, start), Verdict::Within);
        assert_eq!(
            limited.charge(0, 1, start),
            Verdict::Over(DropReason::TooManyFrames)
        );
        let mut free = limits(u64::MAX, u64::MAX, start);
        assert_eq!(free.charge(usize::MAX, u64::MAX, start), Verdict::Within);
    }

    #[test]
    fn one_burst_is_dropped_and_staying_over_ends_the_connection() {
        let start = Instant::now();
        let mut burst = limits(100, u64::MAX, start);
        let mut flood = limits(100, u64::MAX, start);
        burst.charge(1_000_000, 1, after(start, 999));
        let mut verdicts = Vec::new();
        for ms in (1_000..=13_000).step_by(100) {
            assert!(!matches!(
                burst.charge(1, 1, after(start, ms)),
                Verdict::StaysOver(_)
            ));
            verdicts.push(flood.charge(200, 1, after(start, ms)));
        }
        verdicts.dedup();
        assert_eq!(
            verdicts,
            [
                Verdict::Within,
                Verdict::Over(DropReason::TooManyBytes),
                Verdict::StaysOver(DropReason::TooManyBytes)
            ]
        );
    }

    #[test]
    fn messages_over_a_limit_are_forgiven_unless_they_go_on() {
        let start = Instant::now();
        let mut seldom = limits(100, 100, start);
        let mut often = limits(100, 100, start);
        for second in 0..=10 {
            assert!(!seldom.exceed(after(start, second * 10_000)));
            assert!(!often.exceed(after(start, second * 1_000)));
        }
        assert!(often.exceed(after(start, 10_001)));
    }

    #[test]
    fn what_gathers_while_the_server_does_not_read_is_not_blamed_on_the_node() {
        let start = Instant::now();
        let mut limits = limits(100, u64::MAX, start);
        // At its limit all the time, but in half of it not read.
        for round in 1..100 {
            let now = after(start, round * 2_000);
            limits.paused(Duration::from_secs(2), now);
            assert_eq!(limits.charge(200, 1, now), Verdict::Within, "{round}");
        }
    }

    #[test]
    fn a_charge_costs_next_to_nothing() {
        const CHARGES: u32 = 200_000;
        let start = Instant::now();
        let mut limits = limits(1 << 22, 20_000, start);
        let now = after(start, 5_000);
        for _ in 0..CHARGES {
            std::hint::black_box(limits.charge(1, 1, now));
        }
        let each = start.elapsed() / CHARGES;
        // Without optimisation, on a busy machine; it is a hundredth of that otherwise.
        assert!(each < Duration::from_micros(5), "{each:?}");
    }
}
