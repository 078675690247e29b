//! A small fleet of made-up nodes, to try a server without real ones: `make demo`.
//!
//! `chain` is what a chain has done by a time, `node` what a node is and reports of
//! it, `connection` the websocket as nodes use it. Chains are computed from the
//! clock, so a fleet that is started again goes on where the last one would be.

mod chain;
mod connection;
mod node;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use chrono::Utc;

pub use connection::DemoError;
use connection::{Connection, Endpoint};
use node::{Event, Node};

/// Most nodes of a fleet.
pub const NODES_MAX: u16 = 500;

/// What a node waits before it connects again, as genuine ones do at least, ms.
const RETRY_MS: i64 = 10_000;

/// All nodes connect within this time, ms.
const START_SPREAD_MS: i64 = 2_000;

/// A node of the fleet and its connection.
struct Member {
    node: Node,
    connection: Option<Connection>,
    /// Grows with each connection and its end: what was planned for an earlier one is dropped.
    connections: u64,
}

impl Member {
    fn disconnect(&mut self) {
        self.connection = None;
        self.connections += 1;
    }
}

/// What is due at a time (Unix, ms), for the member of an index, in its connection of a number.
type Due = Reverse<(i64, usize, u64, Event)>;

/// Sends telemetry of `nodes` nodes (1 to [`NODES_MAX`]) to `url`, for `length` or
/// until the process is ended. `show` gets lines for people.
///
/// # Errors
/// If `url` is none that a node could have here, or the server lets none in at the start.
pub fn run(
    url: &str,
    nodes: u16,
    length: Option<Duration>,
    mut show: impl FnMut(&str),
) -> Result<(), DemoError> {
    let endpoint = Endpoint::parse(url)?;
    // Says what is wrong before anything else does.
    drop(Connection::open(&endpoint)?);
    let started_at = Instant::now();
    let mut fleet = Fleet::new(endpoint, nodes.clamp(1, NODES_MAX));
    show(&format!(
        "{} nodes of {} chains send to {url}; Ctrl-C ends them",
        fleet.members.len(),
        chain::CHAINS.len()
    ));
    while length.is_none_or(|length| started_at.elapsed() < length) {
        if let Some(line) = fleet.step() {
            show(&line);
        }
    }
    Ok(())
}

struct Fleet {
    endpoint: Endpoint,
    members: Vec<Member>,
    due: BinaryHeap<Due>,
    is_away: bool,
}

impl Fleet {
    fn new(endpoint: Endpoint, nodes: u16) -> Self {
        let now = Utc::now().timestamp_millis();
        let members: Vec<_> = (0..nodes)
            .map(|index| Member {
                node: Node::new(index),
                connection: None,
                connections: 0,
            })
            .collect();
        let at = |index: u16| now + START_SPREAD_MS * i64::from(index) / i64::from(nodes);
        let due = (0..nodes)
            .map(|index| Reverse((at(index), usize::from(index), 0, Event::Connect)))
            .collect();
        Self {
            endpoint,
            members,
            due,
            is_away: false,
        }
    }

    /// Waits for what is due next, at most half a second, and does it. Returns what
    /// is worth showing.
    fn step(&mut self) -> Option<String> {
        const LONGEST_WAIT_MS: i64 = 500;
        let now = Utc::now().timestamp_millis();
        let at = self.due.peek().map(|Reverse((at, ..))| *at);
        let wait = at.map_or(LONGEST_WAIT_MS, |at| at - now);
        if wait > 0 {
            let wait = u64::try_from(wait.min(LONGEST_WAIT_MS)).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(wait));
            return None;
        }
        let Reverse((_, index, connection, event)) = self.due.pop()?;
        let member = self.members.get_mut(index)?;
        if connection != member.connections {
            return None;
        }
        match event {
            Event::Connect => self.connect(index, now),
            Event::Leave { away_ms } => {
                member.disconnect();
                self.plan(index, now + away_ms, Event::Connect);
                None
            }
            event => {
                let node = &member.node;
                let sent = member.connection.as_mut().map(|connection| {
                    node.messages(event, now)
                        .iter()
                        .try_for_each(|message| connection.send(message.as_bytes()))
                });
                match sent {
                    Some(Ok(())) => {
                        for (at, next) in member.node.after(event, now) {
                            self.plan(index, at, next);
                        }
                        None
                    }
                    _ => self.disconnected(index, now),
                }
            }
        }
    }

    fn connect(&mut self, index: usize, now: i64) -> Option<String> {
        let Ok(connection) = Connection::open(&self.endpoint) else {
            return self.disconnected(index, now);
        };
        let member = self.members.get_mut(index)?;
        member.connection = Some(connection);
        member.connections += 1;
        for (at, event) in member.node.after(Event::Connect, now) {
            self.plan(index, at, event);
        }
        let was_away = std::mem::replace(&mut self.is_away, false);
        was_away.then(|| "the server is there again".to_owned())
    }

    fn disconnected(&mut self, index: usize, now: i64) -> Option<String> {
        self.members.get_mut(index)?.disconnect();
        self.plan(index, now + RETRY_MS, Event::Connect);
        let was_away = std::mem::replace(&mut self.is_away, true);
        (!was_away).then(|| "the server is away; the nodes try again every 10 s".to_owned())
    }

    fn plan(&mut self, index: usize, at: i64, event: Event) {
        if let Some(member) = self.members.get(index) {
            self.due
                .push(Reverse((at, index, member.connections, event)));
        }
    }
}
