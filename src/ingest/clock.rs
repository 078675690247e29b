//! Which time a message gets: the node's, as long as it can be believed.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// The times of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The time that everything goes by.
    pub(super) created_at: DateTime<Utc>,
    /// What the node said, if that is another time.
    pub(super) node_ts: Option<DateTime<Utc>>,
    /// How far the node is ahead (positive) or behind (negative).
    pub(super) skew: Option<TimeDelta>,
}

/// Believes the node's time if it is within `skew_max` of the server's.
/// PostgreSQL counts microseconds, so both are cut to these.
pub(super) fn judge(
    node_ts: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    skew_max: Duration,
) -> Times {
    let now = now.trunc_subsecs(6);
    let Some(node_ts) = node_ts.map(|node_ts| node_ts.trunc_subsecs(6)) else {
        return Times {
            created_at: now,
            node_ts: None,
            skew: None,
        };
    };
    let skew = node_ts - now;
    let believed = skew.abs().to_std().is_ok_and(|skew| skew <= skew_max);
    Times {
        created_at: if believed { node_ts } else { now },
        node_ts: (!believed && is_storable(node_ts)).then_some(node_ts),
        skew: Some(skew),
    }
}

/// PostgreSQL knows the years from 4713 BC to 294276; RFC 3339 ends at 9999.
fn is_storable(time: DateTime<Utc>) -> bool {
    time.timestamp() > -62_167_219_200
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEW_MAX: Duration = Duration::from_secs(600);

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_node_is_believed_up_to_the_limit() {
        let now = at("2026-11-21T12:00:00.000000999Z");
        for (node, believed) in [
            ("2026-11-21T12:10:00Z", true),
            ("2026-11-21T11:50:00Z", true),
            ("2026-11-21T12:10:00.000001Z", false),
            ("2026-11-21T11:49:59.999999Z", false),
            ("1970-01-01T00:00:00Z", false),
        ] {
            let times = judge(Some(at(node)), now, SKEW_MAX);
            assert_eq!(times.created_at == at(node), believed, "{node}");
            assert_eq!(times.node_ts, (!believed).then(|| at(node)), "{node}");
        }
    }

    #[test]
    fn without_a_time_the_server_decides() {
        let now = at("2026-11-21T12:00:00.123456789Z");
        let times = judge(None, now, SKEW_MAX);
        assert_eq!(times.created_at, at("2026-11-21T12:00:00.123456Z"));
        assert_eq!((times.node_ts, times.skew), (None, None));
    }

    #[test]
    fn nanoseconds_of_the_node_are_no_other_time() {
        let now = at("2026-11-21T12:00:00Z");
        let times = judge(Some(at("2026-11-21T12:00:01.123456789Z")), now, SKEW_MAX);
        assert_eq!(times.node_ts, None);
        assert_eq!(times.created_at, at("2026-11-21T12:00:01.123456Z"));
    }
}
