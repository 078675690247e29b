//! Labels whose values nodes choose: kinds of messages and chains. Only so many
//! get a series of their own; the others share one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Label, Maker};

/// Label of those that have no series of their own.
const OTHER: &str = "(other)";

/// Kinds with smaller numbers are counted without a look at their name.
const NUMBERS: usize = 1_024;

/// The families with such labels.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) messages_by_kind: IntCounterVec,
    pub(super) sessions_by_chain: IntGaugeVec,
}

impl Named {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            messages_by_kind: make.counters(
                "ingest_messages_by_kind_total",
                "Messages on their way to the database, by kind.",
                [Label::bounded(
                    "msg",
                    [OTHER],
                    "the known kinds of messages, and METRIC_KINDS_MAX others",
                )],
            )?,
            sessions_by_chain: make.gauges(
                "ingest_sessions_by_chain",
                "Node ids on open telemetry connections that have said their chain, by its name.",
                [Label::bounded(
                    "chain",
                    [OTHER],
                    "METRIC_CHAINS_MAX chains at a time",
                )],
            )?,
        })
    }
}

/// Counts messages by kind.
#[derive(Debug)]
pub struct KindCounts {
    family: IntCounterVec,
    named: Mutex<HashSet<Box<str>>>,
    by_number: Vec<OnceLock<IntCounter>>,
    max: usize,
    is_known: fn(&str) -> bool,
}

impl KindCounts {
    /// Known kinds are counted by name, and at most `max` others.
    pub(super) fn new(family: IntCounterVec, max: usize, is_known: fn(&str) -> bool) -> Self {
        Self {
            family,
            named: Mutex::default(),
            by_number: (0..NUMBERS).map(|_| OnceLock::new()).collect(),
            max,
            is_known,
        }
    }

    /// One more message; `number` is what the dictionary has for the kind, none
    /// while it is new, and 0 for all that are not in it.
    pub fn count(&self, number: Option<i16>, name: &str) {
        let index = number.and_then(|number| usize::try_from(number).ok());
        match index.and_then(|index| Some((index, self.by_number.get(index)?))) {
            Some((0, counter)) => counter.get_or_init(|| self.series(OTHER)).inc(),
            Some((_, counter)) => counter.get_or_init(|| self.of(name)).inc(),
            None => self.of(name).inc(),
        }
    }

    /// Where messages of this number are counted, if one was counted before.
    pub(super) fn place(&self, number: Option<i16>) -> Option<usize> {
        let place = usize::try_from(number?).ok()?;
        self.by_number.get(place)?.get().map(|_| place)
    }

    /// So many more messages of a place.
    pub(super) fn add(&self, place: usize, count: u64) {
        if let Some(counter) = self.by_number.get(place).and_then(OnceLock::get) {
            counter.inc_by(count);
        }
    }

    fn of(&self, name: &str) -> IntCounter {
        if (self.is_known)(name) {
            return self.series(name);
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.contains(name) {
            return self.series(name);
        }
        if name.is_empty() || named.len() >= self.max {
            return self.series(OTHER);
        }
        named.insert(name.into());
        self.series(name)
    }

    fn series(&self, name: &str) -> IntCounter {
        self.family.with_label_values(&[name])
    }
}

/// Counts open sessions by chain. A chain with more sessions than one that has a series of
/// its own takes that one's place, so that invented chains hide none that is in use.
#[derive(Debug)]
pub struct ChainCounts {
    family: IntGaugeVec,
    open: Mutex<OpenChains>,
    max: usize,
}

#[derive(Debug, Default)]
struct OpenChains {
    sessions: HashMap<Box<str>, i64>,
    /// Those that have a series of their own.
    named: HashSet<Box<str>>,
}

/// The place of one session under its chain; given back when it is dropped.
#[derive(Debug)]
pub struct ChainPlace {
    chains: Arc<ChainCounts>,
    name: Box<str>,
}

impl ChainCounts {
    /// At most `max` chains are counted by name at the same time.
    pub(super) fn new(family: IntGaugeVec, max: usize) -> Self {
        Self {
            family,
            open: Mutex::default(),
            max,
        }
    }

