//! What can go wrong with the embedded PostgreSQL: each message names the cause and the cure.

use std::io;
use std::path::{Path, PathBuf};

/// Why the embedded PostgreSQL could not be started, watched or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No usable installation on this machine.
    #[error(
        "no PostgreSQL {minimum} or newer found (looked in {searched}): install it \
         (Debian, Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; \
         macOS: `brew install postgresql@17`), or name the directory of `postgres` and `initdb` in \
         PG_BIN_DIR, or set DATABASE_URL to use a database server elsewhere"
    )]
    NotInstalled {
        /// The oldest major version that serves.
        minimum: u32,
        /// The directories that were tried, separated by commas.
        searched: String,
    },

    /// `PG_BIN_DIR` names a directory that does not serve.
    #[error("PG_BIN_DIR {} does not serve: {reason}", path.display())]
    UnusableBinDir {
        /// The directory as given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The data directory was made by a major version that is not installed.
    #[error(
        "the data in {} was made by PostgreSQL {made_by}, found here: {found}; install \
         PostgreSQL {made_by} (or point PG_BIN_DIR to it), or move the data to the new version \
         as docs/EMBEDDED_POSTGRES.md describes",
        cluster.display()
    )]
    OtherMajorVersion {
        /// The cluster's directory.
        cluster: PathBuf,
        /// The major version that made it.
        made_by: u32,
        /// The versions that are installed, separated by commas.
        found: String,
    },

    /// Another server holds the lock of the data directory.
    #[error(
        "another server (process {holder}) is using the data directory {}: stop it, or give this \
         one its own DATA_DIR",
        data_dir.display()
    )]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// The process id that the holder wrote down, or `unknown`.
        holder: String,
    },

    /// Started by root, and there is no other account to run PostgreSQL.
    #[error(
        "PostgreSQL refuses to run as root and this machine has neither a user `postgres` nor \
         `nobody`: start the server as an ordinary user"
    )]
    NoAccount,

    /// The cluster belongs to another user.
    #[error(
        "{} belongs to user id {owner}, but PostgreSQL would run as user id {uid}: start the \
         server as the user who started it first, or hand the directory over with `chown -R`",
        path.display()
    )]
    ForeignOwner {
        /// The cluster's directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who would run it.
        uid: u32,
    },

    /// The unprivileged user can't reach the cluster.
    #[error(
        "started by root, PostgreSQL runs as user `{account}`, who may not enter {}: use a \
         DATA_DIR that every user can reach (such as /var/lib/tetcore-analytics/data), or \
         `chmod o+x` that directory, or start the server as its owner",
        blocked.display()
    )]
    Unreachable {
        /// The first directory on the way that is closed.
        blocked: PathBuf,
        /// The user PostgreSQL would run as.
        account: String,
    },

    /// The directory of the socket is not private to us.
    #[error(
        "the socket directory {} exists and is not a private directory of user id {uid}: remove \
         it, or use a shorter DATA_DIR",
        path.display()
    )]
    UnsafeSocketDirectory {
        /// The directory.
        path: PathBuf,
        /// Who should own it.
        uid: u32,
    },

    /// No loopback port is free.
    #[error("no free TCP port on 127.0.0.1 for PostgreSQL")]
    NoFreePort,

    /// A program of PostgreSQL's failed.
    #[error("{program} failed ({status}): {output}")]
    ProgramFailed {
        /// The program.
        program: String,
        /// Its exit status.
        status: String,
        /// The end of its output.
        output: String,
    },

    /// The database server ended while starting.
    #[error("PostgreSQL did not start ({status}): {log}")]
    StartFailed {
        /// Its exit status.
        status: String,
        /// The end of its log.
        log: String,
    },

    /// The database server takes connections too late.
    #[error("PostgreSQL is not ready after {seconds} s: {log}")]
    StartTimedOut {
        /// How long it was given.
        seconds: u64,
        /// The end of its log.
        log: String,
    },

    /// Processes of an earlier run don't go away.
    #[error(
        "processes of an earlier PostgreSQL ({pids}) still use {} and don't end: stop them by hand",
        cluster.display()
    )]
    StuckProcesses {
        /// Their ids, separated by commas.
        pids: String,
        /// The cluster's directory.
        cluster: PathBuf,
    },

    /// The processes or the memory of this system can't be seen.
    #[error("this system can't be watched ({0:?}): set DATABASE_URL to use a database server")]
    UnknownSystem(sysinfo::Error),

    /// A file or process operation failed.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Says what was tried on which path when an operation of the system fails.
pub(super) trait AtPath<T> {
    /// Turns the system's error into [`EmbeddedError::Io`].
    fn at(self, action: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
