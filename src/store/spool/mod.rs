//! The spool: batches that cannot be stored just now wait on disk, one file
//! each, until they can. It survives the process.
//!
//! A file is written under another name, forced to disk, and renamed; so what
//! has the name of a batch is a whole batch, unless the disk itself failed. All
//! calls block.

mod record;
mod v1;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::record::RecordError;
use super::{Batch, Kinds};
use crate::metrics::Metrics;

/// Bytes on disk that a batch of any size takes at least: a block, and its name.
const FILE_OVERHEAD: u64 = 4_096;

/// What batches that are taken together may have altogether: as much as makes
/// the cost of a transaction vanish, and little beside the room in memory.
const TAKEN_ROWS_MAX: u64 = 16_384;
const TAKEN_BYTES_MAX: u64 = 4 << 20;

/// What can go wrong with the spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The directory or a file cannot be used.
    #[error("the spool {path} cannot be used: {cause}", path = path.display())]
    Io {
        /// Directory or file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// `SPOOL_MAX_BYTES` are in use.
    #[error("the spool is full: SPOOL_MAX_BYTES are in use")]
    Full,
    /// A file has a version of the format that this program does not know.
    #[error(
        "{path} has version {version} of the spool format, and this program reads {min} to {max}: start the version of \
         tetcore-analytics that wrote it until the spool is empty, or a newer one; or move the file elsewhere. It was \
         left as it is",
        path = path.display(), min = record::VERSION_MIN, max = record::VERSION
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Another server has it.
    #[error("another server uses the spool {path}; give each server a directory of its own", path = .0.display())]
    InUse(PathBuf),
}

/// Number of a file; batches leave in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpoolNumber(u64);

#[cfg(test)]
impl SpoolNumber {
    pub(crate) fn for_tests(number: u64) -> Self {
        Self(number)
    }
}

/// A batch that was taken from the spool; its file stays until it is removed.
#[derive(Debug)]
pub struct SpooledBatch {
    /// Number of its file.
    pub number: SpoolNumber,
    /// The batch.
    pub batch: Batch,
}

/// The directory.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    files: BTreeMap<SpoolNumber, SpoolFile>,
    bytes: u64,
    bytes_max: u64,
    rows: u64,
    next: u64,
    /// Files before this number come from an earlier run.
    first_of_run: u64,
    kinds: Arc<Kinds>,
    metrics: Arc<Metrics>,
    _lock: File,
}

#[derive(Debug, Clone, Copy)]
struct SpoolFile {
    bytes: u64,
    rows: u32,
}

impl SpoolFile {
    /// How large a file of an earlier run is.
    fn look_at(path: &Path) -> Result<Self, SpoolError> {
        let failed = |cause| SpoolError::Io {
            path: path.to_owned(),
            cause,
        };
        let mut file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut start = [0; record::HEADER_BYTES];
        let rows = match io::Read::read_exact(&mut file, &mut start) {
            Ok(()) => match record::header(&start) {
                Ok(header) => header.rows,
                Err(RecordError::Version(version)) => {
                    let path = path.to_owned();
                    return Err(SpoolError::Version { path, version });
                }
                // It is put aside when its turn comes.
                Err(_torn) => 0,
            },
            Err(_short) => 0,
        };
        Ok(Self {
            bytes: bytes.saturating_add(FILE_OVERHEAD),
            rows,
        })
    }
}

