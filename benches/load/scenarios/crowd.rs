//! Readers of the live table of all nodes that come at once, and how long nodes wait meanwhile.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Bytes, Message, WebSocket};

use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome, measure};

/// Nodes of the table, and readers that subscribe at once.
const ROUNDS: [(u64, usize); 4] = [(100_000, 0), (100_000, 4), (1_000, 0), (1_000, 500)];

/// The table of the readers before is forgotten soon.
const SETTINGS: [(&str, &str); 3] = [
    ("FEED_CONNECTIONS_MAX", "1000"),
    ("CONNECTIONS_PER_IP_MAX", "0"),
    ("CACHE_EXPIRY_S", "1"),
];

/// Connections of nodes that ping in turn, each less often than once in half a second: more are
/// not answered. They share the threads of all others.
const PROBES: usize = 600;
const PROBE_PAUSE: Duration = Duration::from_millis(1);

/// Without readers it is measured for so long.
const REST: Duration = Duration::from_secs(5);

/// Longest wait for a part of the table.
const TABLE_MAX: Duration = Duration::from_secs(120);

const LEGEND: &str = "Nodes are entered by SQL. Readers subscribe to all nodes at once; complete is the time until \
    the last of them has all. Meanwhile 600 connections of nodes send pings in turn, a thousand a second: \
    milliseconds until the answer, without readers and with them. Readers, server and PostgreSQL share the processors.";
const COLUMNS: [&str; 8] = [
    "nodes",
    "readers",
    "complete ms",
    "MB read",
    "delay p50 ms",
    "delay p99 ms",
    "worst delay ms",
    "memory MiB",
];

type Socket = WebSocket<TcpStream>;

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let server = Server::start(&SETTINGS)?;
    let database = &server.database;
    let mut section = Section::new(
        "Readers of all nodes at once",
        LEGEND,
        database.version()?,
        &COLUMNS,
    );
    for (nodes, readers) in ROUNDS {
        let nodes = options.scaled(nodes);
        database.run("TRUNCATE nodes; DELETE FROM peer_connections WHERE server_id = 'bench'")?;
        database.run(&entered(nodes))?;
        database.run("VACUUM (ANALYZE) peer_connections, nodes")?;
        while server.scrape()?.value("feed_nodes")? > 0.0 {
            thread::sleep(Duration::from_millis(200));
        }
        let probes = (0..PROBES).map(|_| connect(server.address, "/submit"));
        let probes = probes.collect::<Outcome<Vec<Socket>>>()?;
        let is_over = AtomicBool::new(false);
        let (mut delays, all) = thread::scope(|scope| -> Outcome<_> {
            let probing = scope.spawn(|| probe(probes, &is_over));
            let reading: Vec<_> = (0..readers)
                .map(|_| scope.spawn(|| read_all(server.address)))
                .collect();
            let all: Vec<_> = reading.into_iter().map(|one| one.join()).collect();
            if readers == 0 {
                thread::sleep(REST);
            }
            is_over.store(true, Ordering::Relaxed);
            let delays = probing.join().map_err(|_panic| "the probe panicked")??;
            Ok((delays, all))
        })?;
        let all = all
            .into_iter()
            .map(|one| one.map_err(|_panic| "a reader panicked")?)
            .collect::<Outcome<Vec<(f64, u64)>>>()?;
        delays.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = delays.len().saturating_sub(1);
            let delay = delays.get((last as f64 * share) as usize);
            millis(delay.copied().unwrap_or(f64::NAN))
        };
        let last = all.iter().map(|(seconds, _)| *seconds).fold(0.0, f64::max);
        let bytes: u64 = all.iter().map(|(_, bytes)| *bytes).sum();
        section.row([
            grouped(nodes as f64),
            readers.to_string(),
            millis(last),
            grouped(bytes as f64 / 1e6),
            at(0.5),
            at(0.99),
            at(1.0),
            grouped(measure::resident_bytes(server.pid())? as f64 / f64::from(1 << 20)),
        ]);
    }
    server.stop()?;
    report.add(section);
    Ok(())
}

/// Nodes that have left within the last hour, each with its session.
fn entered(count: u64) -> String {
    format!(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, audit, name, chain, version, authority, startup_time, implementation, \
           connection_id, server_id, genesis_hash, last_seen_at, disconnected_at, disconnect_reason) \
         SELECT -i, '10.0.0.1', '12D3KooW' || md5(i::text) || lpad(i::text, 12, '0'), now() - interval '1 day', false, 'node ' || i, 'Chain ' || i % 20, '1.0.0', false, '0', \
           'substrate-node', -i, 'bench', '0x' || repeat(md5((i % 20)::text), 2), now(), now() - i * interval '10 milliseconds', 'closed_by_node' FROM generate_series(1, {count}) i; \
         INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, disconnect_reason, \
           best_height, best_hash, best_at, finalized_height, finalized_at, peers) \
         SELECT peer_id, genesis_hash, name, chain, id, created_at, id, created_at, last_seen_at, false, disconnected_at, disconnect_reason, 1000, genesis_hash, created_at, 997, created_at, 25 \
         FROM peer_connections WHERE server_id = 'bench'"
    )
}

fn connect(address: SocketAddr, path: &str) -> Outcome<Socket> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TABLE_MAX))?;
    let (socket, _) = tungstenite::client(format!("ws://{address}{path}"), stream)
        .map_err(|error| error.to_string())?;
    Ok(socket)
}

/// Subscribes to all nodes; seconds until all were sent, and their bytes.
fn read_all(address: SocketAddr) -> Outcome<(f64, u64)> {
    let begin = Instant::now();
    let mut socket = connect(address, "/feed")?;
    let request = json!({"topic": "nodes", "interest": "subscribe"});
    socket.send(request.to_string().into())?;
    let mut bytes = 0;
    loop {
        let text = match socket.read()? {
            Message::Text(text) => text,
            Message::Close(frame) => return Err(format!("the feed ended: {frame:?}").into()),
            _ => continue,
        };
        bytes += text.len() as u64;
        // At the end of the text; the rows are not read, for that costs more than to write them.
        if text.ends_with("\"complete\":true}") {
            return Ok((begin.elapsed().as_secs_f64(), bytes));
        }
        if text.starts_with("{\"error\"") {
            let answer: Value = serde_json::from_str(&text)?;
            return Err(format!("the feed refused the subscription: {answer}").into());
        }
    }
}

/// Sends pings as nodes, in turn; the seconds until each answer.
fn probe(mut nodes: Vec<Socket>, is_over: &AtomicBool) -> Outcome<Vec<f64>> {
    let mut delays = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        for node in &mut nodes {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let sent_at = Instant::now();
            node.send(Message::Ping(Bytes::from_static(b"probe")))?;
            while !matches!(node.read()?, Message::Pong(_)) {}
            delays.push(sent_at.elapsed().as_secs_f64());
            thread::sleep(PROBE_PAUSE);
        }
    }
    Ok(delays)
}
