//! What becomes of jobs: one wrapper counts and times all of them in the same way.

use std::borrow::Cow;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::{Label, Maker};

/// Jobs that exactly one server of a database does, under a lease, beside those of transports.
pub const LEASED: [&str; 13] = [
    "retention",
    "supervision",
    "projection:nodes",
    "projection:node_hours",
    "projection:span_hours",
    "projection:blocks",
    "projection:node_identities",
    "projection:software_hours",
    "projection:hardware_hours",
    "projection:authorings",
    "projection:events",
    "status",
    "alerts",
];

/// Jobs that each server does.
const OWN: [&str; 6] = [BATCH, HEARTBEAT, NOTIFY, DISK, LOSSES, SERVICE_BEATS];

/// Stores batches, in one transaction.
pub const BATCH: &str = "batch";
/// Tells the other servers that this one is there, and takes leases.
pub const HEARTBEAT: &str = "heartbeat";
/// Delivers alerts to one target.
pub const NOTIFY: &str = "notify";
/// Looks whether the disk lasts.
pub const DISK: &str = "disk";
/// Keeps what was lost.
pub const LOSSES: &str = "losses";
/// Keeps heartbeats of services.
pub const SERVICE_BEATS: &str = "service_heartbeats";

/// Further jobs, in words.
pub(super) const TRANSPORTS: &str = "transport:NAME for each transport of the settings";

const PROJECTION: &str = "projection:";

/// From what takes no time to what takes ten minutes.
const BUCKETS: [f64; 9] = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];

/// Names of the projections.
pub(super) fn projections() -> impl Iterator<Item = &'static str> {
    LEASED
        .into_iter()
        .filter_map(|job| job.strip_prefix(PROJECTION))
}

/// Why a run failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Another server has the job now, and goes on with it.
    LeaseLost,
    /// The database is down, busy, or did not answer in time.
    DatabaseUnavailable,
    /// The database refuses: schema, permission or password.
    DatabaseRefused,
    /// The receiver did not take it.
    Receiver,
    /// A mistake in the program.
    Panic,
}

impl FailureKind {
    const ALL: [Self; 5] = [
        Self::LeaseLost,
        Self::DatabaseUnavailable,
        Self::DatabaseRefused,
        Self::Receiver,
        Self::Panic,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::LeaseLost => "lease_lost",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::DatabaseRefused => "database_refused",
            Self::Receiver => "receiver",
            Self::Panic => "panic",
        }
    }
}

/// An error that says of which kind it is.
pub trait Failure {
    /// Its kind.
    fn kind(&self) -> FailureKind;
}

impl<E: Failure> Failure for &E {
    fn kind(&self) -> FailureKind {
        (*self).kind()
    }
}

/// The metrics of jobs.
#[derive(Debug)]
pub struct JobMetrics {
    runs: IntCounterVec,
    seconds: HistogramVec,
    errors: IntCounterVec,
    last_success: GaugeVec,
    in_progress: IntGaugeVec,
}

/// A run that is under way. Dropped without an end it counts as neither, but for a panic.
#[derive(Debug)]
pub struct JobRun<'a> {
    metrics: &'a JobMetrics,
    job: &'a str,
    started_at: Instant,
}

impl JobMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let jobs = || Label::bounded("job_name", LEASED.into_iter().chain(OWN), TRANSPORTS);
        let made = Self {
            runs: make.counters(
                "job_runs_total",
                "Runs of a job by result; lost: another server has the job now, and nothing was kept.",
                [jobs(), Label::closed("result", ["ok", "failed", "lost"])],
            )?,
            seconds: make.histograms(
                "job_run_seconds",
                "Time that a run of a job took, however it ended.",
                &BUCKETS,
                [jobs()],
            )?,
            errors: make.counters(
                "job_errors_total",
                "Runs of a job that did not end well, by kind of the error; the log says more.",
                [
                    jobs(),
                    Label::closed("kind", FailureKind::ALL.map(FailureKind::label)),
                ],
            )?,
            last_success: make.floats(
                "job_last_success_timestamp_seconds",
                "When the last run of a job on this server ended well, Unix seconds; 0 if none did, as on servers without its lease.",
                [jobs()],
            )?,
            in_progress: make.gauges(
                "job_runs_in_progress",
                "Runs of a job that are under way.",
                [jobs()],
            )?,
        };
        Ok(made)
    }

    /// A job with a name of the settings: all its series, at zero.
    pub fn register(&self, job: &str) {
        for result in ["ok", "failed", "lost"] {
            self.runs.with_label_values(&[job, result]);
        }
        for kind in FailureKind::ALL {
            self.errors.with_label_values(&[job, kind.label()]);
        }
        self.seconds.with_label_values(&[job]);
        self.last_success.with_label_values(&[job]);
        self.in_progress.with_label_values(&[job]);
    }

    /// Runs a job once.
    ///
    /// # Errors
    /// That of `work`.
    pub fn run<T, E: Failure>(
        &self,
        job: &str,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let run = self.begin(job);
        let done = work();
        run.end(&done);
        done
    }

    /// Does a part of several jobs at once: if it fails, a run of each of them has failed.
    ///
    /// # Errors
    /// That of `work`.
    pub fn share<T, E: Failure>(
        &self,
        jobs: &[Cow<'_, str>],
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let runs: Vec<JobRun<'_>> = jobs.iter().map(|job| self.begin(job)).collect();
        let done = work();
        if done.is_err() {
            runs.into_iter().for_each(|run| run.end(&done));
        }
        done
    }

    /// A run of a job begins.
    pub fn begin<'a>(&'a self, job: &'a str) -> JobRun<'a> {
        self.in_progress.with_label_values(&[job]).inc();
        JobRun {
            metrics: self,
            job,
            started_at: Instant::now(),
        }
    }
}

