//! What it costs to judge all nodes each second.

use std::thread;
use std::time::{Duration, Instant};

use crate::measure;
use crate::report::{Report, Section, grouped};
use crate::server::Server;
use crate::{Options, Outcome};

const SECONDS: u64 = 30;
/// Nodes, and how many of them change each second.
const FLEETS: [(u64, u64); 3] = [(1_000, 0), (10_000, 0), (10_000, 100)];
const TIMEOUT: Duration = Duration::from_secs(120);

const LEGEND: &str = "Nodes are entered by SQL and have a new message and a new block each second, so each round reads \
    and judges all of them; those that change begin or end a conflict. Processor time of the thread that judges and of its \
    process of PostgreSQL, in milliseconds each second. The goal is 50 for 10,000 nodes.";
const COLUMNS: [&str; 6] = [
    "nodes",
    "changes/s",
    "kept",
    "server ms/s",
    "PostgreSQL ms/s",
    "together ms/s",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let server = Server::start(&[])?;
    let mut section = Section::new(
        "Status of nodes",
        LEGEND,
        server.database.version()?,
        &COLUMNS,
    );
    hold_nodes(&server)?;
    for (nodes, changes) in FLEETS {
        enter_fleet(&server, nodes)?;
        let backend: u32 = server.database.value(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'tetcore-analytics status'",
        )?;
        let used = || -> Outcome<_> {
            let own = measure::cpu_of_thread(server.pid(), "status")?;
            Ok((own, measure::cpu_of_process(backend)?))
        };
        let kept =
            || -> Outcome<u64> { server.database.value("SELECT count(*) FROM status_changes") };
        let (before, kept_before, begun) = (used()?, kept()?, Instant::now());
        for second in 1..=options.scaled(SECONDS) {
            server.database.run(&round(changes))?;
            let next = Duration::from_secs(second);
            thread::sleep(next.saturating_sub(begun.elapsed()));
        }
        let (after, took) = (used()?, begun.elapsed().as_secs_f64());
        let each = |now: Duration, then: Duration| (now - then).as_secs_f64() * 1e3 / took;
        let (own, postgres) = (each(after.0, before.0), each(after.1, before.1));
        section.row([
            grouped(nodes as f64),
            changes.to_string(),
            grouped((kept()? - kept_before) as f64),
            format!("{own:.1}"),
            format!("{postgres:.1}"),
            format!("{:.1}", own + postgres),
        ]);
    }
    server.stop()?;
    report.add(section);
    Ok(())
}

/// Nobody else writes the nodes: the bench is the projection.
pub(super) fn hold_nodes(server: &Server) -> Outcome<()> {
    server.database.run(
        "INSERT INTO leases VALUES ('projection:nodes', 'bench', 1000, now(), now() + interval '1 day') \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = leases.token + 1, expires_at = excluded.expires_at",
    )?;
    // The server learns it when it renews its leases.
    thread::sleep(Duration::from_secs(5));
    Ok(())
}

/// Enters nodes up to this number, and waits until they are judged.
pub(super) fn enter_fleet(server: &Server, nodes: u64) -> Outcome<()> {
    server.database.run(&fleet(nodes))?;
    let judged = format!("SELECT count(*) >= {nodes} FROM node_status");
    let begun = Instant::now();
    while server.database.run(&judged)?.trim() != "t" {
        if begun.elapsed() > TIMEOUT {
            return Err("the nodes are not judged".into());
        }
        server.database.run(&round(0))?;
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// Nodes that are online, of 20 chains.
fn fleet(nodes: u64) -> String {
    format!(
        "INSERT INTO nodes (peer_id, genesis_hash, name, chain, server_id, session_id, session_at, first_session_id, first_seen_at, last_seen_at, online, since, \
           best_height, best_at, finalized_height, finalized_at) \
         SELECT '12D3KooW' || md5(i::text) || lpad(i::text, 12, '0'), '0x' || repeat(md5((i % 20)::text), 2), 'node ' || i, 'Chain ' || i % 20, \
           (SELECT id FROM servers LIMIT 1), i, now(), i, now(), now(), true, now(), 1000, now(), 997, now() FROM generate_series(1, {nodes}) i ON CONFLICT DO NOTHING; \
         UPDATE projections SET position = coalesce(position, 0) + 1, build_end = NULL, built_until = NULL WHERE name = 'nodes'; \
         ANALYZE nodes"
    )
}

/// A second: each node has a message and a block, and some change.
fn round(changes: u64) -> String {
    format!(
        "UPDATE nodes SET last_seen_at = now(), best_height = best_height + 1, best_at = now(), finalized_height = finalized_height + 1, \
           conflict_since = CASE WHEN session_id <= {changes} THEN CASE WHEN conflict_since IS NULL THEN now() END END; \
         UPDATE projections SET position = position + 1 WHERE name = 'nodes'"
    )
}
