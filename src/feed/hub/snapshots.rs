//! Snapshots of the table of all nodes: each subscriber gets one in parts, in turns that are
//! bounded, so that a crowd that subscribes at once keeps nobody else waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::WriteNodes;
use super::table::{CHUNK, Rows, Watched};
use crate::feed::node_table::NodeChanged;
use crate::feed::shared::{Shared, Waiting};
use crate::feed::subscribers::{NodesView, Subscriber, SubscriberId, Update};

/// Parts and lists of nodes that are put together in one turn: some milliseconds of work.
const TURN_MADE: usize = 2;

/// Subscribers that get a part in one turn.
const TURN_SENT: usize = 64;

/// Subscribers that are not through with their snapshot, in turn.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    queue: VecDeque<SubscriberId>,
    /// The largest part so far, bytes: nothing is written for a subscriber without room for as much.
    largest: usize,
}

/// What became of a turn.
#[derive(Debug)]
pub(super) struct Turn {
    write: WriteNodes,
    made: usize,
    sent: usize,
    /// Parts of this turn: those who began at the same time share them.
    parts: Vec<Part>,
    /// Some have not got all yet that there is.
    pub(super) has_more: bool,
}

#[derive(Debug)]
struct Part {
    keys: Arc<[Arc<str>]>,
    start: usize,
    with_unknown: bool,
    rows: Rows,
}

/// What became of a subscriber in its turn.
enum Step {
    /// It got a part.
    Sent,
    /// It has no room for one.
    Full,
    /// It has all that there is, but not all nodes are known yet.
    Waits,
    /// It has all.
    Done,
}

impl Turn {
    /// Whether anybody got a part.
    pub(super) fn has_sent(&self) -> bool {
        self.sent > 0
    }

    fn is_over(&self) -> bool {
        self.made >= TURN_MADE || self.sent >= TURN_SENT
    }
}

impl Snapshots {
    /// Whether nobody waits for a part.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// A subscriber is to get a snapshot.
    pub(super) fn add(&mut self, id: SubscriberId, subscriber: &mut Subscriber) {
        if !std::mem::replace(&mut subscriber.is_queued, true) {
            self.queue.push_back(id);
        }
    }

    /// Sends the next part to some of them.
    pub(super) fn turn(
        &mut self,
        subscribers: &mut HashMap<SubscriberId, Subscriber>,
        watched: &mut Watched,
        write: WriteNodes,
        waiting: &Waiting,
        now: Instant,
    ) -> Turn {
        let mut turn = Turn {
            write,
            made: 0,
            sent: 0,
            parts: Vec::new(),
            has_more: false,
        };
        for _ in 0..self.queue.len() {
            if turn.is_over() {
                turn.has_more = true;
                break;
            }
            let Some(id) = self.queue.pop_front() else {
                break;
            };
            let Some(subscriber) = subscribers.get_mut(&id) else {
                continue;
            };
            let Some(mut view) = subscriber.nodes.take() else {
                subscriber.is_queued = false;
                continue;
            };
            let step = match subscriber.has_room(self.largest, now) {
                true => step(watched, subscriber, &mut view, &mut turn, waiting, now),
                false => Step::Full,
            };
            subscriber.nodes = Some(view);
            subscriber.is_queued = !matches!(step, Step::Done);
            turn.has_more |= matches!(step, Step::Sent | Step::Full);
            turn.sent += usize::from(matches!(step, Step::Sent));
            if subscriber.is_queued {
                self.queue.push_back(id);
            }
        }
        let largest = turn.parts.iter().map(|part| part.rows.bytes()).max();
        self.largest = self.largest.max(largest.unwrap_or(0));
        turn
    }
}

fn step(
    watched: &mut Watched,
    subscriber: &mut Subscriber,
    view: &mut NodesView,
    turn: &mut Turn,
    waiting: &Waiting,
    now: Instant,
) -> Step {
    let keys = match &view.keys {
        Some(keys) => keys.clone(),
        None => {
            let (keys, is_new) = watched.keys(view.chain.as_deref());
            turn.made += usize::from(is_new);
            view.sent = 0;
            view.keys.insert(keys).clone()
        }
    };
    let left = keys.len().saturating_sub(view.sent);
    let count = left.min(CHUNK);
    // A client that stops there has all nodes, also those that came meanwhile.
    let has_all = watched.is_complete && !watched.table.has_new() && !view.is_behind;
    let is_complete = view.is_complete || (count == left && has_all);
    if count == 0 && view.is_complete == is_complete {
        return if is_complete { Step::Done } else { Step::Waits };
    }
    let update = Update::Nodes {
        rows: turn.part(watched, &keys, (view.sent, count), view.is_again, waiting),
        is_complete,
    };
    if !subscriber.offer(update, now) {
        return Step::Full;
    }
    view.sent += count;
    view.is_complete |= is_complete;
    Step::Sent
}

