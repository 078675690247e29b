//! Many nodes of one chain that fall silent together.

use super::super::{ChainKey, Fleet, Kept, KeptChain, Outages, Seen};
use super::{at, node, seconds, seen, words};
use crate::config::StatusConfig;
use crate::metrics::{NodeState, StatusReason};

/// Ten nodes, each with a beat every 5 s, apart from `silent` spans by number, in which
/// their connections are closed or not; changes in words without the first ones.
fn play(
    until: i64,
    grace_until: Option<i64>,
    closes: bool,
    silent: impl Fn(i64, i64) -> bool,
) -> (Fleet, Vec<String>) {
    let mut fleet = Fleet::new(StatusConfig::default());
    let mut outages = Outages::default();
    // Nothing was judged until half a minute before.
    outages.begin(
        grace_until.map(|_| at(-10_000)),
        at(grace_until.unwrap_or(0) - 30),
    );
    let mut last = [0; 10];
    let mut told = Vec::new();
    for second in 0..=until {
        for (number, last) in (0..10).zip(&mut last) {
            if (second + number) % 5 == 0 && !silent(number, second) {
                *last = second;
            }
            // A session begins with its first message.
            let is_closed = closes && second - *last > 5;
            let seen = Seen {
                ended: is_closed.then(|| (at(*last), StatusReason::ConnectionLost)),
                ..seen(*last)
            };
            let node = node(&number.to_string(), seen);
            match fleet.knows(&node.key) {
                true => fleet.see(node, seconds(0)),
                false if second == 0 => fleet.watch(node, None),
                false => {}
            }
        }
        let flips = fleet.judge(at(second), &outages);
        if second > 0 {
            told.extend(words(second, &flips));
        }
        let numbers: Vec<i64> = flips.chains.iter().map(|_| 1_000 + second).collect();
        fleet.enter(flips, &numbers, at(second));
    }
    (fleet, told)
}

fn without_parts(told: &[String]) -> Vec<&str> {
    let told = told.iter().map(String::as_str);
    told.filter(|line| !line.ends_with(" part")).collect()
}

fn chain() -> ChainKey {
    ChainKey {
        genesis_hash: "0x1".to_owned(),
        name: String::new(),
    }
}

#[test]
fn most_nodes_of_a_chain_that_fall_silent_together_are_one_event() {
    let (fleet, told) = play(200, None, false, |number, second| {
        number < 6 && second >= 50
    });
    assert_eq!(
        without_parts(&told),
        ["79 chain online > telemetry_lost 6 49"]
    );
    let parts: Vec<_> = told.iter().filter(|line| line.ends_with(" part")).collect();
    assert_eq!(parts.len(), 6);
    assert_eq!(
        parts[0],
        "79 0 online > telemetry_lost telemetry_lost 45 part"
    );
    let lost = fleet.last_change(&chain()).unwrap();
    assert_eq!((lost.change, lost.nodes), (1_079, 6));
    assert_eq!(fleet.counts()[&NodeState::TelemetryLost], 6);
}

#[test]
fn half_of_the_nodes_are_told_one_by_one() {
    let (_, told) = play(100, None, false, |number, second| {
        number < 5 && second >= 50
    });
    let missing = told.iter().filter(|line| line.contains("> missing"));
    assert_eq!(missing.count(), 5);
    assert!(!told.iter().any(|line| line.contains("chain")), "{told:?}");
}

#[test]
fn it_is_over_when_more_than_half_of_them_are_back() {
    let (_, told) = play(700, None, false, |number, second| {
        let back_at = [200, 210, 220, 230, 10_000, 10_000];
        let index = usize::try_from(number).unwrap();
        back_at
            .get(index)
            .is_some_and(|back| (50..*back).contains(&second))
    });
    let told = without_parts(&told);
    assert_eq!(
        told,
        [
            "79 chain online > telemetry_lost 6 49",
            // Four of six are back, and that is kept.
            "238 chain telemetry_lost > online 4 238",
            // The others have some time, and are told one by one then.
            "298 4 telemetry_lost > missing silent 46",
            "298 5 telemetry_lost > missing silent 45",
            "568 4 missing > offline silent 46",
            "568 5 missing > offline silent 45",
        ]
    );
}

