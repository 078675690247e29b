//! Metrics of the disk.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sys::statvfs::statvfs;
use prometheus::{Gauge, IntGauge};

use super::Maker;

/// The metrics of the disk that holds `DATA_DIR`.
#[derive(Debug)]
pub struct DiskMetrics {
    directory: OnceLock<PathBuf>,
    size: IntGauge,
    available: IntGauge,
    /// Growth of the messages, bytes per second.
    pub growth: Gauge,
    /// Seconds until it is full.
    pub full_in: Gauge,
}

/// Size of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it.
    pub size: u64,
    /// What this user may still write.
    pub available: u64,
}

impl DiskSpace {
    /// That of the disk of a directory; none if there is no such directory.
    #[expect(
        clippy::useless_conversion,
        reason = "other systems than Linux have 32 bits here"
    )]
    pub fn of(directory: &Path) -> Option<Self> {
        let disk = statvfs(directory).ok()?;
        let block = u64::from(disk.fragment_size());
        let bytes = |blocks| block.saturating_mul(blocks);
        Some(Self {
            size: bytes(u64::from(disk.blocks())),
            available: bytes(u64::from(disk.blocks_available())),
        })
    }
}

impl DiskMetrics {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let metrics = Self {
            directory: OnceLock::new(),
            size: make.gauge("disk_size_bytes", "Size of the disk of DATA_DIR.")?,
            available: make.gauge("disk_available_bytes", "Bytes that are free on the disk of DATA_DIR.")?,
            growth: make.float("disk_growth_bytes_per_second", "Growth of the messages in the database at the present rate; NaN while it is not known.")?,
            full_in: make.float("disk_full_in_seconds", "Time until the disk of DATA_DIR is full at the present rate, if the database is the server's own; +Inf if it lasts as long as messages are kept (LOG_EXPIRY_H), NaN if it is not known.")?,
        };
        metrics.growth.set(f64::NAN);
        metrics.full_in.set(f64::NAN);
        Ok(metrics)
    }

    /// Shows the disk of this directory from now on. Later calls change nothing.
    pub fn show(&self, directory: &Path) {
        self.directory.get_or_init(|| directory.to_owned());
        self.refresh();
    }

    pub(super) fn refresh(&self) {
        let directory = self.directory.get();
        if let Some(space) = directory.and_then(|directory| DiskSpace::of(directory)) {
            let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
            self.size.set(bytes(space.size));
            self.available.set(bytes(space.available));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_a_directory_has_room() {
        let space = DiskSpace::of(Path::new("/")).unwrap();
        assert!(0 < space.size && space.available <= space.size);
        assert_eq!(DiskSpace::of(Path::new("/no/such/directory")), None);
    }
}
