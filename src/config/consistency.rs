//! Settings that are fine each on its own, and contradict each other.

use super::{Config, Reader};

const HOUR_S: u64 = 3_600;

impl Reader<'_> {
    /// Adds a fault for each contradiction.
    pub(super) fn check_consistency(&mut self, config: &Config) {
        let contradictions = [
            (
                "CLIENT_TIMEOUT_S",
                config.ingest.client_timeout <= config.ingest.heartbeat_interval,
                "must be longer than HEARTBEAT_INTERVAL",
            ),
            (
                "QUEUE_BYTES_MAX",
                config.ingest.queue_bytes_max < 2 * config.ingest.frame_bytes_max,
                "must be at least twice WS_MAX_PAYLOAD",
            ),
            (
                "DB_BATCH_SIZE",
                config.ingest.batch_rows > config.ingest.queue_rows_max / 2,
                "must be at most half of QUEUE_ROWS_MAX: no batch can grow so large",
            ),
            (
                "READ_DATABASE_URL",
                config.store.read_database_url.is_some() && config.store.database_url.is_none(),
                "needs DATABASE_URL: without it messages go to a PostgreSQL of the server's own",
            ),
        ];
        for (name, is_contradiction, problem) in contradictions {
            if is_contradiction {
                self.fault(name, problem.to_owned());
            }
        }
        let (given, in_force) = (
            self.given_integer("PARTITION_WIDTH_H"),
            config.retention.partition_width.as_secs() / HOUR_S,
        );
        if given.is_some_and(|given| given > in_force) {
            self.fault(
                "PARTITION_WIDTH_H",
                format!(
                    "must be at most an eighth of LOG_EXPIRY_H, here {in_force}; not set, it is chosen so"
                ),
            );
        }
        if let Some(level) = misspelt_level(&config.log_filter) {
            self.fault(
                "RUST_LOG",
                format!("'{level}' is not error, warn, info, debug, trace or off"),
            );
        }
    }
}

/// A level that is misspelt counts as the name of a module, and nothing is logged.
fn misspelt_level(filter: &str) -> Option<&str> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_level = |text: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
    let directives = filter.split('/').next().unwrap_or_default().split(',');
    for directive in directives.map(str::trim).filter(|text| !text.is_empty()) {
        let is_misspelt = match directive.split_once('=') {
            Some((_, level)) if is_level(level) => false,
            Some((_, level)) => return Some(level),
            None => {
                let lower = directive.to_ascii_lowercase();
                !is_level(&lower)
                    && (LEVELS.iter()).any(|level| strsim::osa_distance(&lower, level) <= 2)
            }
        };
        if is_misspelt {
            return Some(directive);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(values: &[(&str, &str)]) -> String {
        let config = Config::from_lookup(&|name| {
            let found = values.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        config.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn settings_that_contradict_each_other_are_faults() {
        for (values, fault) in [
            (
                [("LOG_EXPIRY_H", "2"), ("PARTITION_WIDTH_H", "24")],
                "PARTITION_WIDTH_H: must be at most an eighth of LOG_EXPIRY_H, here 1",
            ),
            (
                [("DB_BATCH_SIZE", "20000"), ("QUEUE_ROWS_MAX", "20000")],
                "DB_BATCH_SIZE: must be at most half",
            ),
            (
                [
                    ("READ_DATABASE_URL", "postgres://h/d"),
                    ("DATABASE_URL", ""),
                ],
                "READ_DATABASE_URL: needs DATABASE_URL",
            ),
            (
                [("CLIENT_TIMEOUT_S", "5"), ("HEARTBEAT_INTERVAL", "5")],
                "CLIENT_TIMEOUT_S: must be longer",
            ),
            (
                [("RUST_LOG", "inof"), ("PORT", "80")],
                "RUST_LOG: 'inof' is not",
            ),
            (
                [("RUST_LOG", "warn,diesel=loud"), ("PORT", "80")],
                "RUST_LOG: 'loud' is not",
            ),
        ] {
            let faults = faults(&values);
            assert!(faults.contains(fault), "{fault} is missing in: {faults}");
        }
        for fine in [
            [("LOG_EXPIRY_H", "192"), ("PARTITION_WIDTH_H", "24")],
            [("LOG_EXPIRY_H", "8"), ("PARTITION_WIDTH_H", "1")],
            [
                (
                    "RUST_LOG",
                    "Debug,actix_server,tetcore_analytics::feed=trace",
                ),
                ("PORT", "80"),
            ],
        ] {
            assert_eq!(faults(&fine), "", "{fine:?}");
        }
    }
}
