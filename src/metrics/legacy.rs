//! Names of older versions, for dashboards that have them: `METRICS_LEGACY_NAMES`.

use prometheus::core::Collector;
use prometheus::proto::{Gauge, MetricFamily};
use prometheus::{Opts, Registry};

use super::{Kind, Metrics, PREFIX};

/// A family that had another name in version 1.0.
#[derive(Debug, Clone, Copy)]
pub struct Renamed {
    /// Its name until then, without the prefix.
    pub old: &'static str,
    /// Its name, without the prefix.
    pub new: &'static str,
    /// What its values have to be multiplied by for the old one.
    factor: f64,
}

const fn renamed_to(old: &'static str, new: &'static str) -> Renamed {
    Renamed {
        old,
        new,
        factor: 1.0,
    }
}

/// All of them.
pub const RENAMED: [Renamed; 6] = [
    renamed_to("events_total", "event_extracted_total"),
    renamed_to("jobs_total", "event_jobs_total"),
    renamed_to("job_seconds", "event_job_seconds"),
    renamed_to("panics_total", "server_panics_total"),
    Renamed {
        factor: 86_400.0,
        ..renamed_to("disk_growth_bytes_per_day", "disk_growth_bytes_per_second")
    },
    Renamed {
        factor: 1.0 / 86_400.0,
        ..renamed_to("disk_full_in_days", "disk_full_in_seconds")
    },
];

/// A metric of tetcore-analytics 0.1, the program of 2021.
#[derive(Debug, Clone, Copy)]
pub struct Of2021 {
    /// Its whole name.
    pub name: &'static str,
    /// Its type and meaning.
    pub meaning: &'static str,
    /// What it is made from.
    pub from: &'static str,
    kind: Kind,
    value: fn(&Metrics) -> f64,
}

const fn of(
    kind: Kind,
    name: &'static str,
    meaning: &'static str,
    from: &'static str,
    value: fn(&Metrics) -> f64,
) -> Of2021 {
    Of2021 {
        name,
        meaning,
        from,
        kind,
        value,
    }
}

/// All of them, with the names and units that they had.
#[rustfmt::skip]
pub const OF_2021: [Of2021; 18] = [
    of(Kind::Counter, "tetcore_message_count", "Messages of nodes received.", "ingest_messages_received_total", |all| whole(all.messages_received.get())),
    of(Kind::Counter, "nodes_connected_count", "Connections of nodes since the start.", "ingest_connections_opened_total", |all| whole(all.connections_opened.get())),
    of(Kind::Counter, "nodes_dropped_count", "Connections of nodes that ended since the start.", "ingest_connections_closed_total", |all| sum(&all.connections_closed)),
    of(Kind::Gauge, "current_tetcore_connections", "Connections of nodes now.", "ingest_connections", |all| number(all.connections.get())),
    of(Kind::Counter, "tetcore_bytes_received", "Bytes of messages of nodes.", "ingest_received_bytes_total", |all| whole(all.received_bytes.get())),
    of(Kind::Counter, "bytes_received", "Bytes that the machine received.", "host_network_received_bytes_total", |all| whole(all.host.network_received.get())),
    of(Kind::Counter, "bytes_sent", "Bytes that the machine sent.", "host_network_sent_bytes_total", |all| whole(all.host.network_sent.get())),
    of(Kind::Counter, "requests", "HTTP requests.", "http_requests_total", |all| all.http.requests_answered()),
    of(Kind::Gauge, "current_feed_connections", "Connections to the live feed now.", "feed_subscribers", |all| number(all.feed.subscribers.get())),
    of(Kind::Counter, "feeds_connected", "Connections to the live feed since the start.", "feed_subscribers_opened_total", |all| whole(all.feed.subscribers_opened.get())),
    of(Kind::Counter, "feeds_disconnected", "Connections to the live feed that ended since the start.", "feed_subscribers_opened_total, feed_subscribers", |all| (whole(all.feed.subscribers_opened.get()) - number(all.feed.subscribers.get())).max(0.0)),
    of(Kind::Gauge, "load_avg_one", "Load average over one minute.", "host_load1", |all| all.host.load(0)),
    of(Kind::Gauge, "load_avg_five", "Load average over five minutes.", "host_load5", |all| all.host.load(1)),
    of(Kind::Gauge, "load_avg_fifteen", "Load average over fifteen minutes.", "host_load15", |all| all.host.load(2)),
    of(Kind::Gauge, "total_mem", "Memory of the machine, KiB.", "host_memory_bytes", |all| number(all.host.memory.get()) / 1_024.0),
    of(Kind::Gauge, "used_mem", "Memory of the machine that is used, KiB.", "host_memory_bytes, host_memory_available_bytes", |all| number(all.host.memory.get() - all.host.memory_available.get()) / 1_024.0),
    of(Kind::Gauge, "total_swap", "Swap space of the machine, KiB.", "host_swap_bytes", |all| number(all.host.swap.get()) / 1_024.0),
    of(Kind::Gauge, "used_swap", "Swap space of the machine that is used, KiB.", "host_swap_bytes, host_swap_free_bytes", |all| number(all.host.swap.get() - all.host.swap_free.get()) / 1_024.0),
];

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "Prometheus has no other numbers"
)]
fn whole(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "Prometheus has no other numbers"
)]
fn number(value: i64) -> f64 {
    value as f64
}

