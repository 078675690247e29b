//! The settings of the embedded PostgreSQL for this load: one stream of large COPY batches into
//! time partitions, read by dashboards, rarely updated.
//!
//! `docs/EMBEDDED_POSTGRES.md` repeats them for operators; each line's reason stands beside it in
//! the file that is written.

use std::num::NonZero;

use sysinfo::{MemoryRefreshKind, System};

use super::error::EmbeddedError;

const MIB: u64 = 1024 * 1024;

/// What the settings depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    /// Memory this process may use, in bytes: the machine's, or less in a container.
    pub(super) memory_bytes: u64,
    /// Processors this process may use.
    pub(super) cpus: u64,
    /// True if WAL can be compressed with LZ4 (PostgreSQL 15 and newer, built with it).
    pub(super) has_wal_lz4: bool,
    /// True if long values can be compressed with LZ4 (built with it).
    pub(super) has_toast_lz4: bool,
}

impl Machine {
    /// Measures the machine; what PostgreSQL was built with is asked by `supports(setting, value)`.
    ///
    /// # Errors
    /// [`EmbeddedError::UnknownSystem`] on systems whose memory can't be measured.
    pub(super) fn measure(supports: impl Fn(&str, &str) -> bool) -> Result<Self, EmbeddedError> {
        let mut system = System::new().map_err(EmbeddedError::UnknownSystem)?;
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let total = system.total_memory();
        let memory_bytes = match system.cgroup_limits() {
            Some(limits) if limits.total_memory > 0 => total.min(limits.total_memory),
            _ => total,
        };
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            memory_bytes,
            cpus: u64::try_from(cpus).unwrap_or(1),
            has_wal_lz4: supports("wal_compression", "lz4"),
            has_toast_lz4: supports("default_toast_compression", "lz4"),
        })
    }
}

/// The contents of `tetcore-analytics.conf`.
///
/// With `is_durable` false (tests, benchmarks) nothing is forced to disk: a crash of the machine
/// destroys the cluster.
pub(super) fn configuration(machine: Machine, is_durable: bool) -> String {
    let mut text = String::from(
        "# Rewritten at each start of tetcore-analytics: put your own settings into custom.conf\n\
         # beside this file, which is read last.\n",
    );
    for (setting, value, reason) in settings(machine, is_durable) {
        text.push_str(&format!("\n# {reason}\n{setting} = {value}\n"));
    }
    text
}

type Setting = (&'static str, String, &'static str);

fn settings(machine: Machine, is_durable: bool) -> Vec<Setting> {
    let mut settings = memory(machine);
    settings.extend(write_ahead_log(machine));
    settings.extend(upkeep_and_plans());
    settings.extend(connections_and_log(machine));
    settings.extend(durability(is_durable));
    if machine.has_toast_lz4 {
        settings.push((
            "default_toast_compression",
            "lz4".into(),
            "long messages are packed with a fraction of the CPU of pglz",
        ));
    }
    settings
}

fn memory(machine: Machine) -> Vec<Setting> {
    // A server shares the machine with its database, so a quarter and not more; beyond 2 GB an
    // append-only load gains nothing, as fresh pages are all it touches.
    let shared_buffers = (machine.memory_bytes / 4 / MIB).clamp(32, 2048);
    let maintenance = (machine.memory_bytes / 32 / MIB).clamp(32, 512);
    let cache = (machine.memory_bytes / 2 / MIB).max(64);
    vec![
        (
            "shared_buffers",
            format!("{shared_buffers}MB"),
            "a quarter of the memory, at most 2 GB: fresh pages are all this load touches",
        ),
        (
            "effective_cache_size",
            format!("{cache}MB"),
            "half of the memory: what the system's file cache adds; only steers plans",
        ),
        (
            "work_mem",
            "16MB".into(),
            "sorts and hashes of dashboard queries stay in memory",
        ),
        (
            "maintenance_work_mem",
            format!("{maintenance}MB"),
            "indexes of a partition are built in one pass",
        ),
        (
            "huge_pages",
            "try".into(),
            "fewer page-table entries where the machine has reserved huge pages",
        ),
    ]
}

fn write_ahead_log(machine: Machine) -> Vec<Setting> {
    let compression = if machine.has_wal_lz4 { "lz4" } else { "on" };
    vec![
        (
            "wal_level",
            "minimal".into(),
            "there is no replica: a table filled in the transaction that made it is not logged",
        ),
        (
            "max_wal_senders",
            "0".into(),
            "required by wal_level = minimal",
        ),
        (
            "max_logical_replication_workers",
            "0".into(),
            "one process less; nothing is replicated from elsewhere",
        ),
        (
            "wal_compression",
            compression.into(),
            "whole pages in the log shrink; lz4 costs the least CPU, where it was built in",
        ),
        (
            "wal_buffers",
            "16MB".into(),
            "a whole batch is logged before anybody must write it out",
        ),
        (
            "max_wal_size",
            "4GB".into(),
            "checkpoints come by time, not by volume; a crash replays at most this much",
        ),
        (
            "min_wal_size",
            "512MB".into(),
            "log files are reused instead of made anew",
        ),
        (
            "checkpoint_timeout",
            "15min".into(),
            "a page is logged whole once per checkpoint: fewer checkpoints, less log",
        ),
    ]
}

