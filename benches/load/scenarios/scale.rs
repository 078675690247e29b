//! What a large past costs queries about the present: a million nodes that
//! ever were, of which a thousand are online.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::Message;

use super::queries;
use crate::random::Random;
use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome};

/// Nodes that ever were.
const EVER: u64 = 1_000_000;
/// Those that are online.
const ONLINE: u64 = 1_000;
/// Longest wait for a part of the table.
const TABLE_MAX: Duration = Duration::from_secs(60);
/// Starts of the server, of which the median counts.
const STARTS: usize = 5;

const LEGEND: &str = "Nodes are entered by SQL, each with one session, as they were when they had come and \
    gone over a year; a thousand are online. Start is the time from the start of the process until \
    `/health/ready` says yes. Milliseconds of `/nodes?limit=1000` are from the request to the whole answer, one request \
    after the other. Table is the time until the first subscriber of the table of nodes has all rows (`complete`): \
    those online, and those that left within a day.";
const COLUMNS: [&str; 7] = [
    "nodes ever",
    "start ms",
    "/nodes p50 ms",
    "/nodes p99 ms",
    "online=true p99 ms",
    "name= p99 ms",
    "table ms",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let mut server = Server::start(&[])?;
    let mut section = Section::new("A large past", LEGEND, server.database.version()?, &COLUMNS);
    for ever in [ONLINE, options.scaled(EVER)] {
        let gone = ever.saturating_sub(ONLINE);
        server.database.run(&gone_nodes(gone))?;
        server
            .database
            .run("VACUUM (ANALYZE) peer_connections, nodes")?;
        server.database.settle()?;
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            let data_dir = server.stop()?;
            let begun = Instant::now();
            server = Server::start_in(data_dir, &[])?;
            starts.push(begun.elapsed().as_secs_f64());
        }
        starts.sort_by(f64::total_cmp);
        server.database.run(ONLINE_NODES)?;
        let table = table_seconds(server.address)?;
        let mut random = Random(7);
        let mut ask = |path: &'static str| {
            let path: queries::Path = Box::new(move |_, _| Ok(Some(path.to_owned())));
            queries::ask(&server, &mut random, &path, options)
        };
        let nodes = ask("/nodes?limit=1000")?;
        let online = ask("/nodes?limit=1000&online=true")?;
        let named = ask("/nodes?name=node%20500")?;
        section.row([
            grouped(ever as f64),
            millis(starts[STARTS / 2]),
            millis(nodes.quantile(0.5)),
            millis(nodes.quantile(0.99)),
            millis(online.quantile(0.99)),
            millis(named.quantile(0.99)),
            millis(table),
        ]);
        server.database.run(
            "DELETE FROM nodes WHERE online; DELETE FROM peer_connections WHERE disconnected_at IS NULL",
        )?;
    }
    server.stop()?;
    report.add(section);
    Ok(())
}

/// Subscribes to all nodes; seconds until all were sent.
fn table_seconds(address: SocketAddr) -> Outcome<f64> {
    let begin = Instant::now();
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TABLE_MAX))?;
    let (mut socket, _) = tungstenite::client(format!("ws://{address}/feed"), stream)
        .map_err(|error| error.to_string())?;
    let request = json!({"topic": "nodes", "interest": "subscribe"});
    socket.send(request.to_string().into())?;
    loop {
        let text = match socket.read()? {
            Message::Text(text) => text,
            Message::Close(frame) => return Err(format!("the feed ended: {frame:?}").into()),
            _ => continue,
        };
        let answer: Value = serde_json::from_str(&text)?;
        if let Some(error) = answer.get("error") {
            return Err(format!("the feed refused the subscription: {error}").into());
        }
        if answer["complete"] == true {
            return Ok(begin.elapsed().as_secs_f64());
        }
    }
}

/// Nodes that came and went over a year, each with its session. The projections have taken
/// them in long ago: without the trigger the change stream has no change of them.
fn gone_nodes(count: u64) -> String {
    format!(
        "BEGIN; ALTER TABLE peer_connections DISABLE TRIGGER USER; \
         INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, audit, name, chain, version, authority, startup_time, implementation, \
           connection_id, server_id, genesis_hash, last_seen_at, disconnected_at, disconnect_reason) \
         SELECT -i, '10.0.0.1', 'gone-' || i, now() - i * interval '30 seconds', false, 'node ' || i, 'Chain ' || i % 20, '1.0.0', false, '0', 'substrate-node', \
           -i, 'bench', 'chain ' || i % 20, now() - i * interval '25 seconds', now() - i * interval '25 seconds', 'closed_by_node' FROM generate_series(1, {count}) i; \
         INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, disconnect_reason, best_height, best_at) \
         SELECT peer_id, genesis_hash, name, chain, id, created_at, id, created_at, last_seen_at, false, disconnected_at, disconnect_reason, 1, created_at \
         FROM peer_connections WHERE server_id = 'bench'; \
         ALTER TABLE peer_connections ENABLE TRIGGER USER; COMMIT"
    )
}

/// Nodes that are online at this server.
const ONLINE_NODES: &str = "
    INSERT INTO peer_connections (id, ip_addr, peer_id, created_at, audit, name, chain, version, authority, startup_time, implementation,
      connection_id, server_id, genesis_hash, last_seen_at)
    SELECT -2000000 - i, '10.0.0.1', 'online-' || i, now() - i * interval '1 minute', false, 'node ' || i, 'Chain ' || i % 20, '1.0.0', false, '0', 'substrate-node',
      -2000000 - i, (SELECT id FROM servers ORDER BY heartbeat_at DESC LIMIT 1), 'chain ' || i % 20, now() FROM generate_series(1, 1000) i;
    INSERT INTO nodes (peer_id, genesis_hash, name, chain, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, best_height, best_at)
    SELECT peer_id, genesis_hash, name, chain, id, created_at, id, created_at, last_seen_at, true, created_at, 1, created_at
    FROM peer_connections WHERE disconnected_at IS NULL ON CONFLICT DO NOTHING;
    ANALYZE peer_connections; ANALYZE nodes";
