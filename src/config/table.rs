//! The table of all settings: names, defaults, ranges, meanings.

use super::settings::{Allowed, DefaultValue, Setting};

const fn number(
    name: &'static str,
    default: &'static str,
    range: (u64, u64),
    unit: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting {
        name,
        default: DefaultValue::Text(default),
        allowed: Allowed::Integer(range.0, range.1),
        unit,
        secret: false,
        meaning,
    }
}

const fn computed(
    name: &'static str,
    default: DefaultValue,
    range: (u64, u64),
    meaning: &'static str,
) -> Setting {
    Setting {
        name,
        default,
        allowed: Allowed::Integer(range.0, range.1),
        unit: "",
        secret: false,
        meaning,
    }
}

const fn text(
    name: &'static str,
    default: DefaultValue,
    allowed: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting {
        name,
        default,
        allowed: Allowed::Text(allowed),
        unit: "",
        secret: false,
        meaning,
    }
}

const fn secret(name: &'static str, allowed: &'static str, meaning: &'static str) -> Setting {
    Setting {
        secret: true,
        ..text(name, DefaultValue::Unset, allowed, meaning)
    }
}

/// All settings, in the order in which they are documented.
pub const SETTINGS: &[Setting] = &[
    text(
        "LISTEN_ADDRESS",
        DefaultValue::Text("::"),
        "an IPv4 or IPv6 address",
        "Address on which nodes and browsers are served. :: means every address, IPv4 and IPv6; 127.0.0.1 serves this machine only.",
    ),
    number(
        "PORT",
        "8080",
        (0, 65_535),
        "",
        "TCP port for nodes and browsers. 0 takes any free port and prints it.",
    ),
    secret(
        "DATABASE_URL",
        "postgres://user:password@host:port/database",
        "Database to use. Not set: the server runs a PostgreSQL of its own under DATA_DIR.",
    ),
    secret(
        "READ_DATABASE_URL",
        "postgres://user:password@host:port/database",
        "Database for queries, for instance a read replica. Not set: DATABASE_URL.",
    ),
    text(
        "DATA_DIR",
        DefaultValue::Text("./data"),
        "a directory that can be written, one for each server",
        "What must survive a restart: the name of the server, its own PostgreSQL, the spool.",
    ),
    text(
        "SPOOL_DIR",
        DefaultValue::Unset,
        "a directory that can be written, one for each server",
        "The spool: batches that cannot be stored just now. It must survive a restart. Not set: spool in DATA_DIR.",
    ),
    number(
        "SPOOL_MAX_BYTES",
        "8589934592",
        (0, 1_000_000_000_000_000),
        "bytes",
        "Largest size of the spool; 8 GiB last for a day at 400 messages a second. When it is full, messages are dropped and counted, the newest first. 0 uses no spool.",
    ),
    text(
        "PG_BIN_DIR",
        DefaultValue::Unset,
        "a directory with initdb and postgres",
        "Programs for the server's own PostgreSQL. Not set: those on PATH or in the usual places.",
    ),
    text(
        "ASSETS_PATH",
        DefaultValue::Text("./static"),
        "a directory",
        "Files of the start page and the dashboards.",
    ),
    text(
        "RUST_LOG",
        DefaultValue::Text("info"),
        "error, warn, info, debug or trace, also by module",
        "How much is logged, to standard error. debug and trace name IP addresses.",
    ),
    number(
        "UPGRADE_TIMEOUT_S",
        "30",
        (0, 600),
        "s",
        "Time for the first request of a connection to come in, for a later one from its first byte on, and for a body. Nodes take up to 20 s, for they advance a connection only when they have something to send: below that they cannot connect; far above, idle connections pile up. 0 is no limit.",
    ),
    number(
        "NODE_IDLE_TIMEOUT_S",
        "60",
        (20, 86_400),
        "s",
        "Silence after which a node that never answered a ping is disconnected. A healthy node sends every 5 s, but may take 10 s for its first frame: too low costs data, too high shows dead nodes as online.",
    ),
    number(
        "HEARTBEAT_INTERVAL",
        "5",
        (1, 3_600),
        "s",
        "Time between pings to peers that answer them (browsers, old nodes). Nodes since 2021 never read: they get a single ping.",
    ),
    number(
        "CLIENT_TIMEOUT_S",
        "10",
        (2, 3_600),
        "s",
        "Silence after which a peer that has answered pings is disconnected. Must be longer than HEARTBEAT_INTERVAL.",
    ),
    number(
        "CONNECTIONS_MAX",
        "20000",
        (0, 1_000_000),
        "",
        "Telemetry connections open at once; more are refused. There may be as many others (HTTP, and nodes before their upgrade); if there are more, the address with most of them loses its oldest. Each takes up to 20 KiB of memory and a file descriptor. 0 is no limit.",
    ),
    number(
        "CONNECTIONS_PER_IP_MAX",
        "0",
        (0, 1_000_000),
        "",
        "Telemetry connections of one IP address, and as many others (a browser opens 6); more are refused. Each process of a node takes one, and all nodes behind a NAT share an address, as do those behind a proxy that is not one of TRUSTED_PROXIES. 0 is no limit.",
    ),
    number(
        "IPV6_PREFIX",
        "64",
        (32, 128),
        "bits",
        "Leading bits of an IPv6 address that stand for one client: CONNECTIONS_PER_IP_MAX and BLOCK_S count all addresses that share them as one. A line at home or a rented machine has at most 64, so it is one client; with 128 each of its addresses is.",
    ),
    number(
        "MAX_PENDING_CONNECTIONS",
        "8192",
        (16, 65_535),
        "",
        "TCP connections that wait to be accepted (listen backlog). Too low: of many nodes that reconnect at once some are refused.",
    ),
    number(
        "WS_MAX_PAYLOAD",
        "524288",
        (65_536, 67_108_864),
        "bytes",
        "Largest message, fragments put together. Today's largest is 93 kB (1,000 authorities), old network states reach 500 kB. A message over it is dropped and counted; a connection that goes on sending such ones, less than 10 s apart, for 10 s is closed, and its address blocked for BLOCK_S.",
    ),
    number(
        "NODES_PER_CONNECTION_MAX",
        "20",
        (0, 10_000),
        "",
        "Node ids on one connection. A collator has 2. Messages of further ids are dropped and counted; a connection that goes on sending them for 10 s is closed, and its address blocked for BLOCK_S. 0 is no limit.",
    ),
    number(
        "NODE_BYTES_PER_S_MAX",
        "4194304",
        (0, 1_000_000_000_000),
        "bytes/s",
        "What one connection may send, mean over 10 s. A node that syncs sends 25 kB/s at its peak; too low drops messages of healthy nodes. Over it, messages are dropped and counted; a connection that stays over it for 10 s is closed, and its address blocked for BLOCK_S. 0 is no limit.",
    ),
    number(
        "NODE_FRAMES_PER_S_MAX",
        "20000",
        (0, 1_000_000_000),
        "frames/s",
        "As NODE_BYTES_PER_S_MAX, in frames of all kinds, pings and fragments too. A node that syncs sends 40 a second. 0 is no limit.",
    ),
    number(
        "BLOCK_S",
        "60",
        (0, 86_400),
        "s",
        "How long new telemetry connections from an address are refused after one of it stayed over a limit; open ones stay. Nodes reconnect after 10 to 19 s, so less has little effect. 0 blocks no address: for nodes that share one, behind a NAT or a proxy.",
    ),
    number(
        "METRIC_KINDS_MAX",
        "100",
        (0, 30_000),
        "",
        "Kinds of messages (msg) that get a series of their own in /metrics beside the known ones; the others count as (other). 0 is no limit but MESSAGE_KINDS_MAX.",
    ),
    number(
        "METRIC_CHAINS_MAX",
        "20",
        (0, 10_000),
        "",
        "Chains that get a series of their own in /metrics at the same time; the others count as (other). A private network has 1 or 2; a node can claim any. 0 is no limit.",
    ),
    number(
        "MAX_CLOCK_SKEW_S",
        "10",
        (1, 86_400),
        "s",
        "How far a node's clock may be off, either way, until that is counted (ingest_clock_skew_exceeded_total). It decides nothing else: messages are dated by their arrival, and node_ts keeps what the node claimed. Low: slow networks count as well.",
    ),
    number(
        "MESSAGE_KINDS_MAX",
        "1000",
        (100, 30_000),
        "",
        "Kinds (msg) that get an entry in the dictionary beside the known ones. Messages of further kinds are stored as (unlisted) with msg in their fields. `tetcore-analytics kinds` lists them, and merges invented ones.",
    ),
    number(
        "DB_BATCH_SIZE",
        "1024",
        (1, 100_000),
        "rows",
        "Rows that make a batch leave at once. Under load, while all writers are busy, batches grow up to 16 times as large, as long as all of them take at most half of QUEUE_ROWS_MAX: fewer transactions for the same rows.",
    ),
    number(
        "DB_SAVE_LATENCY_MS",
        "100",
        (1, 60_000),
        "ms",
        "Longest time a message waits for its batch to fill. It is also what a crash may cost. Low values make many small transactions.",
    ),
    computed(
        "DB_WRITERS",
        DefaultValue::Cpus(1),
        (1, 64),
        "Threads that store batches, each with a database connection of its own.",
    ),
    number(
        "DB_WRITE_TIMEOUT_S",
        "60",
        (1, 3_600),
        "s",
        "How long the database may take for one batch, which usually takes milliseconds; meanwhile others go to the spool. Then its connection is given up, and it is sent again over a new one. Too low: on a slow network a large batch is sent again and again; too high: a batch on a hung connection waits for so long.",
    ),
    number(
        "QUEUE_ROWS_MAX",
        "65536",
        (16_384, 1_000_000),
        "rows",
        "Messages in memory that wait to be stored. When it is full although batches go to the spool, sockets are held back for HOLD_BACK_MS, then messages are dropped and counted. What has waited in memory for a second goes to the spool, so more than the database stores in a second is of use without a spool only. The lower limit is what a few reads of sockets may bring, each up to 3,000 messages of the smallest size; the upper limit is what one block of reserved ids covers.",
    ),
    number(
        "QUEUE_BYTES_MAX",
        "67108864",
        (1_048_576, 68_719_476_736),
        "bytes",
        "As QUEUE_ROWS_MAX, in bytes. Messages of which a part has come may have as much, and so may heads of HTTP requests. Must be at least twice WS_MAX_PAYLOAD.",
    ),
    number(
        "HOLD_BACK_MS",
        "2000",
        (0, 10_000),
        "ms",
        "Longest time a socket is not read while the queue is full. High: a node that is not read stops sending to its other telemetry endpoints too; low: messages are dropped sooner.",
    ),
    number(
        "REJECTED_MESSAGES_MAX",
        "10000",
        (0, 10_000_000),
        "rows",
        "Messages kept in rejected_messages, the newest. 0 keeps none.",
    ),
    computed(
        "NUM_THREADS",
        DefaultValue::Cpus(3),
        (1, 1_024),
        "Threads that run queries.",
    ),
    computed(
        "DB_POOL_SIZE",
        DefaultValue::SameAs("NUM_THREADS"),
        (1, 1_024),
        "Database connections for queries. The database must allow this many, DB_WRITERS and 3 more.",
    ),
    number(
        "DB_POOL_TIMEOUT_S",
        "5",
        (1, 300),
        "s",
        "How long a query waits for a connection before it is answered with 503.",
    ),
    number(
        "STATEMENT_TIMEOUT_S",
        "30",
        (1, 3_600),
        "s",
        "How long the database may work on one query before it is answered with 503.",
    ),
    number(
        "LOG_EXPIRY_H",
        "280320",
        (1, 1_000_000),
        "h",
        "Age at which messages are purged, in whole partitions; 280320 is 32 years. Messages from /audit are never purged.",
    ),
    number(
        "PARTITION_WIDTH_H",
        "24",
        (1, 744),
        "h",
        "Time span of a partition, at most an eighth of LOG_EXPIRY_H, to which the default is shortened. Narrow ones purge more exactly, wide ones keep queries over a year quick to plan.",
    ),
    number(
        "ROLLUP_EXPIRY_D",
        "3650",
        (1, 36_500),
        "d",
        "Age at which the hours in node_hours and span_hours are purged. They outlive their messages, so charts of years need no old messages; an hour of a node takes about 600 bytes, a year of it 5 MB. Charts of the time before come from the messages that are left.",
    ),
    number(
        "PURGE_INTERVAL_S",
        "600",
        (1, 86_400),
        "s",
        "Time between two purges. Partitions are made ahead at the same time.",
    ),
    number(
        "SHUTDOWN_TIMEOUT_S",
        "30",
        (1, 3_600),
        "s",
        "Time to store what was read after SIGTERM; what is left then is lost, counted, and makes the exit code 1.",
    ),
    number(
        "FEED_CONNECTIONS_MAX",
        "5000",
        (0, 1_000_000),
        "",
        "Live feed: subscribers, each a browser tab or a program; more are refused. One takes about 20 kB. 0 is no limit.",
    ),
    number(
        "CACHE_UPDATE_INTERVAL_MS",
        "1000",
        (10, 60_000),
        "ms",
        "Live feed: time between two updates of the table of all nodes, and between two reads of what other servers of the same database stored. What this server receives is sent four times as often. Low: more work for the database and browsers; high: late pages.",
    ),
    number(
        "CACHE_UPDATE_TIMEOUT_S",
        "15",
        (1, 600),
        "s",
        "Live feed: a read from the database that takes longer is logged; after 4 times as long it is given up.",
    ),
    number(
        "CACHE_EXPIRY_S",
        "3600",
        (1, 86_400),
        "s",
        "Live feed: how long the table of all nodes stays in memory after its last subscriber has left. Low: the first page after a pause reads the database again; high: up to 2 kB for each node are kept.",
    ),
    secret(
        "TELEMETRY_TOKENS",
        "tokens of 16 to 256 characters A-Z a-z 0-9 - . _ ~, separated by commas",
        "Nodes connect to /t/<token>/submit with one of these; without, they are refused. Not set: every node may connect.",
    ),
    secret(
        "AUDIT_TOKENS",
        "as TELEMETRY_TOKENS",
        "Nodes connect to /t/<token>/audit with one of these. Not set: every node may, but none if TELEMETRY_TOKENS is set.",
    ),
    secret(
        "API_TOKENS",
        "as TELEMETRY_TOKENS",
        "Clients that write over HTTP send one of these (Authorization: Bearer). Not set: only this machine may write.",
    ),
    secret(
        "READ_TOKENS",
        "as TELEMETRY_TOKENS",
        "Clients that read over HTTP, pages and /metrics too, send one of these (Authorization: Bearer, or as the password in a browser). Not set: everybody may read.",
    ),
    text(
        "ALLOWED_NETWORKS",
        DefaultValue::Unset,
        "networks such as 10.0.0.0/8 or fd00::/8, separated by commas",
        "Networks from which nodes may connect. Not set: all.",
    ),
    text(
        "ALLOWED_CHAINS",
        DefaultValue::Unset,
        "genesis hashes, 0x and 64 hexadecimal digits, separated by commas",
        "Chains whose nodes may send; messages of all others, and of nodes that report no chain, are dropped and counted. Not set: all chains.",
    ),
    text(
        "DENIED_CHAINS",
        DefaultValue::Unset,
        "as ALLOWED_CHAINS",
        "Chains whose nodes may not send. Takes precedence over ALLOWED_CHAINS.",
    ),
    text(
        "TRUSTED_PROXIES",
        DefaultValue::Unset,
        "as ALLOWED_NETWORKS",
        "Proxies whose headers Forwarded and X-Forwarded-For give the address of a client. Too wide: clients can claim any address.",
    ),
    text(
        "EXPOSE_IP_ADDRESSES",
        DefaultValue::Text("false"),
        "true or false",
        "Whether all who may read see the IP addresses of nodes, or only those with a token or on this machine.",
    ),
    text(
        "CORS_ORIGINS",
        DefaultValue::Unset,
        "origins such as https://grafana.example.org, separated by commas",
        "Other sites whose pages may send requests to this server from a browser. Not set: none.",
    ),
    text(
        "ALLOWED_HOSTS",
        DefaultValue::Unset,
        "names such as telemetry.example.org or *.example.org, separated by commas",
        "Names under which browsers and programs reach this server, beside those that only a network of your own can have (addresses, single words, .local, .lan, .internal, .home.arpa, .svc), the machine's own and those of TLS_CERT_PATH. Others are refused, for any site can point its name here (DNS rebinding). Nodes may use every name, and so may everybody with READ_TOKENS.",
    ),
    text(
        "TLS_CERT_PATH",
        DefaultValue::Unset,
        "a PEM file",
        "Certificate for https:// and wss://, with its intermediates. Read again when it changes. Not set: no TLS.",
    ),
    text(
        "TLS_KEY_PATH",
        DefaultValue::Unset,
        "a PEM file",
        "Private key of TLS_CERT_PATH.",
    ),
];
