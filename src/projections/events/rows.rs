//! Events as rows.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz};

use super::jobs::JobEvent;
use crate::database::statement;
use crate::ids::SessionId;
use crate::metrics::EventOutcome;

/// Events that are entered at once.
const AT_ONCE: usize = 5_000;

/// Events that waited and are in memory at once: a session may have left millions.
const WAITED_AT_ONCE: i64 = 1_000;

/// Malformed lines that are kept.
const SAMPLES_KEPT: i64 = 1_000;

/// An event, and where it was found.
#[derive(Debug)]
pub(super) struct FoundEvent {
    pub(super) session: i64,
    pub(super) message: i64,
    pub(super) place: i32,
    /// Name of the token with which it was posted over HTTP.
    pub(super) posted_by: Option<String>,
    /// The node that is meant, as the one says who posted it.
    pub(super) claimed_peer_id: Option<String>,
    pub(super) digest: Vec<u8>,
    pub(super) name: Option<String>,
    pub(super) severity: String,
    pub(super) time: DateTime<Utc>,
    pub(super) received_at: DateTime<Utc>,
    pub(super) audit: bool,
    pub(super) data: String,
}

/// An event that waited for its node.
#[derive(Debug, QueryableByName)]
struct Waited {
    #[diesel(sql_type = BigInt)]
    session_id: i64,
    #[diesel(sql_type = BigInt)]
    message_id: i64,
    #[diesel(sql_type = Integer)]
    place: i32,
    #[diesel(sql_type = Binary)]
    digest: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Text)]
    severity: String,
    #[diesel(sql_type = Timestamptz)]
    time: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    received_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    audit: bool,
    #[diesel(sql_type = Text)]
    data: String,
}

/// A malformed line.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) message: i64,
    pub(super) place: i32,
    pub(super) received_at: DateTime<Utc>,
    pub(super) session: i64,
    pub(super) reason: String,
    pub(super) line: String,
}

/// What became of what looked like an event.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) stored: u64,
    pub(super) duplicate: u64,
    pub(super) waiting: u64,
    pub(super) expired: u64,
    pub(super) ignored: u64,
    pub(super) malformed: u64,
}

#[derive(QueryableByName)]
struct Entered {
    #[diesel(sql_type = BigInt)]
    stored: i64,
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    #[diesel(sql_type = Text)]
    jobs: String,
}

impl From<Waited> for FoundEvent {
    fn from(row: Waited) -> Self {
        Self {
            session: row.session_id,
            message: row.message_id,
            place: row.place,
            posted_by: None,
            claimed_peer_id: None,
            digest: row.digest,
            name: row.name,
            severity: row.severity,
            time: row.time,
            received_at: row.received_at,
            audit: row.audit,
            data: row.data,
        }
    }
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.waiting += other.waiting;
        self.expired += other.expired;
        self.ignored += other.ignored;
        self.malformed += other.malformed;
    }

    pub(super) fn of(&self, outcome: EventOutcome) -> u64 {
        match outcome {
            EventOutcome::Stored => self.stored,
            EventOutcome::Duplicate => self.duplicate,
            EventOutcome::Waiting => self.waiting,
            EventOutcome::Expired => self.expired,
            EventOutcome::Ignored => self.ignored,
            EventOutcome::Malformed => self.malformed,
        }
    }
}

/// Enters the events that waited for the nodes of some sessions; returns those of jobs that are new.
pub(super) fn enter_waiting(
    conn: &mut PgConnection,
    sessions: HashSet<SessionId>,
    counts: &mut Counts,
) -> QueryResult<Vec<JobEvent>> {
    let mut jobs = Vec::new();
    let sessions: Vec<i64> = sessions.iter().map(|session| session.0).collect();
    while !sessions.is_empty() {
        let waited: Vec<Waited> = statement(include_str!("take_waiting.sql"))
            .bind::<Array<BigInt>, _>(&sessions)
            .bind::<BigInt, _>(WAITED_AT_ONCE)
            .load(conn)?;
        let is_last = i64::try_from(waited.len()).is_ok_and(|count| count < WAITED_AT_ONCE);
        let mut found: Vec<FoundEvent> = waited.into_iter().map(FoundEvent::from).collect();
        found.sort_by_key(|event| (event.received_at, event.message, event.place));
        jobs.extend(enter(conn, &found, counts)?);
        if is_last {
            break;
        }
    }
    Ok(jobs)
}

/// Enters events, which are in their order; returns those of jobs that are new.
pub(super) fn enter(
    conn: &mut PgConnection,
    events: &[FoundEvent],
    counts: &mut Counts,
) -> QueryResult<Vec<JobEvent>> {
    let mut jobs = Vec::new();
    for some in events.chunks(AT_ONCE) {
        let days: Vec<_> = some
            .iter()
            .filter(|event| !event.audit)
            .map(|event| event.received_at)
            .collect();
        statement(
            "SELECT make_events_day(at) FROM (SELECT min(at) AS at FROM unnest($1::timestamptz[]) AS at GROUP BY date_trunc('day', at, 'UTC')) AS days",
        )
        .bind::<Array<Timestamptz>, _>(days)
        .execute(conn)?;
        let entered: Entered = with_columns!(include_str!("insert.sql"), some, |event|
            event.session => BigInt,
            event.message => BigInt,
            event.place => Integer,
            event.posted_by.as_deref() => Nullable<Text>,
            event.claimed_peer_id.as_deref() => Nullable<Text>,
            event.digest.as_slice() => Binary,
            event.name.as_deref() => Nullable<Text>,
            event.severity.as_str() => Text,
            event.time => Timestamptz,
            event.received_at => Timestamptz,
            event.audit => Bool,
            event.data.as_str() => Text,
        )
        .get_result(conn)?;
        let entered_jobs: Vec<JobEvent> = serde_json::from_str(&entered.jobs)
            .map_err(|error| Error::DeserializationError(Box::new(error)))?;
        jobs.extend(entered_jobs);
        let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
        let all = u64::try_from(some.len()).unwrap_or(0);
        counts.stored += count(entered.stored);
        counts.waiting += count(entered.waiting);
        counts.duplicate += all.saturating_sub(count(entered.stored + entered.waiting));
    }
    Ok(jobs)
}

/// Keeps malformed lines, and forgets the oldest.
pub(super) fn keep_samples(conn: &mut PgConnection, samples: &[Sample]) -> QueryResult<()> {
    if samples.is_empty() {
        return Ok(());
    }
    with_columns!(
        "INSERT INTO malformed_events (message_id, place, received_at, session_id, reason, line) \
         SELECT * FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::bigint[], $5::text[], $6::text[]) ON CONFLICT DO NOTHING",
        samples, |sample|
        sample.message => BigInt,
        sample.place => Integer,
        sample.received_at => Timestamptz,
        sample.session => BigInt,
        sample.reason.as_str() => Text,
        sample.line.as_str() => Text,
    )
    .execute(conn)?;
    statement(
        "DELETE FROM malformed_events WHERE (received_at, message_id) < \
         (SELECT received_at, message_id FROM malformed_events ORDER BY received_at DESC, message_id DESC OFFSET $1 LIMIT 1)",
    )
    .bind::<BigInt, _>(SAMPLES_KEPT)
    .execute(conn)?;
    Ok(())
}
