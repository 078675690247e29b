//! The settings of one server, checked: a [`Config`] is always valid. `settings` describes each one; `args` is the command line.

mod access;
mod alerts;
pub mod args;
mod authorities;
mod consistency;
mod database_url;
mod event_filter;
mod grafana;
mod groups;
mod hosts;
mod lines;
mod locations;
mod log_format;
mod misspelt;
mod notify;
mod reader;
pub mod settings;
mod status;
mod table;
mod tokens;
mod transports;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use access::{AccessConfig, ChainRules, Networks, TlsFiles};
pub use alerts::{RuleOverride, RuleOverrides, Severity};
pub use authorities::Authorities;
pub use database_url::DatabaseUrl;
pub use event_filter::{EVENT_SEVERITIES, EventFilter, Patterns};
pub use grafana::GrafanaConfig;
pub use hosts::HostNames;
pub use lines::Ipv6Prefix;
pub use locations::{LocationPrecision, LocationsConfig};
pub use log_format::LogFormat;
pub use misspelt::{Place, misspelt};
pub use notify::{NotifyConfig, TargetUrl, WebhookKey};
use reader::Reader;
use settings::SETTINGS;
pub use status::{NodeRules, StatusConfig};
pub use tokens::{Tokens, first_token};
pub use transports::{
    BatchLimits, Endpoint, Guarantee, SecretText, TransportConfig, TransportKind, TransportName,
    TransportsConfig,
};

/// All settings, by the room that uses them.
#[derive(Debug, Clone)]
pub struct Config {
    /// The HTTP server.
    pub http: HttpConfig,
    /// The database and what the server keeps on disk.
    pub store: StoreConfig,
    /// Sockets of nodes, and the way of a message into a batch.
    pub ingest: IngestConfig,
    /// Purging.
    pub retention: RetentionConfig,
    /// The live feed.
    pub feed: FeedConfig,
    /// The status of nodes.
    pub status: StatusConfig,
    /// What goes outwards.
    pub notify: NotifyConfig,
    /// By what events and the log leave.
    pub transports: TransportsConfig,
    /// The Grafana to which dashboards are uploaded.
    pub grafana: GrafanaConfig,
    /// Where nodes are.
    pub locations: LocationsConfig,
    /// Who may do what.
    pub access: AccessConfig,
    /// `RUST_LOG`.
    pub log_filter: String,
    /// `LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `SHUTDOWN_TIMEOUT_S`.
    pub shutdown_timeout: Duration,
}

/// Settings of the HTTP server.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// `LISTEN_ADDRESS`.
    pub listen_address: IpAddr,
    /// `PORT`; 0 takes a free one.
    pub port: u16,
    /// `ASSETS_PATH`.
    pub assets_path: PathBuf,
    /// `UPGRADE_TIMEOUT_S`.
    pub upgrade_timeout: Duration,
    /// `CONNECTIONS_MAX`; the largest number if there is no limit, as with every limit.
    pub connections_max: usize,
    /// `MAX_PENDING_CONNECTIONS`: the listen backlog.
    pub backlog: u32,
    /// `METRICS_ADDRESS`: where metrics are instead of `port`.
    pub metrics_address: Option<SocketAddr>,
    /// `METRICS_LEGACY_NAMES`.
    pub metrics_old_names: bool,
}

/// Settings of the database and of what the server keeps on disk.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `DATABASE_URL`; without it the server runs its own PostgreSQL.
    pub database_url: Option<DatabaseUrl>,
    /// `READ_DATABASE_URL`.
    pub read_database_url: Option<DatabaseUrl>,
    /// `DATA_DIR`.
    pub data_dir: PathBuf,
    /// `SPOOL_DIR`; `spool` in `DATA_DIR` if it is not given.
    pub spool_dir: PathBuf,
    /// `SPOOL_MAX_BYTES`.
    pub spool_bytes_max: u64,
    /// `PG_BIN_DIR`.
    pub pg_bin_dir: Option<PathBuf>,
    /// `DB_WRITERS`.
    pub writers: usize,
    /// `DB_WRITE_TIMEOUT_S`.
    pub write_timeout: Duration,
    /// `NUM_THREADS`: threads that run queries.
    pub read_threads: usize,
    /// `DB_POOL_SIZE`: connections for queries.
    pub read_pool_size: u32,
    /// `DB_POOL_TIMEOUT_S`.
    pub read_pool_timeout: Duration,
    /// `STATEMENT_TIMEOUT_S`.
    pub statement_timeout: Duration,
    /// `MESSAGE_KINDS_MAX`.
    pub kinds_max: usize,
    /// `REJECTED_MESSAGES_MAX`.
    pub rejected_max: u64,
}

