//! The projection `events`: structured events that were found in messages, each once.
//!
//! What identifies an event is its source and its own id or content, never the connection, so
//! one that is sent again is a duplicate. Numbers follow the order in which events are entered;
//! identities keep them, so that extracting anew gives the same rows, and nobody who follows the
//! numbers gets an event twice. The jobs of services (`jobs`) are counted in the same
//! transaction.

mod job_hour;
mod jobs;
mod rows;

use std::collections::HashSet;
use std::time::Duration;

use chrono::{SubsecRound, TimeDelta, Utc};
use diesel::prelude::*;
use serde::Deserialize;

pub use self::job_hour::JobHour;
use self::jobs::JobEvent;
use self::rows::{Counts, FoundEvent, Sample};
use super::beside::Table;
use super::{Message, Occasion, Projection};
use crate::cluster::Job;
use crate::ids::SessionId;
use crate::metrics::{EventOutcome, Metrics};
use crate::store::SessionRow;
use crate::telemetry::events::{Found, may_hold_event, search};

/// Longest time until what was read is written: others follow it live.
const INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Bytes of waiting events that count as one more row.
const BYTES_PER_ROW: usize = 2_048;

/// Malformed lines that are shown of what is written at once.
const SAMPLES_MAX: usize = 100;

/// Bytes of malformed lines that are kept.
const SAMPLE_CHARS_MAX: usize = 500;

/// The projection.
#[derive(Debug)]
pub(super) struct Events {
    expiry: TimeDelta,
    found: Vec<FoundEvent>,
    bytes: usize,
    samples: Vec<Sample>,
    /// Sessions whose node may be known now, or that ended.
    changed: HashSet<SessionId>,
    /// What was found since the last write.
    counts: Counts,
    /// What was written, and is not committed yet.
    uncommitted: Counts,
    /// The jobs among that.
    jobs: Vec<JobEvent>,
}

/// Who posted a message over HTTP: its fields, which no node can make, for its session has a
/// number of its own.
#[derive(Debug, Deserialize)]
struct Posted {
    source: String,
    #[serde(default)]
    peer_id: Option<String>,
}

impl Events {
    /// Leaves out what arrived longer ago than `expiry`.
    pub(super) fn new(expiry: Duration) -> Self {
        Self {
            expiry: TimeDelta::from_std(expiry).unwrap_or(TimeDelta::MAX),
            found: Vec::new(),
            bytes: 0,
            samples: Vec::new(),
            changed: HashSet::new(),
            counts: Counts::default(),
            uncommitted: Counts::default(),
            jobs: Vec::new(),
        }
    }

    fn is_expired(&self, message: &Message<'_>) -> bool {
        let cutoff = Utc::now().checked_sub_signed(self.expiry);
        !message.audit && cutoff.is_some_and(|cutoff| message.created_at < cutoff)
    }
}

impl Projection for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn job(&self) -> Job {
        Job::Events
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[]
    }

    fn wants_events(&self) -> bool {
        true
    }

    fn interval_max(&self) -> Duration {
        INTERVAL_MAX
    }

    fn fold(&mut self, message: Message<'_>) {
        if !may_hold_event(message.fields.as_bytes()) {
            return;
        }
        let posted = match message.session.is_posted() {
            true => serde_json::from_str::<Posted>(message.fields).ok(),
            false => None,
        };
        let is_expired = self.is_expired(&message);
        let message_time = message.node_ts.unwrap_or(message.created_at);
        let (mut place, mut mistakes) = (0, 0);
        search(message.fields, |found| match found {
            Found::Event(_) if is_expired => self.counts.expired += 1,
            Found::Event(event) => {
                let time = event.timestamp.unwrap_or(message_time).trunc_subsecs(6);
                self.bytes += event.json.len();
                self.found.push(FoundEvent {
                    session: message.session.0,
                    message: message.id,
                    place,
                    posted_by: posted.as_ref().map(|posted| posted.source.clone()),
                    claimed_peer_id: posted.as_ref().and_then(|posted| posted.peer_id.clone()),
                    digest: event.digest(time).to_vec(),
                    name: event.name,
                    severity: event.severity.label().into(),
                    time,
                    received_at: message.created_at,
                    audit: message.audit,
                    data: event.json,
                });
                place += 1;
            }
            Found::Ignored => self.counts.ignored += 1,
            Found::Malformed(reason, line) => {
                self.counts.malformed += 1;
                if self.samples.len() < SAMPLES_MAX {
                    self.samples.push(Sample {
                        message: message.id,
                        place: mistakes,
                        received_at: message.created_at,
                        session: message.session.0,
                        reason: reason.to_string(),
                        line: line.chars().take(SAMPLE_CHARS_MAX).collect(),
                    });
                }
                mistakes += 1;
            }
        });
    }

    fn session(&mut self, session: &SessionRow, _occasion: Occasion) {
        if session.facts.peer_id.is_some() || session.disconnected_at.is_some() {
            self.changed.insert(session.id);
        }
    }

    fn pending(&self) -> usize {
        self.found.len() + self.bytes / BYTES_PER_ROW + self.changed.len()
    }

    fn reported(&self) -> usize {
        self.found.len()
    }

    fn write(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let mut found = std::mem::take(&mut self.found);
        let changed = std::mem::take(&mut self.changed);
        let samples = std::mem::take(&mut self.samples);
        let mut counts = std::mem::take(&mut self.counts);
        self.bytes = 0;
        let mut jobs = rows::enter_waiting(conn, changed, &mut counts)?;
        found.sort_by_key(|event| (event.received_at, event.message, event.place));
        jobs.extend(rows::enter(conn, &found, &mut counts)?);
        let cutoff = Utc::now().checked_sub_signed(self.expiry);
        let jobs = jobs::add(conn, jobs, cutoff)?;
        rows::keep_samples(conn, &samples)?;
        self.uncommitted.add(&counts);
        self.jobs.extend(jobs);
        Ok(())
    }

    fn written(&mut self, metrics: &Metrics) {
        let counts = std::mem::take(&mut self.uncommitted);
        for outcome in EventOutcome::ALL {
            metrics.events.count(outcome, counts.of(outcome));
        }
        for job in std::mem::take(&mut self.jobs) {
            metrics
                .events
                .count_job(&job.service_id, job.outcome(), job.duration_ms);
        }
    }

    fn reset(&mut self) {
        *self = Self {
            expiry: self.expiry,
            ..Self::new(Duration::ZERO)
        };
    }

    fn tables(&self) -> Vec<Table> {
        let expired = Utc::now().checked_sub_signed(self.expiry);
        vec![
            Table::of_times("events", "received_at").followed("id", include_str!("make_days.sql")),
            Table::of_times("waiting_events", "received_at"),
            Table::of_times("malformed_events", "received_at"),
            Table::of_times_from("job_hours", "hour", jobs::first_hour(expired)),
        ]
    }
}
