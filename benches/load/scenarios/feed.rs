//! Subscribers of the live feed, and what they cost ingestion.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Cost, Usage};
use crate::frames::peer_id;
use crate::generator::{Fleet, Writes};
use crate::listeners::{Heard, Listeners};
use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome};

/// Messages of other nodes, as fast as the server takes them.
const FLOOD: u64 = 600_000;
const FLOODERS: usize = 100;
/// Seconds without a flood in which delays are measured.
const QUIET_SECONDS: u64 = 30;
/// Turns with and without listeners, one after the other.
const TURNS: usize = 3;
const PAUSE: Duration = Duration::from_secs(2);

const LEGEND: &str = "Delay is the time in milliseconds from the time of a message, given by the generator \
    when it sends it, to its arrival at the reader, for the oldest message of each text; first while only \
    the followed nodes talk, then while 100 others send as fast as the server takes it. The rate is that of \
    those others, without and with the listeners, in turns; the ratio is of the medians. Generator and \
    reader share the machine; `reader s` is the processor time that the bench's own reading took in the \
    turns with listeners. Processor time of the server is in microseconds per message stored.";
const COLUMNS: [&str; 12] = [
    "listeners",
    "messages delivered",
    "p50 ms",
    "p99 ms",
    "p99 ms, flood",
    "stored/s, without",
    "stored/s, with",
    "ratio",
    "server µs, without",
    "server µs, with",
    "reader s",
    "missed",
];

/// What is followed.
struct Followed {
    what: &'static str,
    nodes: usize,
    /// Time between two messages of a node.
    period: Duration,
    listeners: usize,
    request: Value,
}

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let subscribe = |field: &str, value: String| json!({"interest": "subscribe", field: value});
    let mut section = None;
    for followed in [
        Followed {
            what: "one node, 20 messages/s",
            nodes: 1,
            period: Duration::from_millis(50),
            listeners: 1_000,
            request: subscribe("peer_id", peer_id(0)),
        },
        Followed {
            what: "a chain of 1,000 nodes, 400 messages/s",
            nodes: 1_000,
            period: Duration::from_millis(2_500),
            listeners: 100,
            request: subscribe("chain", "followed".to_owned()),
        },
    ] {
        let server = Server::start(&[])?;
        let section = section.get_or_insert(Section::new(
            "Live feed",
            LEGEND,
            server.database.version()?,
            &COLUMNS,
        ));
        follow(&server, &followed, options, section)?;
        server.stop()?;
    }
    section.into_iter().for_each(|section| report.add(section));
    Ok(())
}

fn follow(
    server: &Server,
    followed: &Followed,
    options: Options,
    section: &mut Section,
) -> Outcome<()> {
    let (address, format) = (server.address, options.format);
    let nodes = 0..followed.nodes;
    let mut talkers = Fleet::connect_on(address, "followed", nodes, format, Writes::Whole)?;
    let nodes = followed.nodes..followed.nodes + FLOODERS;
    let mut flooders = Fleet::connect_on(address, "others", nodes, format, Writes::Whole)?;
    server.wait_until_stored(talkers.sent() + flooders.sent())?;

    let listeners = Listeners::connect(address, followed.listeners, &followed.request)?;
    thread::sleep(PAUSE);
    let quiet = Duration::from_secs(options.scaled(QUIET_SECONDS));
    talkers.paced(followed.period, quiet)?;
    thread::sleep(PAUSE);
    let mut calm = listeners.leave()?;

    let postmaster = server.database.postmaster()?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut flooded = Heard::default();
    for turn in 0..TURNS * 2 {
        let is_heard = turn % 2 == 1;
        let listeners = match is_heard {
            true => Some(Listeners::connect(
                address,
                followed.listeners,
                &followed.request,
            )?),
            false => None,
        };
        server.database.settle()?;
        thread::sleep(PAUSE);
        let messages = options.scaled(FLOOD);
        let is_over = AtomicBool::new(false);
        let before = Usage::now(server, postmaster)?;
        thread::scope(|scope| -> Outcome<()> {
            let is_over = &is_over;
            let talkers = &mut talkers;
            let talking = scope.spawn(move || {
                talkers.paced_while(followed.period, |_| !is_over.load(Ordering::Relaxed))
            });
            let flooded = flooders.flat_out(messages);
            is_over.store(true, Ordering::Relaxed);
            flooded?;
            talking.join().map_err(|_panic| "the talkers panicked")??;
            Ok(())
        })?;
        server.wait_until_stored(talkers.sent() + flooders.sent())?;
        let cost = Usage::now(server, postmaster)?.since(&before, messages);
        match listeners {
            None => without.push(cost),
            Some(listeners) => {
                with.push(cost);
                let heard = listeners.leave()?;
                flooded.delays.extend(heard.delays);
                flooded.cpu += heard.cpu;
                calm.messages += heard.messages;
            }
        }
    }
    let scrape = server.scrape()?;
    let missed = scrape.value("feed_messages_missed_total{reason=\"slow_reader\"}")?
        + scrape.value("feed_messages_missed_total{reason=\"hub_busy\"}")?;
    let (without, with) = (median(without), median(with));
    section.row([
        format!(
            "{} on {}",
            grouped(followed.listeners as f64),
            followed.what
        ),
        grouped(calm.messages as f64),
        millis(calm.quantile(0.5)),
        millis(calm.quantile(0.99)),
        millis(flooded.quantile(0.99)),
        grouped(without.per_second),
        grouped(with.per_second),
        format!("{:.3}", with.per_second / without.per_second),
        format!("{:.2}", without.server_us),
        format!("{:.2}", with.server_us),
        format!("{:.1}", flooded.cpu.as_secs_f64()),
        grouped(missed),
    ]);
    Ok(())
}

/// The turn in the middle, by rate.
fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    costs[costs.len() / 2]
}
