//! The settings by task, as the documentation shows them.

/// Settings that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Heading.
    pub title: &'static str,
    /// When one looks here.
    pub about: &'static str,
    /// Names of its settings, in the order in which they are shown.
    pub settings: &'static [&'static str],
}

/// The settings that most installations change: each decides something that no default can know.
/// With each its reason.
pub const COMMON: [(&str, &str); 10] = [
    (
        "DATABASE_URL",
        "You have a PostgreSQL; else the server runs one of its own.",
    ),
    (
        "DATA_DIR",
        "Where the disk is that lasts: spool, name of the server, its own PostgreSQL.",
    ),
    ("PORT", "8080 is taken, or the load balancer wants another."),
    (
        "LOG_EXPIRY_H",
        "How long messages are kept decides how much disk is needed; the default keeps them for 32 years.",
    ),
    (
        "SPOOL_MAX_BYTES",
        "How long the database may be away without a loss; it has to fit the disk of DATA_DIR.",
    ),
    (
        "TELEMETRY_TOKENS",
        "The port can be reached by others than your nodes.",
    ),
    (
        "READ_TOKENS",
        "The port can be reached by people who should not read.",
    ),
    (
        "API_TOKENS",
        "Benchmarks, silences or heartbeats are entered from other machines.",
    ),
    (
        "TLS_CERT_PATH",
        "Telemetry and tokens cross a network that is not yours, and no proxy adds TLS. With TLS_KEY_PATH.",
    ),
    (
        "NOTIFY_WEBHOOK_URL",
        "Somebody is to be told when something is wrong; or NOTIFY_ALERTMANAGER_URL.",
    ),
];

