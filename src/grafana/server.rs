//! *This server*: what it takes in, what it loses, and how full its queues are.

use super::dashboard::Dashboard;
use super::panel::Panel;
use super::variable::{Annotation, Variable};
use super::{field, link};

pub(super) fn dashboard(server_url: &str) -> Dashboard {
    Dashboard {
        uid: "tetcore-server".to_owned(),
        title: "This server".to_owned(),
        description: "The servers of tetcore-analytics themselves: rates, losses, queues, spool, projections, and what they cost.",
        range: "3h",
        refresh: "15s",
        variables: vec![Variable::instances(), Variable::server(server_url)],
        annotations: vec![Annotation::own_outages()],
        panels: vec![
            now(),
            Panel::row("Messages"),
            rates(),
            losses(),
            latency(),
            connections(),
            refused(),
            bytes(),
            Panel::row("Queues and spool"),
            queue(),
            spool(),
            projections(),
            feed(),
            Panel::row("Answers and alerts"),
            requests(),
            request_latency(),
            alerts(),
            transports(),
            Panel::row("Cost"),
            cpu(),
            memory(),
            disk(),
            servers(),
            log(),
        ],
    }
}

fn now() -> Panel {
    Panel::stat("Now", "Up: whether Prometheus reaches the server; losses are those of the last hour.")
        .prom("sum(up{@i} and on (instance) tetcore_analytics_build_info)", "servers up")
        .prom("min(tetcore_analytics_store_database_up{@i})", "database up")
        .prom("sum(tetcore_analytics_ingest_sessions{@i})", "sessions")
        .prom("sum(rate(tetcore_analytics_ingest_messages_received_total{@i}[5m]))", "messages a second")
        .prom("sum(increase(tetcore_analytics_ingest_messages_dropped_total{@i}[1h])) + sum(increase(tetcore_analytics_ingest_messages_rejected_total{@i}[1h]))", "lost in an hour")
        .prom("sum(tetcore_analytics_ingest_pending{@i})", "pending")
        .column("lost in an hour", field::bad_from(1.0, "red"))
        .all(vec![field::links(link::page("Server page", "server"))])
}

fn rates() -> Panel {
    Panel::lines("Messages", "Received from nodes, and stored, per second; messages of an earlier run in the spool count as received again.")
        .unit("cps")
        .prom("sum(rate(tetcore_analytics_ingest_messages_received_total{@i}[$__rate_interval]))", "received")
        .prom("sum(rate(tetcore_analytics_ingest_messages_stored_total{@i}[$__rate_interval]))", "stored")
}

fn losses() -> Panel {
    Panel::lines("Losses", "Messages that were lost, refused by the database, or no messages, per second, by reason.")
        .unit("cps")
        .prom("sum by (reason) (rate(tetcore_analytics_ingest_messages_dropped_total{@i}[$__rate_interval])) > 0", "dropped: {{reason}}")
        .prom("sum by (reason) (rate(tetcore_analytics_ingest_messages_rejected_total{@i}[$__rate_interval])) > 0", "rejected: {{reason}}")
        .prom("sum by (kind) (rate(tetcore_analytics_ingest_messages_undecodable_total{@i}[$__rate_interval])) > 0", "undecodable: {{kind}}")
}

fn latency() -> Panel {
    Panel::lines("From socket to commit", "Time from reading a message to its commit: half, and 99 %.")
        .unit("s")
        .prom("histogram_quantile(0.5, sum by (le) (rate(tetcore_analytics_store_receive_to_commit_seconds_bucket{@i}[$__rate_interval])))", "half")
        .prom("histogram_quantile(0.99, sum by (le) (rate(tetcore_analytics_store_receive_to_commit_seconds_bucket{@i}[$__rate_interval])))", "99 %")
}

fn connections() -> Panel {
    Panel::lines(
        "Connections of nodes",
        "Open connections, and sessions on them: a connection may carry several nodes.",
    )
    .prom(
        "sum(tetcore_analytics_ingest_connections{@i})",
        "connections",
    )
    .prom("sum(tetcore_analytics_ingest_sessions{@i})", "sessions")
}

fn refused() -> Panel {
    Panel::lines("Connections refused and ended", "Per minute, by reason; the Server page says by address why a node is missing.")
        .unit("cpm")
        .prom("sum by (reason) (rate(tetcore_analytics_ingest_connections_refused_total{@i}[$__rate_interval])) * 60 > 0", "refused: {{reason}}")
        .prom("sum by (reason) (rate(tetcore_analytics_ingest_connections_closed_total{@i}[$__rate_interval])) * 60 > 0", "ended: {{reason}}")
}

fn bytes() -> Panel {
    Panel::lines("Bytes received", "Messages as they came, without headers.")
        .unit("Bps")
        .prom("sum by (instance) (rate(tetcore_analytics_ingest_received_bytes_total{@i}[$__rate_interval]))", "{{instance}}")
}