fn upkeep_and_plans() -> Vec<Setting> {
    vec![
        (
            "autovacuum_vacuum_insert_threshold",
            "200000".into(),
            "a growing partition is not vacuumed for every few thousand rows",
        ),
        (
            "autovacuum_vacuum_insert_scale_factor",
            "0.2".into(),
            "but each time it has grown by a fifth, which keeps index-only scans possible",
        ),
        (
            "autovacuum_max_workers",
            "2".into(),
            "upkeep leaves processors to ingestion",
        ),
        (
            "jit",
            "off".into(),
            "compiling costs more than these short queries take",
        ),
        (
            "random_page_cost",
            "1.1".into(),
            "an SSD reads anywhere at about the same cost",
        ),
        ("timezone", "'UTC'".into(), "times read the same everywhere"),
    ]
}

fn connections_and_log(machine: Machine) -> Vec<Setting> {
    // Pools default to 3 connections per processor for reading and 1 for writing.
    let connections = (machine.cpus * 4 + 36).max(100);
    vec![
        (
            "listen_addresses",
            "'127.0.0.1'".into(),
            "nobody else on the network may connect, nor try passwords",
        ),
        (
            "max_connections",
            connections.to_string(),
            "the default pools (4 per processor) and people beside them",
        ),
        (
            "password_encryption",
            "'scram-sha-256'".into(),
            "what pg_hba.conf asks for over TCP",
        ),
        (
            "logging_collector",
            "on".into(),
            "the log is a file in the directory log",
        ),
        (
            "log_filename",
            "'postgresql-%u.log'".into(),
            "one file for each day of the week, so a week at most",
        ),
        (
            "log_truncate_on_rotation",
            "on".into(),
            "each day overwrites the file of the week before",
        ),
        ("log_rotation_age", "1d".into(), "a new file each midnight"),
        (
            "log_rotation_size",
            "0".into(),
            "by time only: a file reached by size would not be overwritten",
        ),
        ("log_timezone", "'UTC'".into(), "as the data"),
        (
            "log_error_verbosity",
            "terse".into(),
            "a refused row is named, its contents stay out of the log",
        ),
        (
            "log_min_error_statement",
            "fatal".into(),
            "statements of clients stay out of the log",
        ),
        (
            "log_min_duration_statement",
            "5s".into(),
            "only queries that somebody waits for",
        ),
        (
            "log_autovacuum_min_duration",
            "60s".into(),
            "only upkeep that takes long",
        ),
        (
            "log_checkpoints",
            "on".into(),
            "one line each: tells when they come by volume, not by time",
        ),
    ]
}

fn durability(is_durable: bool) -> Vec<Setting> {
    // Also without fsync a commit waits until the system has its log: killing PostgreSQL loses
    // nothing, and tests that do so see what operators would.
    let commit = (
        "synchronous_commit",
        "on".into(),
        "what was reported as stored stays stored",
    );
    let pages = (
        "full_page_writes",
        if is_durable { "on" } else { "off" }.into(),
        "on: a page torn by a power cut is mended from the log",
    );
    let mut settings = vec![commit, pages];
    if !is_durable {
        settings.push((
            "fsync",
            "off".into(),
            "for tests and benchmarks only: a crash of the machine destroys the data",
        ));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(memory_mib: u64) -> Machine {
        Machine {
            memory_bytes: memory_mib * MIB,
            cpus: 2,
            has_wal_lz4: true,
            has_toast_lz4: true,
        }
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|candidate| candidate == line)
    }

    #[test]
    fn shared_buffers_are_a_quarter_of_memory_within_bounds() {
        for (memory_mib, expected) in [(64, 32), (1024, 256), (4096, 1024), (65_536, 2048)] {
            let text = configuration(machine(memory_mib), true);
            let line = format!("shared_buffers = {expected}MB");
            assert!(has(&text, &line), "{memory_mib} MiB: no `{line}`");
        }
    }

    #[test]
    fn a_durable_cluster_never_trades_safety() {
        let text = configuration(machine(4096), true);
        assert!(has(&text, "full_page_writes = on"));
        assert!(has(&text, "synchronous_commit = on"));
        assert!(!text.contains("fsync"));
        assert!(has(&configuration(machine(4096), false), "fsync = off"));
    }

    #[test]
    fn connections_grow_with_the_pools_of_a_large_machine() {
        let large = Machine {
            cpus: 64,
            ..machine(65_536)
        };
        assert!(has(&configuration(large, true), "max_connections = 292"));
        assert!(has(
            &configuration(machine(4096), true),
            "max_connections = 100"
        ));
    }

    #[test]
    fn compression_falls_back_where_lz4_is_missing() {
        let without = Machine {
            has_wal_lz4: false,
            has_toast_lz4: false,
            ..machine(4096)
        };
        let text = configuration(without, true);
        assert!(has(&text, "wal_compression = on"));
        assert!(!text.contains("default_toast_compression"));
    }

    #[test]
    fn no_setting_is_given_twice() {
        let all = settings(machine(4096), false);
        let mut names: Vec<&str> = all.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