impl Turn {
    /// Some rows of a list of nodes.
    fn part(
        &mut self,
        watched: &Watched,
        keys: &Arc<[Arc<str>]>,
        (start, count): (usize, usize),
        with_unknown: bool,
        waiting: &Waiting,
    ) -> Rows {
        let known = self.parts.iter().find(|part| {
            Arc::ptr_eq(&part.keys, keys)
                && part.start == start
                && part.with_unknown == with_unknown
        });
        if let Some(part) = known {
            return part.rows.clone();
        }
        let keys_of_part = keys.iter().skip(start).take(count);
        let rows: Vec<NodeChanged> = keys_of_part
            .filter_map(|key| watched.table.row(key, with_unknown))
            .collect();
        let rows = Shared::new((self.write)(&rows), waiting);
        self.made += 1;
        self.parts.push(Part {
            keys: keys.clone(),
            start,
            with_unknown,
            rows: rows.clone(),
        });
        rows
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use actix::{Actor, AsyncContext, Context, Handler, Recipient, WrapFuture};
    use bytestring::ByteString;
    use chrono::DateTime;
    use tokio::sync::oneshot;

    use super::*;
    use crate::feed::shared::WAITING_MAX;
    use crate::feed::subscribers::Delivery;
    use crate::ids::{ConnectionId, SessionId};
    use crate::store::SessionRow;
    use crate::telemetry::{HardwareBenchmark, NodeFacts};

    /// Rows of the parts that a subscriber got, and whether the last one was marked.
    type Got = Arc<Mutex<(Vec<String>, bool)>>;

    struct Reader(Got);

    impl Actor for Reader {
        type Context = Context<Self>;
    }

    impl Handler<Delivery> for Reader {
        type Result = ();

        fn handle(&mut self, delivery: Delivery, _ctx: &mut Self::Context) {
            let Update::Nodes { rows, is_complete } = &delivery.update else {
                panic!("only rows come here");
            };
            let mut got = self.0.lock().unwrap();
            got.0.push(rows.trim().to_owned());
            got.1 = *is_complete;
        }
    }

    /// How many they are, in a text as long as theirs.
    fn write(rows: &[NodeChanged]) -> ByteString {
        format!("{}{}", rows.len(), " ".repeat(400 * rows.len())).into()
    }

    /// Takes nothing that it is sent.
    struct Stalled;

    impl Actor for Stalled {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            ctx.wait(std::future::pending().into_actor(self));
        }
    }

    impl Handler<Delivery> for Stalled {
        type Result = ();

        fn handle(&mut self, _delivery: Delivery, _ctx: &mut Self::Context) {}
    }

    fn session(number: i64) -> SessionRow {
        SessionRow {
            id: SessionId(number),
            ip_addr: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            audit: false,
            node_id: Some(1),
            connection_id: ConnectionId(1),
            server_id: "server".to_owned(),
            facts: NodeFacts {
                peer_id: Some(format!("peer {number}")),
                ..NodeFacts::default()
            },
            hardware: HardwareBenchmark::default(),
            last_seen_at: DateTime::UNIX_EPOCH,
            disconnected_at: None,
            disconnect_reason: None,
            revision: 1,
        }
    }

    fn table(nodes: i64) -> Watched {
        let mut watched = Watched::default();
        watched.is_complete = true;
        for number in 0..nodes {
            watched.table.session(&session(number));
        }
        watched.table.take_changes(usize::MAX);
        watched
    }

    fn subscribe(
        snapshots: &mut Snapshots,
        subscribers: &mut HashMap<SubscriberId, Subscriber>,
        (number, mailbox): (u64, Recipient<Delivery>),
        total: &Waiting,
    ) {
        let mut subscriber = Subscriber::new(mailbox, oneshot::channel().0, total.clone());
        subscriber.nodes = Some(NodesView::default());
        snapshots.add(SubscriberId(number), &mut subscriber);
        subscribers.insert(SubscriberId(number), subscriber);
    }

    fn reader() -> (Got, Recipient<Delivery>) {
        let got = Got::default();
        (got.clone(), Reader(got).start().recipient())
    }

    #[actix_web::test]
    async fn a_crowd_gets_its_snapshots_in_turns_that_are_bounded_and_shares_their_parts() {
        let (mut snapshots, mut subscribers) = (Snapshots::default(), HashMap::new());
        let (mut watched, total) = (table(2_000), Waiting::default());
        let all: Vec<Got> = (0..500)
            .map(|number| {
                let (got, mailbox) = reader();
                subscribe(&mut snapshots, &mut subscribers, (number, mailbox), &total);
                got
            })
            .collect();
        let mut made = 0;
        loop {
            let now = Instant::now();
            let turn = snapshots.turn(&mut subscribers, &mut watched, write, &total, now);
            assert!(turn.made <= TURN_MADE && turn.sent <= TURN_SENT, "{turn:?}");
            made += turn.made;
            if !turn.has_more {
                break;
            }
            // They take what they were given.
            tokio::task::yield_now().await;
        }
        assert!(snapshots.is_empty());
        while total.bytes() > 0 {
            tokio::task::yield_now().await;
        }
        for got in all {
            assert_eq!(*got.lock().unwrap(), (vec![CHUNK.to_string(); 4], true));
        }
        assert!(made < 100, "{made} parts for 500 times 4");
    }

    #[actix_web::test]
    async fn one_that_reads_nothing_holds_a_bounded_part_and_keeps_nobody() {
        let (mut snapshots, mut subscribers) = (Snapshots::default(), HashMap::new());
        let (mut watched, total) = (table(30_000), Waiting::default());
        let stalled = Stalled.start().recipient();
        subscribe(&mut snapshots, &mut subscribers, (1, stalled), &total);
        let (quick, mailbox) = reader();
        subscribe(&mut snapshots, &mut subscribers, (2, mailbox), &total);
        while !quick.lock().unwrap().1 {
            snapshots.turn(
                &mut subscribers,
                &mut watched,
                write,
                &total,
                Instant::now(),
            );
            let waits = subscribers.get(&SubscriberId(1)).unwrap().waiting_bytes();
            assert!(waits <= WAITING_MAX, "{waits} bytes wait");
            tokio::task::yield_now().await;
        }
        assert_eq!(quick.lock().unwrap().0.len(), 30_000 / CHUNK);
    }
}