/// All series of a counter together.
pub(super) fn sum(counters: &impl Collector) -> f64 {
    let families = counters.collect();
    let series = families.iter().flat_map(MetricFamily::get_metric);
    series.map(|series| series.get_counter().get_value()).sum()
}

/// The families that had another name, by that.
pub(super) fn renamed(gathered: &[MetricFamily]) -> Vec<MetricFamily> {
    let old = |renamed: &Renamed| {
        let new = format!("{PREFIX}{}", renamed.new);
        let mut family = gathered.iter().find(|one| one.name() == new)?.clone();
        family.set_name(format!("{PREFIX}{}", renamed.old));
        family.set_help(format!("Old name of {new}: {}", family.help()));
        if renamed.factor != 1.0 {
            for series in family.mut_metric() {
                let mut gauge = Gauge::default();
                gauge.set_value(series.get_gauge().get_value() * renamed.factor);
                series.set_gauge(gauge);
            }
        }
        Some(family)
    };
    RENAMED.iter().filter_map(old).collect()
}

impl Metrics {
    /// The metrics of the program of 2021.
    pub(super) fn of_2021(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let registry = Registry::new();
        for one in &OF_2021 {
            let opts = Opts::new(one.name, one.meaning);
            let value = (one.value)(self);
            if one.kind == Kind::Counter {
                let counter = prometheus::Counter::with_opts(opts)?;
                counter.inc_by(value);
                registry.register(Box::new(counter))?;
            } else {
                let gauge = prometheus::Gauge::with_opts(opts)?;
                gauge.set(value);
                registry.register(Box::new(gauge))?;
            }
        }
        Ok(registry.gather())
    }
}

/// The table of the families that had another name, in Markdown.
pub fn renamed_table() -> String {
    let mut out = String::from("| until 1.0 | now |\n| --- | --- |\n");
    for one in &RENAMED {
        out.push_str(&format!(
            "| `{PREFIX}{}` | `{PREFIX}{}` |\n",
            one.old, one.new
        ));
    }
    out
}

/// The table of the names of 2021, in Markdown.
pub fn table_of_2021() -> String {
    let mut out =
        String::from("| name of 2021 | type | meaning | made from |\n| --- | --- | --- | --- |\n");
    for one in &OF_2021 {
        let kind = one.kind.label();
        let from: Vec<String> = one
            .from
            .split(", ")
            .map(|name| format!("`{PREFIX}{name}`"))
            .collect();
        out.push_str(&format!(
            "| `{}` | {kind} | {} | {} |\n",
            one.name,
            one.meaning,
            from.join(", ")
        ));
    }
    out
}
