//! The spool: batches that cannot be stored just now wait on disk, one file
//! each, until they can. It survives the process.
//!
//! A file is written under another name, forced to disk, and renamed; so what
//! has the name of a batch is a whole batch, unless the disk itself failed. All
//! calls block.

mod record;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Batch, Kinds};
use crate::metrics::Metrics;

/// Bytes on disk that a batch of any size takes at least: a block, and its name.
const FILE_OVERHEAD: u64 = 4_096;

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

impl Spool {
    /// Opens the directory, and finds what an earlier run has left. Its
    /// messages count as received again, for this run will store them.
    ///
    /// # Errors
    /// If the directory cannot be used, or another server uses it.
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
            next: 1,
            first_of_run: 1,
            kinds,
            metrics,
            _lock: lock,
        };
        spool.take_up().map_err(failed)?;
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
        self.files.insert(number, SpoolFile { bytes, rows });
        self.bytes += bytes;
        self.metrics.spool_written.inc();
        self.show();
        Ok(())
    }

    /// The oldest batch. A file that was torn is counted and put aside, and the
    /// next one is taken.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn load(&mut self) -> Result<Option<SpooledBatch>, SpoolError> {
        loop {
            let Some((&number, _)) = self.files.first_key_value() else {
                return Ok(None);
            };
            let path = self.path(number);
            let file = fs::read(&path).map_err(|cause| SpoolError::Io {
                path: path.clone(),
                cause,
            })?;
            match record::decode(&file, &self.kinds) {
                Ok(mut batch) => {
                    if number.0 < self.first_of_run {
                        batch.end_open_sessions();
                    }
                    return Ok(Some(SpooledBatch { number, batch }));
                }
                Err(error) => {
                    log::error!(
                        "{}: {error}; it is put aside, its messages are lost",
                        path.display()
                    );
                    self.put_aside(number);
                }
            }
        }
    }

    /// Forgets a batch, because it is stored.
    pub fn remove(&mut self, number: SpoolNumber) {
        if let Some(file) = self.files.remove(&number) {
            self.bytes -= file.bytes;
        }
        // What stays in spite of this is recognised when it is stored again.
        if let Err(error) = fs::remove_file(self.path(number)) {
            log::warn!("a spool file could not be removed: {error}");
        }
        self.show();
    }

    /// Finds the files of an earlier run.
    fn take_up(&mut self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let number = path
                .file_stem()
                .and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
            match (extension, number) {
                // It never got its name: its batch was still in memory, and counted as such.
                (Some("part"), _) => fs::remove_file(&path)?,
                (Some("batch"), Some(number)) => self.take_up_file(&path, number)?,
                _ => {}
            }
        }
        self.first_of_run = self.next;
        if !self.files.is_empty() {
            let messages: u64 = self.files.values().map(|file| u64::from(file.rows)).sum();
            log::info!("{messages} messages wait in the spool since the last run");
        }
        self.show();
        Ok(())
    }

    fn take_up_file(&mut self, path: &Path, number: u64) -> io::Result<()> {
        let mut start = [0; record::HEADER_BYTES];
        let read = io::Read::read_exact(&mut File::open(path)?, &mut start);
        let header = read.ok().and_then(|()| record::header(&start).ok());
        // A file without a readable header is put aside when its turn comes.
        let rows = header.map_or(0, |header| header.rows);
        let bytes = fs::metadata(path)?.len().saturating_add(FILE_OVERHEAD);
        self.files
            .insert(SpoolNumber(number), SpoolFile { bytes, rows });
        self.bytes += bytes;
        self.next = self.next.max(number + 1);
        self.metrics.messages_received.inc_by(u64::from(rows));
        self.metrics.messages_taken_up.inc_by(u64::from(rows));
        self.metrics.pending.add(i64::from(rows));
        Ok(())
    }

    /// A torn file: its messages are lost, and counted as far as it tells.
    fn put_aside(&mut self, number: SpoolNumber) {
        let path = self.path(number);
        if let Err(error) = fs::rename(&path, path.with_extension("torn")) {
            log::error!("{} could not be put aside: {error}", path.display());
        }
        if let Some(file) = self.files.remove(&number) {
            self.bytes -= file.bytes;
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
        let messages: i64 = self.files.values().map(|file| i64::from(file.rows)).sum();
        self.metrics.spool_messages.set(messages);
        self.metrics
            .spool_batches
            .set(i64::try_from(self.files.len()).unwrap_or(i64::MAX));
        self.metrics
            .spool_bytes
            .set(i64::try_from(self.bytes).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use chrono::Utc;

    use super::*;
    use crate::ids::{MessageId, SessionId};
    use crate::store::{Group, NewRow, RowBuffer};

    fn kinds(metrics: &Arc<Metrics>) -> Arc<Kinds> {
        Arc::new(Kinds::new(10, metrics.clone()))
    }

    fn batch(kinds: &Kinds, ids: std::ops::Range<i64>) -> Batch {
        let mut rows = RowBuffer::default();
        for _ in ids.clone() {
            let row = NewRow {
                created_at: Utc::now(),
                session: SessionId(1),
                kind: kinds.find("m"),
                node_ts: None,
                target: Some("t"),
            };
            rows.push(&row, |out| out.extend_from_slice(b"{\"a\":1}"));
        }
        let mut ids = ids.map(MessageId);
        rows.number(|| ids.next().unwrap());
        Batch::new(vec![Group {
            rows,
            sessions: Vec::new(),
            audit: true,
            received_at: Instant::now(),
        }])
    }

    fn open(dir: &Path, metrics: &Arc<Metrics>) -> Spool {
        Spool::open(dir, 1_000_000, kinds(metrics), metrics.clone()).unwrap()
    }

    /// The rows of each batch, the oldest first; empties the spool.
    fn take_all(spool: &mut Spool) -> Vec<usize> {
        let mut rows = Vec::new();
        while let Some(spooled) = spool.load().unwrap() {
            rows.push(spooled.batch.rows());
            spool.remove(spooled.number);
        }
        rows
    }

    #[test]
    fn batches_come_back_in_order_also_in_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut spool = open(dir.path(), &metrics);
        let kinds = spool.kinds.clone();
        let first = batch(&kinds, 1..4);
        spool.push(&first).unwrap();
        spool.push(&batch(&kinds, 4..6)).unwrap();
        let loaded = spool.load().unwrap().unwrap();
        assert_eq!(
            loaded.batch.groups[0].rows.bytes(),
            first.groups[0].rows.bytes()
        );
        assert!(loaded.batch.groups[0].audit);
        assert_eq!(loaded.batch.groups[0].rows.pending().len(), 3);
        drop(spool);

        let metrics = Arc::new(Metrics::new().unwrap());
        let mut spool = open(dir.path(), &metrics);
        assert_eq!(metrics.messages_received.get(), 5);
        assert_eq!(
            (metrics.pending.get(), metrics.spool_messages.get()),
            (5, 5)
        );
        let oldest = spool.load().unwrap().unwrap().number;
        spool.remove(oldest);
        spool.push(&batch(&kinds, 6..7)).unwrap();
        assert_eq!(take_all(&mut spool), [2, 1]);
        assert!(spool.is_empty());
    }

    #[test]
    fn a_torn_file_costs_only_itself() {
        for damage in [0, 10, record::HEADER_BYTES, record::HEADER_BYTES + 20] {
            let dir = tempfile::tempdir().unwrap();
            let metrics = Arc::new(Metrics::new().unwrap());
            let mut spool = open(dir.path(), &metrics);
            let kinds = spool.kinds.clone();
            for start in [1, 11, 21] {
                spool.push(&batch(&kinds, start..start + 5)).unwrap();
            }
            let second = spool.path(SpoolNumber(2));
            drop(spool);
            let whole = fs::read(&second).unwrap();
            fs::write(&second, &whole[..damage]).unwrap();
            let metrics = Arc::new(Metrics::new().unwrap());
            let mut spool = open(dir.path(), &metrics);
            assert_eq!(take_all(&mut spool), [5, 5], "cut at {damage}");
            assert_eq!(metrics.spool_torn.get(), 1);
            assert_eq!(metrics.pending.get(), 10);
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let kinds = kinds(&metrics);
        let file = record::encode(&batch(&kinds, 1..3), &kinds);
        record::decode(&file, &kinds).unwrap();
        for place in 0..file.len() {
            let mut changed = file.clone();
            changed[place] ^= 0x40;
            assert!(record::decode(&changed, &kinds).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_full_spool_refuses_and_a_second_server_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut spool = Spool::open(dir.path(), 10_000, kinds(&metrics), metrics.clone()).unwrap();
        let kinds = spool.kinds.clone();
        spool.push(&batch(&kinds, 1..2)).unwrap();
        spool.push(&batch(&kinds, 2..3)).unwrap();
        assert!(matches!(
            spool.push(&batch(&kinds, 3..4)),
            Err(SpoolError::Full)
        ));
        let number = spool.load().unwrap().unwrap().number;
        spool.remove(number);
        spool.push(&batch(&kinds, 3..4)).unwrap();
        let second = Spool::open(dir.path(), 10_000, kinds.clone(), metrics);
        assert!(matches!(second, Err(SpoolError::InUse(_))));
    }
}