fn queue() -> Panel {
    Panel::lines("Queue in memory", "How full it is, in messages and in bytes; over it sockets wait, then messages are dropped.")
        .unit("percentunit")
        .prom("max(tetcore_analytics_ingest_queue_messages{@i} / tetcore_analytics_ingest_queue_messages_max{@i})", "messages")
        .prom("max(tetcore_analytics_ingest_queue_bytes{@i} / tetcore_analytics_ingest_queue_bytes_max{@i})", "bytes")
        .prom("max(tetcore_analytics_store_batches_in_flight{@i} / tetcore_analytics_store_writers{@i})", "writers busy")
}

fn spool() -> Panel {
    Panel::lines(
        "Spool on disk",
        "What waits there for the database, and its limit.",
    )
    .unit("bytes")
    .prom(
        "sum(tetcore_analytics_store_spool_bytes{@i})",
        "in the spool",
    )
    .prom("sum(tetcore_analytics_store_spool_bytes_max{@i})", "limit")
}

fn projections() -> Panel {
    Panel::lines(
        "Projections behind",
        "For how long the oldest messages are stored that a projection does not contain.",
    )
    .unit("s")
    .prom(
        "max by (projection) (tetcore_analytics_projection_lag_seconds{@i})",
        "{{projection}}",
    )
}

fn feed() -> Panel {
    Panel::lines("Live feed", "Subscribers, and messages that did not reach them, per second, by reason.")
        .prom("sum(tetcore_analytics_feed_subscribers{@i})", "subscribers")
        .prom("sum by (reason) (rate(tetcore_analytics_feed_messages_missed_total{@i}[$__rate_interval])) > 0", "missed: {{reason}}")
}

fn requests() -> Panel {
    Panel::lines("Requests", "HTTP requests per second, by status.")
        .unit("reqps")
        .prom(
            "sum by (status) (rate(tetcore_analytics_http_requests_total{@i}[$__rate_interval]))",
            "{{status}}",
        )
}

fn request_latency() -> Panel {
    Panel::lines("Time to answer", "Time from request to answer: half, and 99 %.")
        .unit("s")
        .prom("histogram_quantile(0.5, sum by (le) (rate(tetcore_analytics_http_request_seconds_bucket{@i}[$__rate_interval])))", "half")
        .prom("histogram_quantile(0.99, sum by (le) (rate(tetcore_analytics_http_request_seconds_bucket{@i}[$__rate_interval])))", "99 %")
}

fn alerts() -> Panel {
    Panel::lines("Alerts", "Open alerts, and deliveries that wait.")
        .prom("sum(tetcore_analytics_alerts_open{@i})", "open")
        .prom("max(tetcore_analytics_notify_pending{@i})", "deliveries that wait")
        .prom("sum by (result) (increase(tetcore_analytics_notify_deliveries_total{@i}[$__rate_interval])) > 0", "{{result}}")
        .column("open", vec![field::links(link::page("Alerts page", "alerts"))])
}

fn transports() -> Panel {
    Panel::lines("Events that wait to be sent on", "By transport.").prom(
        "max by (transport) (tetcore_analytics_event_transport_pending{@i})",
        "{{transport}}",
    )
}

fn cpu() -> Panel {
    Panel::lines(
        "Processor",
        "What the server uses, of one processor, and the load of its machine by its processors.",
    )
    .unit("percentunit")
    .prom(
        "rate(process_cpu_seconds_total{@i}[$__rate_interval])",
        "{{instance}}",
    )
    .prom(
        "tetcore_analytics_host_load1{@i} / tetcore_analytics_host_cpus{@i}",
        "load of {{instance}}",
    )
}

fn memory() -> Panel {
    Panel::lines(
        "Memory",
        "What the server holds, and what its machine has left.",
    )
    .unit("bytes")
    .prom("process_resident_memory_bytes{@i}", "{{instance}}")
    .prom(
        "tetcore_analytics_host_memory_available_bytes{@i}",
        "left on the machine of {{instance}}",
    )
}

fn disk() -> Panel {
    Panel::lines("Disk", "What is free on the disk of DATA_DIR.")
        .unit("bytes")
        .prom("tetcore_analytics_disk_available_bytes{@i}", "{{instance}}")
}

fn servers() -> Panel {
    Panel::table("Servers", "The servers of the database, as their heartbeats say.")
        .size(12, 8)
        .sql(
            "SELECT name AS server, version, started_at AS started, stopped_at AS stopped, heartbeat_at AS \"last heartbeat\", sessions, messages_per_s AS messages,
       messages_dropped AS lost, spool_bytes AS spool, clock_offset_s AS \"clock off\", disk_full_in_days * 86400 AS \"disk full in\"
FROM servers ORDER BY heartbeat_at DESC LIMIT 100",
        )
        .column("messages", vec![field::unit("cps")])
        .column("spool", vec![field::unit("bytes")])
        .column("clock off", vec![field::unit("s")])
        .column("disk full in", vec![field::unit("s")])
        .column("lost", field::bad_from(1.0, "red"))
}

fn log() -> Panel {
    Panel::logs("Log", "The log of the servers, if it is sent to Loki (LOG_TRANSPORT, docs/TRANSPORTS.md) or shipped there under the same labels.")
        .loki("{job=\"tetcore-analytics\", origin=\"server\"}")
}
