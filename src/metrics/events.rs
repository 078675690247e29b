//! Metrics of structured events, on the server that extracts them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use prometheus::{HistogramVec, IntCounter, IntCounterVec};

use super::{Label, Maker, SECONDS_BUCKETS};

/// Services with a label of their own: anybody can invent more.
const SERVICES_MAX: usize = 100;

/// Label of the others.
const OTHER: &str = "(other)";

/// What became of what looked like an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// Stored.
    Stored,
    /// It is stored already.
    Duplicate,
    /// Its node is not known yet.
    Waiting,
    /// It came too late: `EVENT_EXPIRY_H` is over.
    Expired,
    /// Another value of `_e`, or prose with these bytes.
    Ignored,
    /// Meant to be an event, and none.
    Malformed,
}

impl EventOutcome {
    /// All outcomes.
    pub const ALL: [Self; 6] = [
        Self::Stored,
        Self::Duplicate,
        Self::Waiting,
        Self::Expired,
        Self::Ignored,
        Self::Malformed,
    ];

    /// Label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Waiting => "waiting",
            Self::Expired => "expired",
            Self::Ignored => "ignored",
            Self::Malformed => "malformed",
        }
    }
}

/// The metrics of events.
#[derive(Debug)]
pub struct EventMetrics {
    extracted: IntCounterVec,
    jobs: IntCounterVec,
    job_seconds: HistogramVec,
    /// Services that have a label of their own.
    services: Mutex<HashSet<String>>,
    /// Requests that posted events or logs.
    pub posts: IntCounter,
}

impl EventMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let services =
            || Label::bounded("service", [OTHER], "100 services, the first that ran a job");
        Ok(Self {
            extracted: make.counters(
                "event_extracted_total",
                "What looked like an event in messages, by what became of it, on the server that extracts them; one that waits counts again when it is stored, and all when they are extracted anew.",
                [Label::closed("outcome", EventOutcome::ALL.map(EventOutcome::label))],
            )?,
            jobs: make.counters(
                "event_jobs_total",
                "Events of the jobs of services by outcome, on the server that extracts them.",
                [services(), Label::closed("outcome", ["started", "finished", "failed"])],
            )?,
            job_seconds: make.histograms(
                "event_job_seconds",
                "Durations of the jobs of services, as duration_ms of their events says.",
                &SECONDS_BUCKETS,
                [services()],
            )?,
            services: Mutex::default(),
            posts: make.counter(
                "event_posts_total",
                "Requests that posted events or logs and were accepted.",
            )?,
        })
    }

    /// An event of a job.
    pub fn count_job(&self, service: &str, outcome: &str, duration_ms: Option<f64>) {
        let service = {
            let mut known = self.services.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() < SERVICES_MAX && !known.contains(service) {
                known.insert(service.to_owned());
            }
            match known.contains(service) {
                true => service,
                false => OTHER,
            }
        };
        self.jobs.with_label_values(&[service, outcome]).inc();
        if let Some(duration_ms) = duration_ms {
            self.job_seconds
                .with_label_values(&[service])
                .observe(duration_ms / 1e3);
        }
    }

    /// So many had this outcome.
    pub fn count(&self, outcome: EventOutcome, count: u64) {
        self.extracted
            .with_label_values(&[outcome.label()])
            .inc_by(count);
    }
}
