//! Nodes that are seen again in short.

use chrono::TimeDelta;

use super::{at, handle, node, seconds, seen};
use crate::config::StatusConfig;
use crate::status::{Fleet, NodeSeen, Outages, ServerSeen};

/// A node in a session of a server.
fn in_session(session: i64, last_seen: i64) -> NodeSeen {
    let node = node("a", seen(last_seen));
    NodeSeen {
        handle: handle(session, &node.key),
        ..node
    }
}

/// The servers: one, whose clock is so many seconds ahead.
fn outages(ahead: i64) -> Outages {
    let mut outages = Outages::default();
    let server = ServerSeen {
        id: "server".to_owned(),
        started_at: at(-1_000),
        heartbeat_at: at(0),
        is_stopped: false,
        delayed_at: None,
        clock_offset: seconds(ahead),
    };
    outages.look(at(0), &[server]);
    outages
}

/// States of the node second by second, while it is seen again each second with a message
/// that arrived just now, by the clock of its server.
fn play(ahead: i64, sent_until: i64, until: i64) -> Vec<String> {
    let outages = outages(ahead);
    let mut fleet = Fleet::new(StatusConfig::default());
    let first = in_session(1, 0);
    let handle = first.handle;
    fleet.watch(first, None);
    let mut told = Vec::new();
    for second in 1..=until {
        fleet.begin_look(&outages);
        let sighting = seen(second.min(sent_until) + ahead);
        assert!(fleet.see_again(handle, sighting, TimeDelta::zero()));
        assert_eq!(fleet.not_found(), []);
        let flips = fleet.judge(at(second), &outages);
        told.extend(super::words(second, &flips));
        fleet.enter(flips, &[], at(second));
    }
    told
}

#[test]
fn what_is_seen_in_short_counts_as_any_sighting_by_the_clock_of_the_database() {
    let told = play(0, 20, 60);
    assert_eq!(
        told,
        [
            "1 a new > online first_seen 1",
            "30 a online > late silent 20",
            "50 a late > missing silent 20"
        ]
    );
    for ahead in [-40, 40] {
        assert_eq!(play(ahead, 20, 60), told, "{ahead}");
    }
}

#[test]
fn a_session_is_known_by_its_number_and_by_the_node_that_it_says_it_is() {
    let outages = outages(0);
    let mut fleet = Fleet::new(StatusConfig::default());
    let first = in_session(1, 0);
    let (key, known) = (first.key.clone(), first.handle);
    fleet.watch(first.clone(), None);
    // It is read twice where it was asked for both by its session and by its name.
    fleet.watch(first, None);
    assert!(fleet.knows(&key) && fleet.len() == 1);
    let see = |fleet: &mut Fleet, handle| fleet.see_again(handle, seen(1), TimeDelta::zero());
    fleet.begin_look(&outages);
    let other = handle(1, &node("b", seen(0)).key);
    assert!(!see(&mut fleet, other), "another node in its session");
    assert_eq!(fleet.not_found(), vec![key.clone()]);

    // It comes back in another session, and the one before is over.
    let next = in_session(2, 1);
    let new = next.handle;
    assert!(!see(&mut fleet, new));
    fleet.see(next, TimeDelta::zero());
    assert_eq!((fleet.len(), fleet.not_found()), (1, vec![]));
    fleet.begin_look(&outages);
    assert!(!see(&mut fleet, known));
    assert!(see(&mut fleet, new) && fleet.knows(&key));
    fleet.forget(&key);
    assert!(!see(&mut fleet, new) && fleet.is_empty());
}
