//! What it costs to send events on: from the table to a receiver on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure;
use crate::report::{Report, Section, grouped};
use crate::server::Server;
use crate::{Options, Outcome};

const SECONDS: u64 = 30;
const EVENTS_PER_S: u64 = 5_000;
const TIMEOUT: Duration = Duration::from_secs(120);
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const LEGEND: &str = "Events of 300 bytes are entered by SQL, 5,000 each second, and sent to a receiver on this machine that takes \
    everything. Processor time of the thread that sends and of its process of PostgreSQL, in milliseconds each second; the lag \
    is how long the last event of a second waits until all are sent, at the end of the run.";
const COLUMNS: [&str; 6] = [
    "transport",
    "events",
    "lost",
    "server ms/s",
    "PostgreSQL ms/s",
    "lag ms",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let mut section = None;
    for transport in ["webhook", "otlp", "loki"] {
        let (port, requests) = receiver()?;
        let url = format!("http://127.0.0.1:{port}");
        let server = Server::start(&[
            ("EVENT_TRANSPORTS", transport),
            ("EVENT_WEBHOOK_URL", &url),
            ("EVENT_WEBHOOK_SECRET", KEY),
            ("EVENT_OTLP_URL", &url),
            ("EVENT_LOKI_URL", &url),
            ("NOTIFY_ALLOW_PRIVATE", "true"),
        ])?;
        let section = section.get_or_insert(Section::new(
            "Events on their way out",
            LEGEND,
            server.database.version()?,
            &COLUMNS,
        ));
        wait(&server, "EXISTS (SELECT FROM event_transports)")?;
        let backend: u32 = server.database.value(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'tetcore-analytics transport'",
        )?;
        let used = || -> Outcome<_> {
            let own = measure::cpu_of_thread(server.pid(), "transport")?;
            Ok((own, measure::cpu_of_process(backend)?))
        };
        let (before, begun) = (used()?, Instant::now());
        let seconds = options.scaled(SECONDS);
        for second in 0..seconds {
            server.database.run(&said(second))?;
            let next = Duration::from_secs(second + 1);
            thread::sleep(next.saturating_sub(begun.elapsed()));
        }
        let last = Instant::now();
        let events = seconds * EVENTS_PER_S;
        wait(
            &server,
            &format!("(SELECT sum(sent) >= {events} FROM event_transports)"),
        )?;
        let lag = last.elapsed();
        let (after, took) = (used()?, begun.elapsed().as_secs_f64());
        let each = |now: Duration, then: Duration| (now - then).as_secs_f64() * 1e3 / took;
        let sent: u64 = (server.database).value("SELECT sum(sent) FROM event_transports")?;
        report.count(events.saturating_sub(sent), sent.saturating_sub(events));
        if requests.load(Ordering::Relaxed) == 0 {
            return Err("the receiver got nothing".into());
        }
        section.row([
            transport.to_owned(),
            grouped(events as f64),
            events.saturating_sub(sent).to_string(),
            format!("{:.1}", each(after.0, before.0)),
            format!("{:.1}", each(after.1, before.1)),
            grouped(lag.as_secs_f64() * 1e3),
        ]);
        server.stop()?;
    }
    section.into_iter().for_each(|section| report.add(section));
    Ok(())
}

fn wait(server: &Server, condition: &str) -> Outcome<()> {
    let begun = Instant::now();
    let condition = format!("SELECT {condition}");
    while server.database.run(&condition)?.trim() != "t" {
        if begun.elapsed() > TIMEOUT {
            return Err(format!("waited in vain for: {condition}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The events of a second.
fn said(second: u64) -> String {
    format!(
        "SELECT make_events_day(now()), make_events_day(now() + interval '1 day'); \
         INSERT INTO events (event_id, source, peer_id, chain, name, severity, time, received_at, data) \
         SELECT md5(n::text), '12D3KooW' || md5((n % 100)::text), '12D3KooW' || md5((n % 100)::text), 'Testnet', 'transfer', 'info', now(), now(), \
           jsonb_build_object('_e', 1, 'name', 'transfer', 'value', n, 'from', md5(n::text) || md5((n + 1)::text), 'to', md5((n + 2)::text) || md5((n + 3)::text), 'hash', md5((n + 4)::text)) \
         FROM generate_series({second} * {EVENTS_PER_S}, ({second} + 1) * {EVENTS_PER_S} - 1) n"
    )
}

/// Takes everything; counts requests.
fn receiver() -> Outcome<(u16, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (port, requests) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
    let counted = requests.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = counted.clone();
            // The connection ends with the bench.
            thread::spawn(move || serve(stream, &counted).ok());
        }
    });
    Ok((port, requests))
}

fn serve(mut stream: TcpStream, requests: &AtomicU64) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap_or(0);
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        requests.fetch_add(1, Ordering::Relaxed);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
