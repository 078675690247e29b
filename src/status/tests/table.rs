//! One node: what is seen of it each second, and which changes follow.

use super::super::{Circumstances, Machine, Reference, Seen};
use super::{at, second_of, seconds, seen};
use crate::config::NodeRules;
use crate::metrics::{NodeState, StatusReason};

/// Judges each second from `from` until `until`; changes in words.
fn play(
    mut machine: Machine,
    (from, until): (i64, i64),
    grace_until: i64,
    mut look: impl FnMut(i64) -> (Seen, Reference),
) -> Vec<String> {
    let rules = NodeRules::default();
    let mut words = Vec::new();
    for second in from..=until {
        let (seen, chain) = look(second);
        machine.see(&seen, &rules, seconds(0));
        let around = Circumstances {
            now: at(second),
            grace_until: at(grace_until),
            rules: &rules,
            chain,
        };
        if let Some(verdict) = machine.judge(&around) {
            words.push(format!(
                "{second} {} {} {}",
                verdict.to.label(),
                verdict.reason.label(),
                second_of(verdict.since)
            ));
            machine.enter(verdict.to);
        }
    }
    words
}

/// The last of these beats at a second.
fn beats(all: &[i64], second: i64) -> Seen {
    seen(*all.iter().rfind(|beat| **beat <= second).unwrap_or(&0))
}

fn online() -> Machine {
    Machine::new(NodeState::Online, &seen(0))
}

#[test]
fn silence_makes_a_node_late_missing_and_offline_since_its_last_message() {
    let words = play(online(), (0, 400), -100, |_| {
        (seen(0), Reference::default())
    });
    assert_eq!(
        words,
        [
            "10 late silent 0",
            "30 missing silent 0",
            "300 offline silent 0"
        ]
    );
}

#[test]
fn beats_in_time_change_nothing() {
    for interval in [1, 5, 9] {
        let words = play(online(), (0, 2_000), -100, |second| {
            (seen(second / interval * interval), Reference::default())
        });
        assert_eq!(words, Vec::<String>::new(), "{interval}");
    }
}

#[test]
fn a_node_whose_connection_ended_has_time_to_come_back() {
    let ended = |reason| {
        move |second: i64| {
            let seen = Seen {
                ended: (second >= 2).then(|| (at(2), reason)),
                ..seen(0)
            };
            (seen, Reference::default())
        }
    };
    for reason in [StatusReason::Disconnected, StatusReason::ConnectionLost] {
        let words = play(online(), (0, 400), -100, ended(reason));
        let label = reason.label();
        assert_eq!(
            words,
            [
                format!("10 late {label} 0"),
                format!("52 missing {label} 0"),
                format!("300 offline {label} 0")
            ]
        );
    }
    // It reconnects as late as nodes do, after 19 s, and takes 15 s for its first frame.
    let words = play(online(), (0, 100), -100, |second| {
        let back = seen(36 + (second - 36).max(0) / 5 * 5);
        match second {
            ..36 => ended(StatusReason::ConnectionLost)(second),
            _ => (back, Reference::default()),
        }
    });
    assert_eq!(
        words,
        ["10 late connection_lost 0", "41 online recovered 36"]
    );
}

#[test]
fn recovery_needs_two_beats_in_time() {
    for (name, all, expected) in [
        ("one beat", &[0, 100][..], &[][..]),
        ("two in a burst", &[0, 100, 100], &[]),
        ("two that are too far apart", &[0, 100, 115], &[]),
        ("two in time", &[0, 100, 105], &["105 online recovered 100"]),
        (
            "after one that was not",
            &[0, 60, 100, 102],
            &["102 online recovered 100"],
        ),
    ] {
        let words = play(online(), (0, 120), -100, |second| {
            (beats(all, second), Reference::default())
        });
        let after: Vec<_> = words
            .iter()
            .map(String::as_str)
            .filter(|line| line.contains("online"))
            .collect();
        assert_eq!(after, expected, "{name}");
    }
    // It may come back from each kind of silence.
    for (last, states) in [(12, 1), (40, 2), (600, 3)] {
        let words = play(online(), (0, 700), -100, |second| match second >= last {
            true => (seen(second), Reference::default()),
            false => (seen(0), Reference::default()),
        });
        assert_eq!(words.len(), states + 1, "{words:?}");
        assert_eq!(
            words[states],
            format!("{} online recovered {last}", last + 1)
        );
    }
}

#[test]
fn a_beat_that_comes_late_from_a_spool_is_no_recovery() {
    let words = play(online(), (0, 500), -100, |second| {
        // Those of the first minute are stored after 200 s, one after the other.
        (seen((second - 200).clamp(0, 60)), Reference::default())
    });
    assert_eq!(
        words,
        [
            "10 late silent 0",
            "30 missing silent 0",
            "360 offline silent 60"
        ]
    );
}

#[test]
fn silence_before_the_end_of_an_outage_counts_for_nothing() {
    let words = play(online(), (100, 600), 130, |_| {
        (seen(0), Reference::default())
    });
    assert_eq!(
        words,
        [
            "140 late silent 0",
            "160 missing silent 0",
            "430 offline silent 0"
        ]
    );
    // A grace is no sign of life: what was missing stays so.
    let missing = Machine::new(NodeState::Missing, &seen(0));
    let words = play(missing, (100, 200), 130, |_| {
        (seen(0), Reference::default())
    });
    assert_eq!(words, Vec::<String>::new());
}

