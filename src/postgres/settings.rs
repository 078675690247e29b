//! The settings of the embedded PostgreSQL for this load: one stream of large COPY batches into
//! time partitions, read by dashboards, rarely updated.
//!
//! The table is `settings.conf`, with the reason for each; `docs/EMBEDDED_POSTGRES.md` has them
//! for operators. Here is what depends on the machine.

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
    /// Measures the machine; `supports(setting, value)` is true for what PostgreSQL was built with.
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
    let memory_mb = machine.memory_bytes / MIB;
    let lz4_or = |has_lz4: bool, other: &str| if has_lz4 { "lz4" } else { other }.to_owned();
    // Each database that is dropped has all buffers searched, and tests have hundreds.
    let buffers_max = if is_durable { 2048 } else { 256 };
    // Tests have a dozen servers at once.
    let connections_min = if is_durable { 100 } else { 400 };
    let values = [
        // The server needs the rest; beyond 2 GB an append-only load gains nothing.
        (
            "{shared_buffers}",
            (memory_mb / 4).clamp(32, buffers_max).to_string(),
        ),
        (
            "{effective_cache_size}",
            (memory_mb / 2).max(64).to_string(),
        ),
        (
            "{maintenance_work_mem}",
            (memory_mb / 32).clamp(32, 512).to_string(),
        ),
        ("{wal_compression}", lz4_or(machine.has_wal_lz4, "on")),
        ("{toast_compression}", lz4_or(machine.has_toast_lz4, "pglz")),
        // Pools default to 3 connections per processor for reading and 1 for writing.
        (
            "{max_connections}",
            (machine.cpus * 4 + 36).max(connections_min).to_string(),
        ),
        (
            "{durable}",
            if is_durable { "on" } else { "off" }.to_owned(),
        ),
    ];
    let table = include_str!("settings.conf").to_owned();
    values.iter().fold(table, |table, (placeholder, value)| {
        table.replace(placeholder, value)
    })
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
        assert!(has(&text, "fsync = on"));
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
        assert!(has(&text, "default_toast_compression = pglz"));
    }

    #[test]
    fn every_setting_is_given_once_with_a_reason_and_a_value() {
        let text = configuration(machine(4096), false);
        assert!(!text.contains(['{', '}']), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        let mut names = std::collections::HashSet::new();
        for pair in lines.windows(2) {
            if let Some((name, _)) = pair[1]
                .split_once(" = ")
                .filter(|_| !pair[1].starts_with('#'))
            {
                assert!(names.insert(name), "{name} is given twice");
                assert!(pair[0].starts_with("# "), "{name} has no reason");
            }
        }
        assert!(names.len() > 30);
    }
}
