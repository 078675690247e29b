//! When messages arrived. Pure: time is passed in.

use chrono::{DateTime, TimeDelta, Utc};

/// Largest step back of the clock that is bridged; a larger one is followed.
const AHEAD_MAX: TimeDelta = TimeDelta::seconds(1);

/// Arrival times of the messages of one connection, by the clock of the server, each
/// at least a microsecond after the one before: the time gives the order of a session,
/// also among messages that were read together.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    last: DateTime<Utc>,
}

impl Arrivals {
    /// The time of the next message, which was read `now`.
    pub(super) fn next(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let after_last = self.last + TimeDelta::microseconds(1);
        self.last = match after_last - now <= AHEAD_MAX {
            true => now.max(after_last),
            false => now,
        };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_later_than_the_one_before_it() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00.000001Z".parse().unwrap();
        let later = |micros| now + TimeDelta::microseconds(micros);
        let mut arrivals = Arrivals::default();
        let read_at = [now, now, now, later(1), later(100), later(50)];
        let times = read_at.map(|now| arrivals.next(now));
        assert_eq!(
            times,
            [now, later(1), later(2), later(3), later(100), later(101)]
        );
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        let mut arrivals = Arrivals::default();
        arrivals.next(now);
        let a_little_back = arrivals.next(now - TimeDelta::milliseconds(900));
        assert_eq!(a_little_back, now + TimeDelta::microseconds(1));
        let an_hour_back = now - TimeDelta::hours(1);
        assert_eq!(arrivals.next(an_hour_back), an_hour_back);
    }
}
