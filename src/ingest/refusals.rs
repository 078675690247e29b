//! Connections of nodes that were refused lately, or ended by this server, by address: nodes log a
//! refusal only at level debug. Time is passed in.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// Addresses and reasons that are remembered; a further one takes the place of the oldest. Some 300 kB.
const ENTRIES_MAX: usize = 1_000;

/// What is older is forgotten.
const AGE_MAX: TimeDelta = TimeDelta::days(1);

/// Longest detail, characters.
const DETAIL_CHARS_MAX: usize = 128;

/// Connections of one address that were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The address, if it is known.
    pub ip: Option<IpAddr>,
    /// Why: a label of `RefuseReason`, `wrong_path`, `chain_refused` or `over_limit`.
    pub reason: &'static str,
    /// The path, the chain or the limit.
    pub detail: Option<String>,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first_at: DateTime<Utc>,
    /// The last time.
    pub last_at: DateTime<Utc>,
}

/// Connections that were refused.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Known>);

type Key = (Option<IpAddr>, &'static str, Option<String>);

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<Key, (u64, Refusal)>,
    /// The same, the oldest first.
    order: BTreeMap<u64, Key>,
    last: u64,
}

impl Refusals {
    /// Remembers a refusal.
    pub fn add(
        &self,
        ip: Option<IpAddr>,
        reason: &'static str,
        detail: Option<&str>,
        now: DateTime<Utc>,
    ) {
        let detail = detail.map(|text| text.chars().take(DETAIL_CHARS_MAX).collect::<String>());
        let key = (ip, reason, detail);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.last += 1;
        let place = known.last;
        let before = known.entries.remove(&key);
        let refusal = match before {
            Some((old, mut refusal)) => {
                known.order.remove(&old);
                refusal.count = refusal.count.saturating_add(1);
                refusal.last_at = now;
                refusal
            }
            None => Refusal {
                ip,
                reason,
                detail: key.2.clone(),
                count: 1,
                first_at: now,
                last_at: now,
            },
        };
        if known.entries.len() >= ENTRIES_MAX
            && let Some((_, oldest)) = known.order.pop_first()
        {
            known.entries.remove(&oldest);
        }
        known.order.insert(place, key.clone());
        known.entries.insert(key, (place, refusal));
    }

    /// Those of the last day, the latest first.
    pub fn list(&self, now: DateTime<Utc>) -> Vec<Refusal> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = known.order.values().rev();
        newest
            .filter_map(|key| known.entries.get(key))
            .map(|(_, refusal)| refusal.clone())
            .filter(|refusal| now - refusal.last_at <= AGE_MAX)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_address_and_reason_and_bounded() {
        let refusals = Refusals::default();
        let start = DateTime::UNIX_EPOCH;
        let ip = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
        for second in 0..3 {
            refusals.add(ip(1), "token", None, start + TimeDelta::seconds(second));
        }
        refusals.add(ip(1), "wrong_path", Some(&"x".repeat(500)), start);
        refusals.add(None, "token", None, start);
        let list = refusals.list(start + TimeDelta::seconds(9));
        let counts: Vec<_> = list.iter().map(|one| (one.reason, one.count)).collect();
        assert_eq!(counts, [("token", 1), ("wrong_path", 1), ("token", 3)]);
        assert_eq!(
            (list[2].first_at, list[2].last_at),
            (start, start + TimeDelta::seconds(2))
        );
        assert_eq!(
            list[1].detail.as_ref().map(String::len),
            Some(DETAIL_CHARS_MAX)
        );

        let later = start + TimeDelta::hours(25);
        for number in 0..5_000 {
            refusals.add(ip(number), "blocked", None, later);
        }
        let list = refusals.list(later);
        assert_eq!((list.len(), list[0].ip), (ENTRIES_MAX, ip(4_999)));
        assert!(refusals.list(later + TimeDelta::hours(25)).is_empty());
    }
}