    /// One more session of a chain.
    pub fn enter(self: &Arc<Self>, chain: &str) -> ChainPlace {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = open.sessions.entry(chain.into()).or_default();
        *sessions += 1;
        let sessions = *sessions;
        if open.named.contains(chain) {
            self.series(chain).inc();
        } else if self.has_room(&mut open, sessions) {
            open.named.insert(chain.into());
            self.series(chain).set(sessions);
            self.series(OTHER).sub(sessions - 1);
        } else {
            self.series(OTHER).inc();
        }
        ChainPlace {
            chains: self.clone(),
            name: chain.into(),
        }
    }

    /// Whether a chain with so many sessions gets a series; the smallest makes room.
    fn has_room(&self, open: &mut OpenChains, sessions: i64) -> bool {
        if open.named.len() < self.max {
            return true;
        }
        let size = |chain: &str| open.sessions.get(chain).copied().unwrap_or(0);
        let smallest = open.named.iter().min_by_key(|chain| size(chain)).cloned();
        let Some(smallest) = smallest.filter(|chain| size(chain) < sessions) else {
            return false;
        };
        self.series(OTHER).add(size(&smallest));
        self.forget(open, &smallest);
        true
    }

    fn leave(&self, chain: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sessions) = open.sessions.get_mut(chain) else {
            return;
        };
        *sessions -= 1;
        let is_last = *sessions == 0;
        let label = if open.named.contains(chain) {
            chain
        } else {
            OTHER
        };
        self.series(label).dec();
        if is_last {
            open.sessions.remove(chain);
            self.forget(&mut open, chain);
        }
    }

    fn forget(&self, open: &mut OpenChains, chain: &str) {
        if open.named.remove(chain) {
            // It fails only if there is no such series.
            self.family.remove_label_values(&[chain]).ok();
        }
    }

    fn series(&self, label: &str) -> IntGauge {
        self.family.with_label_values(&[label])
    }
}

impl Drop for ChainPlace {
    fn drop(&mut self) {
        self.chains.leave(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    #[test]
    fn kinds_beyond_the_limit_share_a_series() {
        let family = IntCounterVec::new(Opts::new("kinds", "Help."), &["msg"]).unwrap();
        let counts = KindCounts::new(family.clone(), 2, |name| name == "known");
        for (number, name) in [
            (None, "a"),
            (Some(1), "a"),
            (Some(2), "b"),
            (Some(3), "c"),
            (None, "d"),
            (Some(0), "e"),
            (Some(i16::MAX), "b"),
            (None, ""),
            (None, "known"),
        ] {
            counts.count(number, name);
        }
        let count = |name: &str| family.with_label_values(&[name]).get();
        assert_eq!((count("a"), count("b"), count(OTHER)), (2, 2, 4));
        assert_eq!(count("known"), 1);
    }

    #[test]
    fn chains_without_sessions_make_room_for_others() {
        let family = IntGaugeVec::new(Opts::new("chains", "Help."), &["chain"]).unwrap();
        let chains = Arc::new(ChainCounts::new(family.clone(), 1));
        let count = |name: &str| family.with_label_values(&[name]).get();
        let (first, second) = (chains.enter("a"), chains.enter("a"));
        let other = chains.enter("b");
        assert_eq!((count("a"), count(OTHER)), (2, 1));
        drop((first, second));
        let again = chains.enter("b");
        assert_eq!((count("b"), count(OTHER)), (2, 0));
        drop((other, again));
        assert_eq!(count(OTHER), 0);
    }

    #[test]
    fn the_least_active_of_invented_chains_makes_room_for_a_real_one() {
        let family = IntGaugeVec::new(Opts::new("chains", "Help."), &["chain"]).unwrap();
        let chains = Arc::new(ChainCounts::new(family.clone(), 20));
        let count = |name: &str| family.with_label_values(&[name]).get();
        let invented: Vec<_> = (0..1_000)
            .map(|number| chains.enter(&format!("invented {number}")))
            .collect();
        assert_eq!(count(OTHER), 980);
        let real = [chains.enter("real"), chains.enter("real")];
        assert_eq!((count("real"), count(OTHER)), (2, 981));
        drop(invented);
        assert_eq!((count("real"), count(OTHER)), (2, 0));
        drop(real);
        assert_eq!(chains.open.lock().unwrap().sessions.len(), 0);
    }
}