/// A node with blocks, beside its chain; a block each 6 s.
fn with_blocks(second: i64, own: i64, own_at: i64, chain: i64) -> (Seen, Reference) {
    let seen = Seen {
        best: Some((own, at(own_at))),
        finalized: Some(own - 3),
        ..seen(second)
    };
    let chain = Reference {
        best: Some(chain),
        finalized: Some(chain - 3),
    };
    (seen, chain)
}

#[test]
fn a_node_is_stalled_when_its_best_block_stands_while_its_chain_moves() {
    let words = play(online(), (0, 600), -1_000, |second| {
        let moves = |second: i64| (1_000 + second / 6, second / 6 * 6);
        let (chain, _) = moves(second);
        // It stands from 60 to 300, then has the blocks at once.
        let (own, own_at) = match second {
            60..300 => moves(60),
            _ => moves(second),
        };
        let (mut seen, reference) = with_blocks(second, own, own_at, chain);
        seen.finalized = None;
        (seen, reference)
    });
    assert_eq!(
        words,
        [
            "180 stalled best_block_stands 60",
            "300 online recovered 300"
        ]
    );
}

#[test]
fn a_node_is_not_stalled_while_its_chain_stands_or_while_it_syncs() {
    // A chain that halts for an hour, and goes on; the node follows two seconds later.
    let words = play(online(), (0, 4_000), -1_000, |second| {
        let moves = |second: i64| match second {
            ..100 => 1_000 + second / 6,
            100..3_700 => 1_016,
            _ => 1_020 + (second - 3_700) / 6,
        };
        let own = moves(second - 2);
        let own_at = match second {
            102..3_702 => 98,
            _ => second,
        };
        with_blocks(second, own, own_at, moves(second))
    });
    assert_eq!(words, Vec::<String>::new());
    // A node without any block for ten minutes (it loads the state), which then catches up.
    let words = play(online(), (0, 1_000), -1_000, |second| {
        let own = match second {
            ..600 => 0,
            _ => ((second - 600) * 10).min(1_000 + second / 6),
        };
        with_blocks(second, own, second.min(0), 1_000 + second / 6)
    });
    assert_eq!(
        words,
        ["0 syncing catching_up 0", "711 online recovered 711"]
    );
}

#[test]
fn a_stalled_node_stays_so_across_silence_and_restarts_until_its_block_moves() {
    let standing = |second: i64| with_blocks(second, 1_000, 0, 1_500 + second / 6);
    let stalled = Machine::new(NodeState::Stalled, &standing(0).0);
    assert_eq!(
        play(stalled, (0, 500), -1_000, standing),
        Vec::<String>::new()
    );
    let stalled = Machine::new(NodeState::Stalled, &standing(0).0);
    let words = play(stalled, (0, 500), -1_000, |second| {
        let (mut seen, chain) = standing(second);
        if (100..160).contains(&second) {
            seen.last_seen = at(99);
        }
        (seen, chain)
    });
    assert_eq!(
        words,
        [
            "109 late silent 99",
            "129 missing silent 99",
            "161 stalled best_block_stands 0",
        ]
    );
}

#[test]
fn a_node_is_lagging_when_its_finalized_block_stays_behind() {
    let words = play(online(), (0, 600), -1_000, |second| {
        let behind = match second {
            // A jump of the chain that it follows soon.
            50..70 => 400,
            100..300 => 21,
            // Half of the limit is over it; below it is well.
            300..400 => 11,
            400.. => 10,
            _ => 0,
        };
        let (mut seen, chain) = with_blocks(second, 1_000, second, 1_000);
        seen.finalized = Some(997 - behind);
        (seen, chain)
    });
    assert_eq!(
        words,
        [
            "130 lagging finality_behind 100",
            "400 online recovered 400"
        ]
    );
}

#[test]
fn two_machines_that_leave_at_once_are_no_recovery() {
    let words = play(online(), (0, 140), -1_000, |second| {
        let mut seen = seen(second.min(98));
        seen.conflict_since = (50..100).contains(&second).then(|| at(40));
        seen.ended = (second >= 100).then(|| (at(100), StatusReason::Disconnected));
        (seen, Reference::default())
    });
    assert_eq!(
        words,
        ["50 conflict two_machines 40", "108 late disconnected 98"]
    );
}

#[test]
fn two_machines_of_one_peer_id_are_a_conflict_before_anything_else() {
    let words = play(online(), (0, 300), -1_000, |second| {
        let (mut seen, chain) = with_blocks(second, 1_000, 0, 1_000 + second / 6);
        seen.conflict_since = (100..200).contains(&second).then(|| at(70));
        (seen, chain)
    });
    assert_eq!(
        words,
        [
            "100 conflict two_machines 70",
            "200 stalled best_block_stands 0"
        ]
    );
}

#[test]
fn a_node_that_knows_no_chain_is_judged_by_its_beats_alone() {
    let words = play(online(), (0, 600), -1_000, |second| {
        let (seen, _) = with_blocks(second, 1_000, 0, 0);
        (seen, Reference::default())
    });
    assert_eq!(words, Vec::<String>::new());
}