/// All settings, each in one group.
pub const GROUPS: &[Group] = &[
    Group {
        title: "Start",
        about: "Where the server listens, and where its files are.",
        settings: &[
            "LISTEN_ADDRESS",
            "PORT",
            "DATA_DIR",
            "ASSETS_PATH",
            "SHUTDOWN_TIMEOUT_S",
        ],
    },
    Group {
        title: "Database",
        about: "Which PostgreSQL, and how many connections to it.",
        settings: &[
            "DATABASE_URL",
            "READ_DATABASE_URL",
            "PG_BIN_DIR",
            "DB_WRITERS",
            "DB_POOL_SIZE",
            "DB_POOL_TIMEOUT_S",
            "DB_WRITE_TIMEOUT_S",
            "NUM_THREADS",
            "STATEMENT_TIMEOUT_S",
        ],
    },
    Group {
        title: "Retention",
        about: "How long what is stored stays; [SIZING.md](SIZING.md) has what it takes.",
        settings: &[
            "LOG_EXPIRY_H",
            "EVENT_EXPIRY_H",
            "ROLLUP_EXPIRY_D",
            "PARTITION_WIDTH_H",
            "PURGE_INTERVAL_S",
        ],
    },
    Group {
        title: "Access",
        about: "Who may connect, read and write; [ACCESS.md](ACCESS.md) has the rules.",
        settings: &[
            "TELEMETRY_TOKENS",
            "AUDIT_TOKENS",
            "API_TOKENS",
            "READ_TOKENS",
            "ALLOWED_NETWORKS",
            "ALLOWED_CHAINS",
            "DENIED_CHAINS",
            "TRUSTED_PROXIES",
            "EXPOSE_IP_ADDRESSES",
            "EXPOSE_LOCATIONS",
            "GEOIP_DATABASE",
            "LOCATION_PRECISION",
            "CORS_ORIGINS",
            "ALLOWED_HOSTS",
            "TLS_CERT_PATH",
            "TLS_KEY_PATH",
        ],
    },
    Group {
        title: "Connections",
        about: "What one node, one address and all of them may take.",
        settings: &[
            "CONNECTIONS_MAX",
            "CONNECTIONS_PER_IP_MAX",
            "IPV6_PREFIX",
            "MAX_PENDING_CONNECTIONS",
            "UPGRADE_TIMEOUT_S",
            "NODE_IDLE_TIMEOUT_S",
            "HEARTBEAT_INTERVAL",
            "CLIENT_TIMEOUT_S",
            "WS_MAX_PAYLOAD",
            "NODES_PER_CONNECTION_MAX",
            "NODE_BYTES_PER_S_MAX",
            "NODE_FRAMES_PER_S_MAX",
            "BLOCK_S",
        ],
    },
    Group {
        title: "Storage",
        about: "From memory to the database: batches, limits, and the spool for times when it is away.",
        settings: &[
            "SPOOL_DIR",
            "SPOOL_MAX_BYTES",
            "DB_BATCH_SIZE",
            "DB_SAVE_LATENCY_MS",
            "QUEUE_ROWS_MAX",
            "QUEUE_BYTES_MAX",
            "HOLD_BACK_MS",
            "MAX_CLOCK_SKEW_S",
            "MESSAGE_KINDS_MAX",
            "REJECTED_MESSAGES_MAX",
        ],
    },
    Group {
        title: "Live feed",
        about: "Subscribers, and what is kept for them; [FEED.md](FEED.md) has the feed.",
        settings: &[
            "FEED_CONNECTIONS_MAX",
            "CACHE_UPDATE_INTERVAL_MS",
            "CACHE_UPDATE_TIMEOUT_S",
            "CACHE_EXPIRY_S",
        ],
    },
    Group {
        title: "Status of nodes",
        about: "When a node counts as late, missing or stalled; [STATUS.md](STATUS.md) has the states.",
        settings: &[
            "NODE_HEARTBEAT_S",
            "NODE_MISSED_BEATS",
            "NODE_OFFLINE_S",
            "NODE_STALLED_S",
            "NODE_FINALITY_LAG",
            "CHAIN_OVERRIDES_PATH",
        ],
    },
    Group {
        title: "Alerts",
        about: "What alerts, and who is told; [ALERTS.md](ALERTS.md) has the rules.",
        settings: &[
            "ALERT_RULES_PATH",
            "NODE_SESSION_S",
            "NODE_SLASH_RISK_PCT",
            "NOTIFY_WEBHOOK_URL",
            "NOTIFY_WEBHOOK_SECRET",
            "NOTIFY_ALERTMANAGER_URL",
            "NOTIFY_SEVERITY_MIN",
            "NOTIFY_TIMEOUT_S",
            "NOTIFY_ALLOW_PRIVATE",
            "NOTIFY_CA_FILE",
            "DEADMAN_URL",
            "DEADMAN_INTERVAL_S",
        ],
    },
    Group {
        title: "Transports of events",
        about: "Where events are sent on; [TRANSPORTS.md](TRANSPORTS.md) has what each sends.",
        settings: &[
            "EVENT_TRANSPORTS",
            "EVENT_BATCH_EVENTS",
            "EVENT_BATCH_BYTES",
            "EVENT_BATCH_AGE_MS",
            "EVENT_BACKLOG_MAX_BYTES",
            "EVENT_CONSOLE_FILTER",
            "EVENT_CONSOLE_DELIVERY",
            "EVENT_WEBHOOK_URL",
            "EVENT_WEBHOOK_SECRET",
            "EVENT_WEBHOOK_FILTER",
            "EVENT_WEBHOOK_DELIVERY",
            "EVENT_HONEYCOMB_URL",
            "EVENT_HONEYCOMB_KEY",
            "EVENT_HONEYCOMB_DATASET",
            "EVENT_HONEYCOMB_FILTER",
            "EVENT_HONEYCOMB_DELIVERY",
            "EVENT_OTLP_URL",
            "EVENT_OTLP_HEADERS",
            "EVENT_OTLP_FILTER",
            "EVENT_OTLP_DELIVERY",
            "EVENT_LOKI_URL",
            "EVENT_LOKI_USER",
            "EVENT_LOKI_KEY",
            "EVENT_LOKI_TENANT",
            "EVENT_LOKI_LABELS",
            "EVENT_LOKI_FILTER",
            "EVENT_LOKI_DELIVERY",
        ],
    },
    Group {
        title: "Metrics",
        about: "For Prometheus; [METRICS.md](METRICS.md) has all of them.",
        settings: &[
            "METRICS_ADDRESS",
            "METRIC_KINDS_MAX",
            "METRIC_CHAINS_MAX",
            "METRICS_NODES_MAX",
            "METRICS_LEGACY_NAMES",
        ],
    },
    Group {
        title: "Grafana",
        about: "Dashboards that the server brings into a Grafana; [GRAFANA.md](GRAFANA.md) has them.",
        settings: &[
            "GRAFANA_URL",
            "GRAFANA_TOKEN",
            "GRAFANA_DATABASE_URL",
            "GRAFANA_PROMETHEUS_URL",
            "GRAFANA_LOKI_URL",
            "PUBLIC_URL",
        ],
    },
    Group {
        title: "Log",
        about: "The log of the server itself.",
        settings: &["RUST_LOG", "LOG_FORMAT", "LOG_TRANSPORT"],
    },
];
