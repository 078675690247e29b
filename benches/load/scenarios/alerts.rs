//! How long it takes from a change of status until the alert of it is delivered.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::status::{enter_fleet, hold_nodes};
use crate::receiver::{Received, Receiver};
use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome};

const NODES: u64 = 10_000;
const SECONDS: u64 = 60;
/// Nodes that begin a conflict each second, and at once at the end.
const EACH_SECOND: u64 = 5;
const AT_ONCE: u64 = 500;
const TIMEOUT: Duration = Duration::from_secs(60);
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const LEGEND: &str = "10,000 nodes are entered by SQL and have a new message each second. Some begin a conflict: the alert of each goes to a webhook \
    and to an Alertmanager, receivers within the bench that answer at once. Milliseconds from the flip, as `status_changes` has it, \
    until its alert has arrived; from the cause: from when the table of nodes has it. The goal is a p99 of 2 s from the flip.";
const COLUMNS: [&str; 8] = [
    "alerts",
    "target",
    "number",
    "p50 ms",
    "p99 ms",
    "longest ms",
    "from the cause, p99 ms",
    "lost",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let (webhook, alertmanager) = (Receiver::start()?, Receiver::start()?);
    let server = Server::start(&[
        ("NOTIFY_WEBHOOK_URL", &webhook.url()),
        ("NOTIFY_WEBHOOK_SECRET", KEY),
        ("NOTIFY_ALERTMANAGER_URL", &alertmanager.url()),
        ("NOTIFY_ALLOW_PRIVATE", "true"),
    ])?;
    let mut section = Section::new("Alerts", LEGEND, server.database.version()?, &COLUMNS);
    hold_nodes(&server)?;
    enter_fleet(&server, NODES)?;
    let seconds = options.scaled(SECONDS);
    let begun = Instant::now();
    for second in 1..=seconds {
        conflict(&server, second * EACH_SECOND)?;
        let next = Duration::from_secs(second);
        thread::sleep(next.saturating_sub(begun.elapsed()));
    }
    let steady = seconds * EACH_SECOND;
    let all = steady + options.scaled(AT_ONCE);
    wait(&webhook, &alertmanager, steady)?;
    conflict(&server, all)?;
    wait(&webhook, &alertmanager, all)?;
    let flips = flips(&server)?;
    for (name, first, last) in [
        (format!("{EACH_SECOND} a second"), 1, steady),
        (format!("{} at once", all - steady), steady + 1, all),
    ] {
        for (target, arrived) in [
            ("webhook", arrivals(&webhook.received(), webhook_peer)),
            ("Alertmanager", arrivals(&alertmanager.received(), |_| None)),
        ] {
            let of: Vec<&Flip> = flips
                .iter()
                .filter(|flip| (first..=last).contains(&flip.number))
                .collect();
            let delays = |from: fn(&Flip) -> f64| {
                let delays = of
                    .iter()
                    .filter_map(|flip| Some(arrived.get(&flip.peer_id)? - from(flip)));
                let mut delays: Vec<f64> = delays.collect();
                delays.sort_by(f64::total_cmp);
                delays
            };
            let (from_flip, from_cause) = (delays(|flip| flip.at), delays(|flip| flip.cause_at));
            let lost = (last - first + 1) - from_flip.len() as u64;
            report.count(lost, 0);
            section.row([
                name.clone(),
                target.to_owned(),
                grouped(from_flip.len() as f64),
                millis(quantile(&from_flip, 0.5)),
                millis(quantile(&from_flip, 0.99)),
                millis(quantile(&from_flip, 1.0)),
                millis(quantile(&from_cause, 0.99)),
                lost.to_string(),
            ]);
        }
    }
    server.stop()?;
    report.add(section);
    Ok(())
}

/// A second in which the nodes up to this number are in conflict.
fn conflict(server: &Server, up_to: u64) -> Outcome<()> {
    server.database.run(&format!(
        "UPDATE nodes SET last_seen_at = now(), best_height = best_height + 1, best_at = now(), finalized_height = finalized_height + 1, \
           conflict_since = CASE WHEN session_id <= {up_to} THEN coalesce(conflict_since, now()) END; \
         UPDATE projections SET position = position + 1 WHERE name = 'nodes'"
    ))?;
    Ok(())
}

/// Waits until so many alerts were delivered to both.
fn wait(webhook: &Receiver, alertmanager: &Receiver, alerts: u64) -> Outcome<()> {
    let begun = Instant::now();
    let count = || {
        let webhook = arrivals(&webhook.received(), webhook_peer).len();
        webhook.min(arrivals(&alertmanager.received(), |_| None).len()) as u64
    };
    while count() < alerts {
        if begun.elapsed() > TIMEOUT {
            return Err(format!("{} of {alerts} alerts were delivered", count()).into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// When the first alert of each node arrived.
fn arrivals(received: &[Received], peer: fn(&Value) -> Option<&str>) -> HashMap<String, f64> {
    let mut arrived = HashMap::new();
    for (at, body) in received {
        let peers: Vec<&str> = match body.as_array() {
            // An Alertmanager gets many at once.
            Some(alerts) => alerts
                .iter()
                .filter_map(|alert| alert["labels"]["peer_id"].as_str())
                .collect(),
            None => peer(body).into_iter().collect(),
        };
        for peer in peers {
            arrived.entry(peer.to_owned()).or_insert(*at);
        }
    }
    arrived
}

fn webhook_peer(body: &Value) -> Option<&str> {
    body["data"]["peer_id"].as_str()
}

/// A node that began a conflict.
struct Flip {
    number: u64,
    peer_id: String,
    /// When it was judged so, and since when the table of nodes has it; Unix seconds.
    at: f64,
    cause_at: f64,
}

fn flips(server: &Server) -> Outcome<Vec<Flip>> {
    let rows = server.database.run(
        "SELECT n.session_id, n.peer_id, extract(epoch FROM c.changed_at), extract(epoch FROM n.conflict_since) \
         FROM status_changes c JOIN nodes n USING (peer_id, genesis_hash) WHERE c.to_state = 'conflict'",
    )?;
    let read = |line: &str| -> Option<Flip> {
        let mut fields = line.split('|');
        Some(Flip {
            number: fields.next()?.parse().ok()?,
            peer_id: fields.next()?.to_owned(),
            at: fields.next()?.parse().ok()?,
            cause_at: fields.next()?.parse().ok()?,
        })
    };
    Ok(rows.lines().filter_map(read).collect())
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.max(1) - 1).copied().unwrap_or(f64::NAN)
}