impl Spool {
    /// Opens the directory, and finds what an earlier run has left. Its
    /// messages count as received again, for this run will store them.
    ///
    /// # Errors
    /// If the directory cannot be used, another server uses it, or it holds a file
    /// of a version that this program does not know.
    pub fn open(
        dir: &Path,
        bytes_max: u64,
        kinds: Arc<Kinds>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SpoolError> {
        let failed = |cause| SpoolError::Io {
            path: dir.to_owned(),
            cause,
        };
        fs::create_dir_all(dir).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse(dir.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        metrics
            .spool_bytes_max
            .set(i64::try_from(bytes_max).unwrap_or(i64::MAX));
        let mut spool = Self {
            dir: dir.to_owned(),
            files: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            rows: 0,
            next: 1,
            first_of_run: 1,
            kinds,
            metrics,
            _lock: lock,
        };
        let found = spool.find_files().map_err(failed)?;
        spool.take_up(found)?;
        Ok(spool)
    }

    /// Number of batches that wait.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether less than `SPOOL_MAX_BYTES` are in use.
    pub fn has_room(&self) -> bool {
        self.bytes < self.bytes_max
    }

    /// Puts a batch on disk; it is safe there when this returns.
    ///
    /// # Errors
    /// If there is no room, or the disk fails: nothing of it remains then.
    pub fn push(&mut self, batch: &Batch) -> Result<(), SpoolError> {
        let file = record::encode(batch, &self.kinds);
        let bytes = u64::try_from(file.len())
            .unwrap_or(u64::MAX)
            .saturating_add(FILE_OVERHEAD);
        if self.bytes.saturating_add(bytes) > self.bytes_max {
            return Err(SpoolError::Full);
        }
        let number = SpoolNumber(self.next);
        let path = self.path(number);
        self.write(&path, &file).map_err(|cause| {
            // What is half there would only take the room that is missing.
            if let Err(error) = fs::remove_file(path.with_extension("part")) {
                log::debug!("no part of a spool file to remove: {error}");
            }
            SpoolError::Io { path, cause }
        })?;
        self.next += 1;
        let rows = u32::try_from(batch.rows()).unwrap_or(u32::MAX);
        self.insert(number, SpoolFile { bytes, rows });
        self.metrics.spool_written.inc();
        self.show();
        Ok(())
    }

    /// The oldest batches, at most `most` and few enough for one transaction,
    /// none of `except`. A file that was torn is counted and put aside, and the
    /// next one is taken.
    ///
    /// # Errors
    /// If the first of these files cannot be read.
    pub fn load(
        &mut self,
        most: usize,
        except: &[SpoolNumber],
    ) -> Result<Vec<SpooledBatch>, SpoolError> {
        let mut taken = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        let mut from = SpoolNumber(0);
        while taken.len() < most
            && let Some((&number, &file)) = self.files.range(from..).next()
        {
            from = SpoolNumber(number.0 + 1);
            if except.contains(&number) {
                continue;
            }
            rows += u64::from(file.rows);
            bytes += file.bytes;
            let is_enough = rows > TAKEN_ROWS_MAX || bytes > TAKEN_BYTES_MAX;
            if is_enough && !taken.is_empty() {
                break;
            }
            match self.read(number) {
                Ok(Some(batch)) => taken.push(SpooledBatch { number, batch }),
                Ok(None) => {}
                Err(error) if taken.is_empty() => return Err(error),
                // It will be the first one next time.
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// Forgets a batch, because it is stored.
    pub fn remove(&mut self, number: SpoolNumber) {
        self.take_out(number);
        // What stays in spite of this is recognised when it is stored again.
        if let Err(error) = fs::remove_file(self.path(number)) {
            log::warn!("a spool file could not be removed: {error}");
        }
        self.show();
    }

    /// The files of batches that an earlier run has left.
    fn find_files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let number = path
                .file_stem()
                .and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
            match (extension, number) {
                // It was not renamed yet: its batch was still in memory, and counted as such.
                (Some("part"), _) => fs::remove_file(&path)?,
                (Some("batch"), Some(number)) => found.push((number, path)),
                _ => {}
            }
        }
        Ok(found)
    }

    fn take_up(&mut self, found: Vec<(u64, PathBuf)>) -> Result<(), SpoolError> {
        for (number, path) in found {
            let file = SpoolFile::look_at(&path)?;
            self.insert(SpoolNumber(number), file);
            self.next = self.next.max(number.saturating_add(1));
        }
        self.first_of_run = self.next;
        if !self.files.is_empty() {
            log::info!(
                "{} messages wait in the spool since the last run",
                self.rows
            );
        }
        self.metrics.messages_received.inc_by(self.rows);
        self.metrics.messages_taken_up.inc_by(self.rows);
        self.metrics
            .pending
            .add(i64::try_from(self.rows).unwrap_or(i64::MAX));
        self.show();
        Ok(())
    }

    /// Reads a batch; none if its file was torn.
    fn read(&mut self, number: SpoolNumber) -> Result<Option<Batch>, SpoolError> {
        let path = self.path(number);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(cause) => return Err(SpoolError::Io { path, cause }),
        };
        match record::decode(&file, &self.kinds) {
            Ok(mut batch) => {
                if number.0 < self.first_of_run {
                    batch.end_open_sessions();
                }
                Ok(Some(batch))
            }
            Err(error) => {
                log::error!(
                    "{}: {error}; it is put aside, its messages are lost",
                    path.display()
                );
                self.put_aside(number);
                Ok(None)
            }
        }
    }

    fn insert(&mut self, number: SpoolNumber, file: SpoolFile) {
        self.bytes += file.bytes;
        self.rows += u64::from(file.rows);
        self.files.insert(number, file);
    }

    fn take_out(&mut self, number: SpoolNumber) -> Option<SpoolFile> {
        let file = self.files.remove(&number)?;
        self.bytes -= file.bytes;
        self.rows -= u64::from(file.rows);
        Some(file)
    }

    /// A file that is no batch: its messages are lost, and counted as far as its header says.
    fn put_aside(&mut self, number: SpoolNumber) {
        let path = self.path(number);
        if let Err(error) = fs::rename(&path, path.with_extension("torn")) {
            log::error!("{} could not be put aside: {error}", path.display());
        }
        if let Some(file) = self.take_out(number) {
            self.metrics.spool_torn.inc();
            self.metrics.pending.sub(i64::from(file.rows));
            let reason = crate::metrics::DropReason::SpoolTorn;
            self.metrics.messages_dropped(reason, u64::from(file.rows));
        }
        self.show();
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let part = path.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        // The name is on disk only when the directory is.
        File::open(&self.dir)?.sync_all()
    }

    fn path(&self, number: SpoolNumber) -> PathBuf {
        self.dir.join(format!("{:016x}.batch", number.0))
    }

    fn show(&self) {
        let signed = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        let batches = u64::try_from(self.files.len()).unwrap_or(u64::MAX);
        self.metrics.spool_messages.set(signed(self.rows));
        self.metrics.spool_batches.set(signed(batches));
        self.metrics.spool_bytes.set(signed(self.bytes));
    }
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;