/// Settings of the sockets of nodes and of batching.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// `NODE_IDLE_TIMEOUT_S`.
    pub idle_timeout: Duration,
    /// `HEARTBEAT_INTERVAL`.
    pub heartbeat_interval: Duration,
    /// `CLIENT_TIMEOUT_S`.
    pub client_timeout: Duration,
    /// `WS_MAX_PAYLOAD`, bytes.
    pub frame_bytes_max: usize,
    /// `NODES_PER_CONNECTION_MAX`.
    pub nodes_per_connection_max: usize,
    /// `NODE_BYTES_PER_S_MAX`.
    pub node_bytes_per_s_max: u64,
    /// `NODE_FRAMES_PER_S_MAX`.
    pub node_frames_per_s_max: u64,
    /// `CONNECTIONS_PER_IP_MAX`.
    pub connections_per_ip_max: usize,
    /// `IPV6_PREFIX`.
    pub ipv6_prefix: Ipv6Prefix,
    /// `BLOCK_S`; zero refuses no address.
    pub block: Duration,
    /// `METRIC_KINDS_MAX`.
    pub metric_kinds_max: usize,
    /// `METRIC_CHAINS_MAX`.
    pub metric_chains_max: usize,
    /// `METRICS_NODES_MAX`.
    pub metrics_nodes_max: i64,
    /// `MAX_CLOCK_SKEW_S`.
    pub clock_skew_max: Duration,
    /// `DB_BATCH_SIZE`, rows.
    pub batch_rows: usize,
    /// `DB_SAVE_LATENCY_MS`.
    pub batch_age_max: Duration,
    /// `QUEUE_ROWS_MAX`.
    pub queue_rows_max: usize,
    /// `QUEUE_BYTES_MAX`.
    pub queue_bytes_max: usize,
    /// `HOLD_BACK_MS`.
    pub hold_back: Duration,
}

/// Settings of purging.
#[derive(Debug, Clone)]
pub struct RetentionConfig {
    /// `LOG_EXPIRY_H`.
    pub expiry: Duration,
    /// `PARTITION_WIDTH_H`, already at most an eighth of the expiry, at least an hour.
    pub partition_width: Duration,
    /// `ROLLUP_EXPIRY_D`.
    pub rollup_expiry: Duration,
    /// `EVENT_EXPIRY_H`.
    pub event_expiry: Duration,
    /// `PURGE_INTERVAL_S`.
    pub interval: Duration,
}

/// Settings of the live feed.
#[derive(Debug, Clone)]
pub struct FeedConfig {
    /// `FEED_CONNECTIONS_MAX`.
    pub connections_max: usize,
    /// `CACHE_UPDATE_INTERVAL_MS`.
    pub update_interval: Duration,
    /// `CACHE_UPDATE_TIMEOUT_S`: a read that takes longer is logged, and given
    /// up after four times as long.
    pub slow_after: Duration,
    /// `CACHE_EXPIRY_S`.
    pub expiry: Duration,
}

/// A value that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Name of the setting.
    pub name: Cow<'static, str>,
    /// What is wrong with it, with the allowed range.
    pub problem: String,
}

/// All values that were refused.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// Each fault, in the order of the documentation.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the settings are wrong, nothing was started:")?;
        for fault in &self.faults {
            write!(formatter, "\n  {}: {}", fault.name, fault.problem)?;
        }
        write!(formatter, "\n.env.example describes every setting")
    }
}

