//! How long queries take with ten million stored messages.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, TimeDelta, Utc};

use super::history::{DAY_MESSAGES, Day, NODES};
use crate::database::Database;
use crate::frames::peer_id;
use crate::random::Random;
use crate::report::{Report, Section, grouped, millis};
use crate::server::Server;
use crate::{Options, Outcome};

const DAYS: u64 = 10;
/// Days that are made at the same time.
const DAYS_AT_ONCE: usize = 2;
const REQUESTS: u64 = 200;
const WARM_UP: u64 = 20;
/// A slow query is not repeated more often than this allows.
const TIME_MAX: Duration = Duration::from_secs(30);
/// From `start_time` to `end_time`.
const RANGE_DAYS: u64 = 2;
/// Where it is not the default.
const LIMIT: u64 = 1_000;
/// Messages before the cursor.
const FIRST_PAGE: u64 = 5;

const LEGEND: &str = "Messages of 1,000 nodes over ten days, today included, a session a day for each \
    node. Milliseconds from the request to the whole answer, one request after the other on one \
    connection, each for a random node, after some requests to warm up; nothing else goes on. Of \
    `/nodes/logs`: `msg` is `block.import`, or `tracing.profiling` together with `target`; `range` is a \
    random `start_time` and the `end_time` two days later; `limit` is 1000, else 100; `cursor` goes on \
    after five messages.";
const COLUMNS: [&str; 6] = [
    "GET",
    "requests",
    "p50 ms",
    "p99 ms",
    "longest ms",
    "bytes, mean",
];

/// Runs the scenario.
pub(crate) fn run(options: Options, report: &mut Report) -> Outcome<()> {
    let server = Server::start(&[])?;
    let rows = options.scaled(DAY_MESSAGES).min(DAY_MESSAGES);
    fill(&server.database, rows)?;
    // As an operator would find it: nothing remembered from before the messages were there.
    let server = server.restart(&[])?;
    let total: f64 = server
        .database
        .value("SELECT count(*) FROM telemetry_messages")?;
    let mut section = Section::new("Queries", LEGEND, server.database.version()?, &COLUMNS);
    println!("{} messages to ask about", grouped(total));
    let mut random = Random(7);
    for (question, path) in questions() {
        let times = ask(&server, &mut random, &path, options)?;
        if times.seconds.is_empty() {
            println!("{question}: there are too few messages for another page");
            continue;
        }
        section.row([
            question,
            times.seconds.len().to_string(),
            millis(times.quantile(0.5)),
            millis(times.quantile(0.99)),
            millis(times.quantile(1.0)),
            grouped(times.bytes as f64 / times.seconds.len() as f64),
        ]);
    }
    server.stop()?;
    report.add(section);
    Ok(())
}

/// Makes the days, each in a partition of its own, as they were when they had been written.
fn fill(database: &Database, rows: u64) -> Outcome<()> {
    let days: Vec<Day> = (0..DAYS).map(Day::ago).collect();
    for day in &days {
        let start = day.start.to_rfc3339();
        // The server has made those that it can need itself.
        let name = format!("telemetry_messages_bench_{}", day.start.format("%Y%m%d"));
        let covered = format!(
            "SELECT count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'telemetry_messages'::regclass \
             AND substring(pg_get_expr(relpartbound, c.oid) FROM 'FROM \\(''([^'']+)''')::timestamptz = '{start}'"
        );
        if database.value::<u32>(&covered)? == 0 {
            let bounds = day.bounds();
            database.run(&format!(
                "CREATE TABLE {name} PARTITION OF telemetry_messages {bounds}"
            ))?;
        }
    }
    for pair in days.chunks(DAYS_AT_ONCE) {
        thread::scope(|scope| {
            let seed = |day: &Day| day.seed(database, "telemetry_messages", rows);
            let seeding: Vec<_> = pair
                .iter()
                .map(|day| scope.spawn(move || seed(day)))
                .collect();
            seeding
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_panic| "seeding panicked")?)
        })?;
    }
    database.run("VACUUM (ANALYZE) telemetry_messages")?;
    database.run("VACUUM (ANALYZE) peer_connections")?;
    database.settle()
}

