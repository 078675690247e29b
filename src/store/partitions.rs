//! Partitions of the messages: a table for each span of time. Those of
//! `telemetry_messages` are made ahead and dropped whole; those of `/audit` are
//! months, made with their first message.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};

/// A partition of the messages.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Partition {
    /// Name of the table.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Holds messages from `/audit`.
    #[diesel(sql_type = Bool)]
    pub audit: bool,
    /// First moment of its span.
    #[diesel(sql_type = Timestamptz)]
    pub start: DateTime<Utc>,
    /// End of its span, the first moment that is not in it.
    #[diesel(sql_type = Timestamptz)]
    pub end: DateTime<Utc>,
}

/// A span of time: from its start up to, and not including, its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionBounds {
    /// First moment.
    pub start: DateTime<Utc>,
    /// First moment after it.
    pub end: DateTime<Utc>,
}

impl PartitionBounds {
    /// Name of the table for this span.
    fn name(&self, parent: &str) -> String {
        let is_full_hour = self.start.timestamp() % 3_600 == 0;
        let format = if is_full_hour {
            "%Y%m%d%H"
        } else {
            "%Y%m%d%H%M%S"
        };
        format!("{parent}_p{}", self.start.format(format))
    }
}

/// What became of a partition that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is there.
    Whole,
    /// It is not: too many messages of its span lie in the default one.
    Crowded,
}

/// Messages in a default partition.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub struct Strays {
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// Arrival of the oldest.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub first_at: Option<DateTime<Utc>>,
    /// Arrival of the newest.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_at: Option<DateTime<Utc>>,
}

/// Messages that are moved out of the default partition in one transaction: about
/// a second of work.
const MOVED_ROWS_MAX: i64 = 50_000;

/// How long making or dropping a partition may wait for others: writers wait
/// behind it, so it gives up soon and is tried again.
const LOCK_TIMEOUT_MS: u32 = 500;

/// All partitions with a span, the oldest first.
///
/// # Errors
/// If the database cannot be read.
pub fn list(conn: &mut PgConnection) -> QueryResult<Vec<Partition>> {
    diesel::sql_query(include_str!("list_partitions.sql")).load(conn)
}

/// Makes a partition, and moves into it what lies in the default one of its span,
/// unless that is too much: others wait meanwhile.
///
/// The lock on the whole table is for queries. One that was planned with the default
/// partition alone would wait for that, and find it empty.
///
/// # Errors
/// If the database cannot be written, or is busy; then try again.
pub fn create(conn: &mut PgConnection, audit: bool, span: PartitionBounds) -> QueryResult<Made> {
    let parent = parent(audit);
    let name = span.name(parent);
    let (start, end) = (span.start.to_rfc3339(), span.end.to_rfc3339());
    // Only our own names and times stand in these texts.
    let within = format!("created_at >= '{start}' AND created_at < '{end}'");
    let strays: Strays = diesel::sql_query(format!(
        "SELECT count(*) AS count, min(created_at) AS first_at, max(created_at) AS last_at FROM \
         (SELECT created_at FROM {parent}_default WHERE {within} LIMIT {}) strays",
        MOVED_ROWS_MAX + 1
    ))
    .get_result(conn)?;
    if strays.count > MOVED_ROWS_MAX {
        return Ok(Made::Crowded);
    }
    let (lock, moves) = match strays.count {
        // If some have come meanwhile, attaching fails.
        0 => (String::new(), String::new()),
        _ => (
            format!("LOCK TABLE ONLY {parent} IN ACCESS EXCLUSIVE MODE;"),
            format!(
                "WITH moved AS (DELETE FROM {parent}_default WHERE {within} RETURNING *)
                 INSERT INTO {name} SELECT * FROM moved;"
            ),
        ),
    };
    conn.transaction(|conn| {
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS};
             {lock}
             LOCK TABLE {parent}_default IN ACCESS EXCLUSIVE MODE;
             CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE);
             {moves}
             ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');"
        ))
    })?;
    Ok(Made::Whole)
}