impl Config {
    /// Reads all settings through `lookup`, which gives the value of a variable.
    ///
    /// # Errors
    /// Every fault at once, by name.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let expiry_h = reader.integer("LOG_EXPIRY_H");
        let width_h = reader.integer("PARTITION_WIDTH_H").min(expiry_h / 8).max(1);
        let config = Self {
            http: HttpConfig {
                listen_address: reader.parsed("LISTEN_ADDRESS", IpAddr::from([0, 0, 0, 0])),
                port: narrow(reader.integer("PORT")),
                assets_path: reader.path("ASSETS_PATH"),
                upgrade_timeout: reader.seconds("UPGRADE_TIMEOUT_S"),
                connections_max: narrow(reader.limit("CONNECTIONS_MAX")),
                backlog: narrow(reader.integer("MAX_PENDING_CONNECTIONS")),
                metrics_address: reader.optional("METRICS_ADDRESS"),
                metrics_old_names: reader.parsed("METRICS_LEGACY_NAMES", false),
            },
            store: StoreConfig {
                database_url: reader.database_url("DATABASE_URL"),
                read_database_url: reader.database_url("READ_DATABASE_URL"),
                data_dir: reader.path("DATA_DIR"),
                spool_dir: match reader.text("SPOOL_DIR") {
                    Some(dir) => PathBuf::from(dir),
                    None => reader.path("DATA_DIR").join("spool"),
                },
                spool_bytes_max: reader.integer("SPOOL_MAX_BYTES"),
                pg_bin_dir: reader.text("PG_BIN_DIR").map(PathBuf::from),
                writers: narrow(reader.integer("DB_WRITERS")),
                write_timeout: reader.seconds("DB_WRITE_TIMEOUT_S"),
                read_threads: narrow(reader.integer("NUM_THREADS")),
                read_pool_size: narrow(reader.integer("DB_POOL_SIZE")),
                read_pool_timeout: reader.seconds("DB_POOL_TIMEOUT_S"),
                statement_timeout: reader.seconds("STATEMENT_TIMEOUT_S"),
                kinds_max: narrow(reader.integer("MESSAGE_KINDS_MAX")),
                rejected_max: reader.integer("REJECTED_MESSAGES_MAX"),
            },
            ingest: IngestConfig {
                idle_timeout: reader.seconds("NODE_IDLE_TIMEOUT_S"),
                heartbeat_interval: reader.seconds("HEARTBEAT_INTERVAL"),
                client_timeout: reader.seconds("CLIENT_TIMEOUT_S"),
                frame_bytes_max: narrow(reader.integer("WS_MAX_PAYLOAD")),
                nodes_per_connection_max: narrow(reader.limit("NODES_PER_CONNECTION_MAX")),
                node_bytes_per_s_max: reader.limit("NODE_BYTES_PER_S_MAX"),
                node_frames_per_s_max: reader.limit("NODE_FRAMES_PER_S_MAX"),
                connections_per_ip_max: narrow(reader.limit("CONNECTIONS_PER_IP_MAX")),
                ipv6_prefix: Ipv6Prefix(narrow(reader.integer("IPV6_PREFIX"))),
                block: reader.seconds("BLOCK_S"),
                metric_kinds_max: narrow(reader.limit("METRIC_KINDS_MAX")),
                metric_chains_max: narrow(reader.limit("METRIC_CHAINS_MAX")),
                metrics_nodes_max: narrow(reader.integer("METRICS_NODES_MAX")),
                clock_skew_max: reader.seconds("MAX_CLOCK_SKEW_S"),
                batch_rows: narrow(reader.integer("DB_BATCH_SIZE")),
                batch_age_max: Duration::from_millis(reader.integer("DB_SAVE_LATENCY_MS")),
                queue_rows_max: narrow(reader.integer("QUEUE_ROWS_MAX")),
                queue_bytes_max: narrow(reader.integer("QUEUE_BYTES_MAX")),
                hold_back: Duration::from_millis(reader.integer("HOLD_BACK_MS")),
            },
            retention: RetentionConfig {
                expiry: Duration::from_secs(expiry_h * 3_600),
                partition_width: Duration::from_secs(width_h * 3_600),
                rollup_expiry: Duration::from_secs(reader.integer("ROLLUP_EXPIRY_D") * 86_400),
                event_expiry: Duration::from_secs(reader.integer("EVENT_EXPIRY_H") * 3_600),
                interval: reader.seconds("PURGE_INTERVAL_S"),
            },
            feed: FeedConfig {
                connections_max: narrow(reader.limit("FEED_CONNECTIONS_MAX")),
                update_interval: Duration::from_millis(reader.integer("CACHE_UPDATE_INTERVAL_MS")),
                slow_after: reader.seconds("CACHE_UPDATE_TIMEOUT_S"),
                expiry: reader.seconds("CACHE_EXPIRY_S"),
            },
            status: StatusConfig::read(&mut reader),
            notify: NotifyConfig::read(&mut reader),
            transports: TransportsConfig::read(&mut reader),
            grafana: GrafanaConfig::read(&mut reader),
            locations: LocationsConfig::read(&mut reader),
            access: AccessConfig::read(&mut reader),
            log_filter: reader.text("RUST_LOG").unwrap_or_default(),
            log_format: reader.parsed("LOG_FORMAT", LogFormat::Text),
            shutdown_timeout: reader.seconds("SHUTDOWN_TIMEOUT_S"),
        };
        reader.check_consistency(&config);
        match reader.faults() {
            faults if faults.is_empty() => Ok(config),
            faults => Err(ConfigError { faults }),
        }
    }
}