/// Makes the path of a request; none if this one would have no rows.
pub(super) type Path = Box<dyn Fn(&Server, &mut Random) -> Outcome<Option<String>>>;

/// A query.
fn questions() -> Vec<(String, Path)> {
    let mut questions: Vec<(String, Path)> = vec![(
        "/nodes".to_owned(),
        Box::new(|_, _| Ok(Some("/nodes".to_owned()))),
    )];
    for used in 0..1 << Filters::NAMES.len() {
        let filters = Filters(used);
        questions.push((
            filters.to_string(),
            Box::new(move |server, random| filters.path(server, random)),
        ));
    }
    questions.push((
        "/nodes/log_stats".to_owned(),
        Box::new(|_, random| {
            Ok(Some(format!(
                "/nodes/log_stats?peer_id={}",
                some_peer(random)
            )))
        }),
    ));
    questions.push((
        "/reputation".to_owned(),
        Box::new(|_, _| Ok(Some("/reputation".to_owned()))),
    ));
    questions.push((
        "/reputation/{peer_id}".to_owned(),
        Box::new(|_, random| Ok(Some(format!("/reputation/{}", some_peer(random))))),
    ));
    questions
}

/// Parameters of `/nodes/logs` beside `peer_id`, a bit for each name.
#[derive(Debug, Clone, Copy)]
struct Filters(u32);

impl Filters {
    const NAMES: [&str; 5] = ["msg", "target", "range", "limit", "cursor"];

    fn has(self, name: &str) -> bool {
        let place = Self::NAMES.iter().position(|known| *known == name);
        place.is_some_and(|place| self.0 >> place & 1 == 1)
    }

    fn path(self, server: &Server, random: &mut Random) -> Outcome<Option<String>> {
        let mut path = format!("/nodes/logs?peer_id={}", some_peer(random));
        if self.has("msg") {
            // Only messages of this kind have a target.
            path += if self.has("target") {
                "&msg=tracing.profiling"
            } else {
                "&msg=block.import"
            };
        }
        if self.has("target") {
            path += "&target=pallet_babe";
        }
        if self.has("range") {
            let start = Day::ago(RANGE_DAYS + random.below(DAYS - RANGE_DAYS)).start;
            let start = start + TimeDelta::minutes(random.below(24 * 60) as i64);
            let end = start + Days::new(RANGE_DAYS);
            let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S").to_string();
            path += &format!("&start_time={}&end_time={}", text(start), text(end));
        }
        if self.has("cursor") {
            let Some(cursor) = server.next_cursor(&format!("{path}&limit={FIRST_PAGE}"))? else {
                return Ok(None);
            };
            path += &format!("&cursor={cursor}");
        }
        if self.has("limit") {
            path += &format!("&limit={LIMIT}");
        }
        Ok(Some(path))
    }
}

impl fmt::Display for Filters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("/nodes/logs")?;
        Self::NAMES
            .iter()
            .filter(|name| self.has(name))
            .try_for_each(|name| write!(formatter, " {name}"))
    }
}

fn some_peer(random: &mut Random) -> String {
    peer_id(random.below(NODES) as usize)
}

/// How long answers took, the quickest first.
pub(super) struct Times {
    pub(super) seconds: Vec<f64>,
    pub(super) bytes: usize,
}

impl Times {
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let place = (share * self.seconds.len() as f64).ceil() as usize;
        self.seconds[place.max(1) - 1]
    }
}

pub(super) fn ask(
    server: &Server,
    random: &mut Random,
    path: &Path,
    options: Options,
) -> Outcome<Times> {
    let requests = options.scaled(REQUESTS).max(10);
    let mut times = Times {
        seconds: Vec::new(),
        bytes: 0,
    };
    let begin = Instant::now();
    for request in 0..WARM_UP + requests {
        let Some(path) = path(server, random)? else {
            continue;
        };
        let start = Instant::now();
        let answer = server.get(&path)?;
        if request >= WARM_UP {
            times.seconds.push(start.elapsed().as_secs_f64());
            times.bytes += answer.len();
            if begin.elapsed() > TIME_MAX {
                break;
            }
        }
    }
    times.seconds.sort_by(f64::total_cmp);
    Ok(times)
}