/// Makes the default partition the one of a span that is over, without moving its
/// messages, and another one the default.
///
/// It is read once meanwhile, some seconds for each ten million messages, under an
/// exclusive lock.
///
/// # Errors
/// If the database cannot be written, or is busy; then try again.
pub fn adopt_default(
    conn: &mut PgConnection,
    audit: bool,
    span: PartitionBounds,
) -> QueryResult<()> {
    let parent = parent(audit);
    let name = span.name(parent);
    let (start, end) = (span.start.to_rfc3339(), span.end.to_rfc3339());
    conn.transaction(|conn| {
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS};
             LOCK TABLE ONLY {parent} IN ACCESS EXCLUSIVE MODE;
             ALTER TABLE {parent} DETACH PARTITION {parent}_default;
             ALTER TABLE {parent}_default RENAME TO {name};
             CREATE TABLE {parent}_default (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE);
             WITH moved AS (DELETE FROM {name} WHERE created_at < '{start}' OR created_at >= '{end}' RETURNING *)
             INSERT INTO {parent}_default SELECT * FROM moved;
             ALTER TABLE {parent} ATTACH PARTITION {parent}_default DEFAULT;
             ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');"
        ))
    })
}

/// What lies in a default partition, outside of all spans.
///
/// # Errors
/// If the database cannot be read.
pub fn strays(conn: &mut PgConnection, audit: bool) -> QueryResult<Strays> {
    diesel::sql_query(format!(
        "SELECT count(*) AS count, min(created_at) AS first_at, max(created_at) AS last_at FROM {}_default",
        parent(audit)
    ))
    .get_result(conn)
}

/// Parts of a span that no partition covers, oldest first; each within one cell of
/// a grid.
pub fn gaps(
    partitions: &[&Partition],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    grid: impl Fn(DateTime<Utc>) -> PartitionBounds,
) -> Vec<PartitionBounds> {
    let mut gaps = Vec::new();
    let mut at = from;
    while at < until {
        let covering = partitions.iter().find(|p| p.start <= at && at < p.end);
        if let Some(partition) = covering {
            at = partition.end;
            continue;
        }
        // A partition made with another width may begin before the cell ends.
        let starts = partitions.iter().map(|p| p.start);
        let next_start = starts.filter(|start| *start > at).min();
        let cell_end = grid(at).end;
        let end = next_start.map_or(cell_end, |start| start.min(cell_end));
        gaps.push(PartitionBounds { start: at, end });
        if end <= at {
            break;
        }
        at = end;
    }
    gaps
}

/// The month of a moment, in UTC: the span of a partition of `/audit`.
pub fn month(at: DateTime<Utc>) -> PartitionBounds {
    let first = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    let start = at.date_naive().with_day(1).map_or(at, first);
    let next = start.checked_add_months(Months::new(1));
    PartitionBounds {
        start,
        end: next.unwrap_or(DateTime::<Utc>::MAX_UTC),
    }
}

/// Drops a partition with all its messages.
///
/// # Errors
/// If the database cannot be written, or is busy; then try again.
pub fn drop(conn: &mut PgConnection, partition: &Partition) -> QueryResult<()> {
    conn.transaction(|conn| {
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; DROP TABLE {}",
            partition.name
        ))
    })
}

/// Keeps the time index of the newest partitions current: PostgreSQL leaves
/// out of a BRIN index what came since its last summary.
///
/// # Errors
/// If the database cannot be written.
pub fn summarize_newest(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::sql_query(include_str!("summarize_newest.sql"))
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
    Ok(())
}

/// Deletes messages outside of all spans that are older than `cutoff`, at most
/// `rows_max`. Returns how many.
///
/// # Errors
/// If the database cannot be written.
pub fn delete_strays(
    conn: &mut PgConnection,
    cutoff: DateTime<Utc>,
    rows_max: i64,
) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM telemetry_messages_default WHERE ctid = ANY(ARRAY(\
         SELECT ctid FROM telemetry_messages_default WHERE created_at < $1 LIMIT $2))",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)
}

fn parent(audit: bool) -> &'static str {
    if audit {
        "telemetry_messages_audit"
    } else {
        "telemetry_messages"
    }
}