/// The settings in force, a line each, secrets masked; `config` is what was read
/// through the same `lookup`.
pub fn effective(config: &Config, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut reader = Reader::new(lookup);
    let mut shown: Vec<String> = SETTINGS
        .iter()
        .map(|setting| {
            let value = match reader.text(setting.name) {
                // These depend on others.
                _ if setting.name == "PARTITION_WIDTH_H" => {
                    (config.retention.partition_width.as_secs() / 3_600).to_string()
                }
                _ if setting.name == "SPOOL_DIR" => config.store.spool_dir.display().to_string(),
                Some(_) if setting.secret => "(secret)".to_owned(),
                Some(value) => value,
                None => "(not set)".to_owned(),
            };
            format!("{}={value}", setting.name)
        })
        .collect();
    for (name, described) in config.transports.numbered() {
        let is_secret = settings::find(described).is_some_and(|setting| setting.secret);
        let value = match reader.text_of(&name, described) {
            Some(_) if is_secret => "(secret)".to_owned(),
            value => value.unwrap_or_else(|| "(not set)".to_owned()),
        };
        shown.push(format!("{name}={value}"));
    }
    shown
}

/// What is wrong with a TOML file, with its line.
fn toml_error(text: &str, error: &toml::de::Error) -> String {
    let place = error.span().map(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        format!("line {}: ", before.matches('\n').count() + 1)
    });
    format!("{}{}", place.unwrap_or_default(), error.message())
}

/// Into a smaller type; the table's ranges make sure that it fits.
fn narrow<T: TryFrom<u64> + Default>(value: u64) -> T {
    let narrowed = T::try_from(value);
    debug_assert!(narrowed.is_ok(), "the range of a setting exceeds its type");
    narrowed.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::settings::DefaultValue;
    use super::*;

    fn config(values: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(&|name| {
            let found = values.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_are_valid() {
        let config = config(&[]).unwrap();
        assert_eq!(config.http.port, 8080);
        assert_eq!(config.ingest.batch_age_max, Duration::from_millis(100));
        let threads = u32::try_from(config.store.read_threads).unwrap();
        assert_eq!(config.store.read_pool_size, threads);
        assert_eq!(
            config.retention.expiry,
            Duration::from_secs(280_320 * 3_600)
        );
    }

    #[test]
    fn every_fault_is_listed_by_name_with_value_and_range() {
        let error = config(&[
            ("PORT", "80800"),
            ("DB_BATCH_SIZE", "many"),
            ("DATABASE_URL", "mysql://u:geheim@h/d"),
            ("CLIENT_TIMEOUT_S", "5"),
        ])
        .unwrap_err();
        let text = error.to_string();
        for part in [
            "PORT: '80800' is not a whole number from 0 to 65535",
            "DB_BATCH_SIZE: 'many'",
            "DATABASE_URL: is not of the form",
            "CLIENT_TIMEOUT_S: must be longer than HEARTBEAT_INTERVAL",
        ] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        assert!(!text.contains("geheim"));
    }

    #[test]
    fn an_empty_value_counts_as_not_given() {
        let config = config(&[("DATABASE_URL", ""), ("PORT", " ")]).unwrap();
        assert!(config.store.database_url.is_none());
        assert_eq!(config.http.port, 8080);
    }

    #[test]
    fn partitions_are_narrow_when_little_is_kept() {
        let config = config(&[("LOG_EXPIRY_H", "16")]).unwrap();
        assert_eq!(
            config.retention.partition_width,
            Duration::from_secs(2 * 3_600)
        );
    }

    #[test]
    fn what_is_shown_as_in_force_is_in_force() {
        let lookup = |name: &str| match name {
            "LOG_EXPIRY_H" => Some("16".to_owned()),
            "DATA_DIR" => Some("/data".to_owned()),
            _ => None,
        };
        let shown = effective(&Config::from_lookup(&lookup).unwrap(), &lookup);
        for line in ["PARTITION_WIDTH_H=2", "SPOOL_DIR=/data/spool", "PORT=8080"] {
            assert!(shown.contains(&line.to_owned()), "{line}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let lookup =
            |name: &str| (name == "DATABASE_URL").then(|| "postgres://u:geheim@h/d".to_owned());
        let shown = effective(&Config::from_lookup(&lookup).unwrap(), &lookup).join("\n");
        assert!(shown.contains("DATABASE_URL=(secret)") && !shown.contains("geheim"));
        let config = Config::from_lookup(&lookup).unwrap();
        assert!(!format!("{config:?}").contains("geheim"));
    }

    #[test]
    fn every_default_lies_in_its_range() {
        assert!(config(&[]).is_ok());
        for setting in SETTINGS {
            if let DefaultValue::SameAs(other) = setting.default {
                assert!(settings::find(other).is_some());
            }
        }
    }
}