impl JobRun<'_> {
    /// It ended.
    pub fn end<T, E: Failure>(self, done: &Result<T, E>) {
        self.count(done.as_ref().err().map(Failure::kind));
    }

    fn count(&self, failure: Option<FailureKind>) {
        let (metrics, job) = (self.metrics, self.job);
        let result = match failure {
            None => "ok",
            Some(FailureKind::LeaseLost) => "lost",
            Some(_) => "failed",
        };
        metrics.runs.with_label_values(&[job, result]).inc();
        let seconds = metrics.seconds.with_label_values(&[job]);
        seconds.observe(self.started_at.elapsed().as_secs_f64());
        match failure {
            Some(kind) => {
                let errors = &metrics.errors;
                errors.with_label_values(&[job, kind.label()]).inc();
            }
            None => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let now = now.unwrap_or_default().as_secs_f64();
                metrics.last_success.with_label_values(&[job]).set(now);
            }
        }
    }
}

impl Drop for JobRun<'_> {
    fn drop(&mut self) {
        let in_progress = &self.metrics.in_progress;
        in_progress.with_label_values(&[self.job]).dec();
        if std::thread::panicking() {
            self.count(Some(FailureKind::Panic));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Down;

    impl Failure for Down {
        fn kind(&self) -> FailureKind {
            FailureKind::DatabaseUnavailable
        }
    }

    #[test]
    fn each_run_is_counted_once_by_how_it_ended() {
        let jobs = JobMetrics::new(&Maker::default()).unwrap();
        let runs = |result| jobs.runs.with_label_values(&["retention", result]).get();
        let errors = |kind| jobs.errors.with_label_values(&["retention", kind]).get();
        let (gauge, last) = (
            jobs.in_progress.with_label_values(&["retention"]),
            jobs.last_success.with_label_values(&["retention"]),
        );
        assert!(jobs.run("retention", || Err::<(), _>(Down)).is_err());
        assert_eq!((runs("failed"), errors("database_unavailable")), (1, 1));
        assert!(last.get() < 1.0, "none ended well");
        let done = jobs.run("retention", || {
            assert_eq!(gauge.get(), 1);
            Ok::<_, Down>(7)
        });
        assert_eq!((done.ok(), runs("ok"), gauge.get()), (Some(7), 1, 0));
        assert!(last.get() > 1e9);
        drop(jobs.begin("retention"));
        let shared = [Cow::from("status"), Cow::from("alerts")];
        assert!(jobs.share(&shared, || Ok::<_, Down>(())).is_ok());
        assert!(jobs.share(&shared, || Err::<(), _>(Down)).is_err());
        for job in &shared {
            let failed = jobs.runs.with_label_values(&[job, "failed"]).get();
            let ok = jobs.runs.with_label_values(&[job, "ok"]).get();
            assert_eq!((failed, ok), (1, 0), "{job}");
        }
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            jobs.run("retention", || -> Result<(), Down> { panic!("a bug") })
        }));
        assert!(panicked.is_err());
        assert_eq!((runs("failed"), errors("panic"), gauge.get()), (2, 1, 0));
        let seconds = jobs.seconds.with_label_values(&["retention"]);
        assert_eq!(seconds.get_sample_count(), 3);
    }
}