#[test]
fn who_falls_silent_during_the_event_belongs_to_it() {
    let (fleet, told) = play(300, None, false, |number, second| {
        number < 6 && second >= 50 || number == 7 && second >= 120
    });
    assert_eq!(without_parts(&told).len(), 2, "{told:?}");
    assert!(
        told.contains(&"118 7 online > telemetry_lost telemetry_lost 88 part".to_owned())
            || told
                .iter()
                .any(|line| line.contains(" 7 late > telemetry_lost")),
        "{told:?}"
    );
    assert_eq!(fleet.last_change(&chain()).unwrap().nodes, 7);
}

#[test]
fn a_fleet_that_reconnects_at_once_is_no_event() {
    // All lose their connection, and are back after 24 s.
    let (_, told) = play(200, None, true, |_, second| (50..75).contains(&second));
    assert_eq!(told, Vec::<String>::new());
    // Some take longer.
    let (_, told) = play(200, None, true, |number, second| {
        (50..75 + number).contains(&second)
    });
    assert_eq!(without_parts(&told), Vec::<&str>::new());
}

#[test]
fn after_an_outage_of_our_own_nodes_that_come_back_in_time_are_no_event() {
    let (_, told) = play(300, Some(30), false, |number, second| second < 20 + number);
    assert_eq!(told, Vec::<String>::new());
    // Those that do not come back are one event, and not ten.
    let (_, told) = play(300, Some(30), false, |number, _| number < 6);
    assert_eq!(
        without_parts(&told),
        ["60 chain online > telemetry_lost 6 0"]
    );
}

#[test]
fn two_nodes_are_told_one_by_one() {
    let mut fleet = Fleet::new(StatusConfig::default());
    for name in ["a", "b"] {
        fleet.watch(
            node(name, seen(0)),
            Some(Kept {
                state: NodeState::Online,
                revision: 3,
            }),
        );
    }
    let flips = fleet.judge(at(30), &Outages::default());
    assert!(flips.chains.is_empty());
    let mut told = words(30, &flips);
    told.sort();
    assert_eq!(
        told,
        [
            "30 a online > missing silent 0",
            "30 b online > missing silent 0"
        ]
    );
    assert_eq!(flips.nodes[0].revision, 3);
}

#[test]
fn an_event_ends_after_a_day_and_its_nodes_are_offline_then() {
    let mut fleet = Fleet::new(StatusConfig::default());
    let kept = KeptChain {
        state: NodeState::TelemetryLost,
        revision: 1,
        change: 7,
        at: at(0),
        nodes: 3,
    };
    fleet.restore_chain(chain(), kept);
    for name in ["a", "b", "c"] {
        let kept = Kept {
            state: NodeState::TelemetryLost,
            revision: 1,
        };
        fleet.watch(node(name, seen(-40)), Some(kept));
    }
    let outages = Outages::default();
    let day = 86_400;
    assert_eq!(fleet.judge(at(day - 1), &outages), super::Flips::default());
    let flips = fleet.judge(at(day), &outages);
    assert_eq!(
        words(day, &flips),
        [
            "86400 chain telemetry_lost > offline 3 86400",
            "86400 a telemetry_lost > offline silent -40 part",
            "86400 b telemetry_lost > offline silent -40 part",
            "86400 c telemetry_lost > offline silent -40 part",
        ]
    );
    fleet.enter(flips, &[8], at(day));
    assert!(fleet.is_empty());
    assert_eq!(fleet.last_change(&chain()).unwrap().change, 8);
    // One of them is there again.
    let kept = Kept {
        state: NodeState::Offline,
        revision: 2,
    };
    fleet.watch(node("a", seen(90_000)), Some(kept));
    fleet.see(node("a", seen(90_005)), seconds(0));
    fleet.see(node("a", seen(90_010)), seconds(0));
    let flips = fleet.judge(at(90_010), &outages);
    assert_eq!(words(0, &flips), ["0 a offline > online recovered 90005"]);
    fleet.enter(flips, &[], at(90_010));
    let flips = fleet.judge(at(90_011), &outages);
    assert_eq!(words(0, &flips), ["0 chain offline > online 1 90011"]);
}
