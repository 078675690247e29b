//! The identity of a server, kept on disk: its name, by which it finds the
//! sessions that its last run left open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ids::random_number;

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be read or written.
    #[error("DATA_DIR {path} cannot be used: {cause}; give a directory that this user may write", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Another server has it.
    #[error("another server uses DATA_DIR {path}; stop it, or give each server a directory of its own", path = .0.display())]
    InUse(PathBuf),
}

/// The name, held for this process alone.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) server_id: Arc<str>,
    /// Held for life; the lock ends with it.
    _lock: File,
}

impl Identity {
    /// Reads the name of this server, or gives it one.
    pub(super) fn take(data_dir: &Path) -> Result<Self, IdentityError> {
        let path = data_dir.join("server_id");
        let failed = |cause| IdentityError::Io {
            path: path.clone(),
            cause,
        };
        std::fs::create_dir_all(data_dir).map_err(failed)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IdentityError::InUse(data_dir.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        // Also of a server with a name: writers and ids made up in an outage need one.
        let random = random_number().map_err(failed)?;
        let mut name = String::new();
        file.read_to_string(&mut name).map_err(failed)?;
        if name.trim().is_empty() {
            name = format!("{:016x}", random);
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            writeln!(file, "{name}").map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        Ok(Self {
            server_id: name.trim().into(),
            _lock: file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_keeps_its_name_and_shares_it_with_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::take(dir.path()).unwrap();
        assert!(matches!(
            Identity::take(dir.path()),
            Err(IdentityError::InUse(_))
        ));
        let name = first.server_id.clone();
        drop(first);
        assert_eq!(Identity::take(dir.path()).unwrap().server_id, name);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Identity::take(other.path()).unwrap().server_id, name);
    }
}
