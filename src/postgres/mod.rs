//! A private PostgreSQL for servers that were given no `DATABASE_URL`.
//!
//! It finds the programs of an installed PostgreSQL, makes a cluster under the data directory once,
//! runs it as a child process on a Unix socket and a loopback port, and stops it with the server.
//! `docs/EMBEDDED_POSTGRES.md` is the operator's view of it.
//!
//! | file | holds |
//! | --- | --- |
//! | `locate` | finding the programs |
//! | `account` | the user that they run as, and files of that user |
//! | `paths` | directories, port, URLs |
//! | `settings` | the settings and their reasons |
//! | `cluster` | `initdb`, database, password, what an earlier run left |
//! | `processes` | finding and signalling processes |
//! | `server` | one running main process |
//!
//! Everything here blocks: call it from a thread that may wait.

mod account;
mod cluster;
mod error;
mod locate;
mod paths;
mod processes;
mod server;
mod settings;

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use account::Account;
use cluster::Cluster;
use error::AtPath;
use locate::Installation;
use paths::Paths;
use server::Server;

pub use error::EmbeddedError;

/// Ports that are tried: another process may open the chosen one just before
/// PostgreSQL does.
const PORT_ATTEMPTS: u32 = 3;

/// Where the embedded PostgreSQL lives and how careful it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Directory of everything it keeps; made if it does not exist. One server at a time uses it.
    pub data_dir: PathBuf,
    /// Directory of the programs `postgres` and `initdb`; `None` looks in the usual places.
    pub bin_dir: Option<PathBuf>,
    /// False never forces anything to disk: faster, and a crash of the machine destroys the data.
    /// For tests and benchmarks only.
    pub durable: bool,
}

/// A running private PostgreSQL. Dropping it stops it; so does the end of this process, however it
/// comes.
pub struct EmbeddedPostgres {
    cluster: Cluster,
    port: u16,
    url: String,
    tcp_url: String,
    server: Option<Server>,
    /// Held for life: declared last, so it is let go after the server has stopped.
    _lock: File,
}

impl EmbeddedPostgres {
    /// Starts it, making the cluster first if there is none. What an earlier run left behind,
    /// alive or dead, is cleared away.
    ///
    /// Blocks: a first start, which makes the cluster, took 1.3 s, another 0.14 s; after a crash it
    /// replays its log, for at most 10 minutes.
    ///
    /// # Errors
    /// Each [`EmbeddedError`] says what is wrong and what to do about it.
    pub fn start(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let data_dir = &options.data_dir;
        fs::create_dir_all(data_dir).at("create", data_dir)?;
        let data_dir = fs::canonicalize(data_dir).at("look at", data_dir)?;
        let account = Account::choose(&paths::cluster_link(&data_dir))?;
        let lock = lock(&data_dir)?;
        let paths = Paths::choose(&data_dir, &account)?;
        let made_by = cluster::major_version(&paths.cluster)?;
        let installation = Installation::find(
            options.bin_dir.as_deref(),
            made_by,
            &paths.cluster,
            &account,
        )?;
        let cluster = Cluster {
            account,
            installation,
            paths,
            is_durable: options.durable,
        };
        match made_by {
            Some(_) => cluster.end_leftovers()?,
            None => cluster.initialise()?,
        }
        let password = cluster.password()?;
        cluster.configure()?;
        let (server, port) = start_on_free_port(&cluster)?;
        log::info!(
            "PostgreSQL {} runs in {} on port {port}",
            cluster.installation.major,
            cluster.paths.cluster.display()
        );
        Ok(Self {
            url: cluster.paths.socket_url(port),
            tcp_url: paths::tcp_url(&password, port),
            cluster,
            port,
            server: Some(server),
            _lock: lock,
        })
    }

    /// The URL the server itself uses: through the Unix socket, without a password. It stays the
    /// same across [`EmbeddedPostgres::restart_if_dead`] and ends with the name of the database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL for psql and Grafana on this machine: loopback TCP, with the password. A secret.
    #[must_use]
    pub fn tcp_url(&self) -> &str {
        &self.tcp_url
    }

    /// True while the main process runs.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`] if the system can't tell.
    pub fn is_alive(&mut self) -> Result<bool, EmbeddedError> {
        match &mut self.server {
            Some(server) => Ok(server.exit_status()?.is_none()),
            None => Ok(false),
        }
    }

    /// Starts it again if it has died; true if it had. Blocks as [`EmbeddedPostgres::start`] does.
    ///
    /// If another program has taken the port meanwhile, it comes back on the socket alone, which is
    /// all the server needs, until the next start.
    ///
    /// # Errors
    /// As [`EmbeddedPostgres::start`]; it may be called again.
    pub fn restart_if_dead(&mut self) -> Result<bool, EmbeddedError> {
        if let Some(server) = &mut self.server {
            let Some(status) = server.exit_status()? else {
                return Ok(false);
            };
            log::error!("PostgreSQL has died ({status}): starting it again");
        }
        self.server = None;
        self.cluster.end_leftovers()?;
        let with_tcp = paths::is_free(self.port);
        if !with_tcp {
            log::warn!(
                "port {} was taken meanwhile: PostgreSQL listens on its socket only",
                self.port
            );
        }
        self.server = Some(Server::start(&self.cluster, self.port, with_tcp)?);
        Ok(true)
    }

    /// Stops it and waits for its end: at most 20 s for a clean shutdown, then hard, which loses
    /// nothing that was committed but makes the next start replay the log.
    pub fn stop(self) {
        drop(self);
    }
}

impl fmt::Debug for EmbeddedPostgres {
    /// Without the URL that holds the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddedPostgres")
            .field("cluster", &self.cluster)
            .field("port", &self.port)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The URL of the PostgreSQL that another process runs under `data_dir`: loopback TCP,
/// with the password. `None` if none runs there.
#[must_use]
pub fn running_url(data_dir: &Path) -> Option<String> {
    let password = fs::read_to_string(data_dir.join(paths::PASSWORD_FILE)).ok()?;
    let postmaster = paths::cluster_link(data_dir).join("postmaster.pid");
    // The manual gives its lines: PID, directory, start, port.
    let port = fs::read_to_string(postmaster).ok()?;
    let port = port.lines().nth(3)?.trim().parse().ok()?;
    Some(paths::tcp_url(password.trim(), port))
}

/// Takes the data directory for this process, for as long as the file is open.
fn lock(data_dir: &Path) -> Result<File, EmbeddedError> {
    let path = data_dir.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .at("open", &path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let holder = holder.trim();
            return Err(EmbeddedError::InUse {
                data_dir: data_dir.to_owned(),
                holder: if holder.is_empty() { "unknown" } else { holder }.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(error).at("lock", &path),
    }
    file.set_len(0).at("write", &path)?;
    writeln!(file, "{}", std::process::id()).at("write", &path)?;
    Ok(file)
}

fn start_on_free_port(cluster: &Cluster) -> Result<(Server, u16), EmbeddedError> {
    let mut attempt = 1;
    loop {
        let port = cluster.paths.choose_port()?;
        match Server::start(cluster, port, true) {
            Err(EmbeddedError::StartFailed { .. })
                if attempt < PORT_ATTEMPTS && !paths::is_free(port) =>
            {
                attempt += 1;
            }
            result => return result.map(|server| (server, port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_locked_for_one_and_free_after_it() {
        let data_dir = tempfile::tempdir().unwrap();
        let held = lock(data_dir.path()).unwrap();
        let refusal = lock(data_dir.path()).unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())));
        drop(held);
        lock(data_dir.path()).unwrap();
    }
}
