//! Paths, port and URLs of the embedded PostgreSQL.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::account::{self, Account};
use super::error::{AtPath, EmbeddedError};

/// Name of the role and of the database.
pub(super) const NAME: &str = "tetcore_analytics";

/// Holds the password for TCP, within the data directory.
pub(super) const PASSWORD_FILE: &str = "postgres.password";

/// Longest path of a Unix socket in bytes without its final NUL: 107 on Linux, 103 on macOS.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// Length of the longest name that PostgreSQL gives its socket.
const SOCKET_NAME_BYTES: usize = "/.s.PGSQL.65535".len();

/// Where clusters go that root can't keep in the data directory because the unprivileged user
/// can't reach it, as under `/root`.
const RELOCATION_ROOT: &str = "/var/lib/tetcore-analytics";

/// The first of the ports to choose from.
const PORT_FIRST: u16 = 15432;

/// How many ports there are to choose from. The last is 25431: below what systems hand out to
/// outgoing connections (from 32768 on Linux, 49152 on macOS), so that a restart finds it free.
const PORT_COUNT: u16 = 10_000;

/// Escaped in a URL: everything but the unreserved characters of RFC 3986.
const URL_ESCAPES: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The directories and files of one embedded PostgreSQL.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    /// What the operator named, as an absolute path without links.
    pub(super) data_dir: PathBuf,
    /// The directory that `initdb` makes. As an absolute path without links once it exists.
    pub(super) cluster: PathBuf,
    /// Directory of the Unix socket, 0700.
    pub(super) socket_dir: PathBuf,
}

impl Paths {
    /// Decides where the cluster and the socket live, so that `account` can reach them.
    ///
    /// That is beneath `data_dir`, unless root started the server and a directory above it is
    /// closed to `account`: then it is a new directory under `/var/lib/tetcore-analytics`, and
    /// [`Paths::link_cluster`] leaves a link to it in `data_dir`.
    ///
    /// # Errors
    /// [`EmbeddedError::Unreachable`] if there is no such place, [`EmbeddedError::Io`].
    pub(super) fn choose(data_dir: &Path, account: &Account) -> Result<Self, EmbeddedError> {
        let link = cluster_link(data_dir);
        let cluster = match fs::canonicalize(&link) {
            Ok(cluster) => cluster,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A link to a cluster that was removed: begin with an empty one.
                if link.is_symlink() {
                    fs::remove_file(&link).at("remove", &link)?;
                }
                reachable_home(data_dir, account)?.join("postgres")
            }
            Err(error) => return Err(error).at("look at", &link),
        };
        let home = cluster.parent().unwrap_or(data_dir);
        if let Some(blocked) = account.first_blocked(home) {
            // The data directory itself is the server's own; what lies above it is not.
            if blocked != data_dir {
                return Err(unreachable(blocked, account));
            }
            account::open_for_passage(data_dir)?;
            if let Some(blocked) = account.first_blocked(home) {
                return Err(unreachable(blocked, account));
            }
        }
        Ok(Self {
            data_dir: data_dir.to_owned(),
            socket_dir: socket_directory(home, data_dir),
            cluster,
        })
    }

    /// Lets `<data_dir>/postgres` lead to a cluster that lives elsewhere.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`] if the link can't be made.
    pub(super) fn link_cluster(&self) -> Result<(), EmbeddedError> {
        let link = cluster_link(&self.data_dir);
        if link == self.cluster {
            return Ok(());
        }
        log::warn!(
            "the user PostgreSQL runs as can't enter {}: its data is kept in {}",
            self.data_dir.display(),
            self.cluster.display()
        );
        std::os::unix::fs::symlink(&self.cluster, &link).at("create", &link)
    }

    /// Makes the socket directory, or empties the one of an earlier run.
    ///
    /// # Errors
    /// [`EmbeddedError::UnsafeSocketDirectory`] if there is something else in its place,
    /// [`EmbeddedError::Io`].
    pub(super) fn prepare_socket_directory(&self, account: &Account) -> Result<(), EmbeddedError> {
        let directory = &self.socket_dir;
        let metadata = match fs::symlink_metadata(directory) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return account.make_private_directory(directory);
            }
            Err(error) => return Err(error).at("look at", directory),
        };
        let is_private =
            metadata.is_dir() && metadata.uid() == account.uid() && metadata.mode() & 0o077 == 0;
        if !is_private {
            return Err(EmbeddedError::UnsafeSocketDirectory {
                path: directory.clone(),
                uid: account.uid(),
            });
        }
        // The lock beside a socket names a process id that may be reused by now.
        for entry in fs::read_dir(directory).at("read", directory)? {
            let path = entry.at("read", directory)?.path();
            fs::remove_file(&path).at("remove", &path)?;
        }
        Ok(())
    }

    /// PostgreSQL's output before it opens its log.
    pub(super) fn start_log(&self) -> PathBuf {
        self.data_dir.join("postgres.start.log")
    }

    /// The password for connections over TCP, 0600.
    pub(super) fn password_file(&self) -> PathBuf {
        self.data_dir.join(PASSWORD_FILE)
    }

    fn port_file(&self) -> PathBuf {
        self.data_dir.join("postgres.port")
    }

    /// The URL for the server itself: through the socket, without a password.
    pub(super) fn socket_url(&self, port: u16) -> String {
        let directory =
            percent_encode(self.socket_dir.as_os_str().as_encoded_bytes(), &URL_ESCAPES);
        format!("postgres://{NAME}@{directory}:{port}/{NAME}")
    }

    /// The port of the last start if it is free, else another free one, which is remembered.
    ///
    /// # Errors
    /// [`EmbeddedError::NoFreePort`], or [`EmbeddedError::Io`] if it can't be remembered.
    pub(super) fn choose_port(&self) -> Result<u16, EmbeddedError> {
        let file = self.port_file();
        let remembered = fs::read_to_string(&file)
            .ok()
            .and_then(|contents| contents.trim().parse().ok());
        if let Some(port) = remembered.filter(|port| is_free(*port)) {
            return Ok(port);
        }
        let port = port_candidates(&self.data_dir)
            .find(|port| is_free(*port))
            .ok_or(EmbeddedError::NoFreePort)?;
        if let Some(taken) = remembered {
            log::warn!("PostgreSQL's port {taken} is taken by another program: using {port}");
        }
        account::replace_own_file(&file, &format!("{port}\n"))?;
        Ok(port)
    }
}

/// The path at which the operator finds the cluster.
pub(super) fn cluster_link(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres")
}

/// The URL for psql and Grafana.
pub(super) fn tcp_url(password: &str, port: u16) -> String {
    let password = percent_encode(password.as_bytes(), &URL_ESCAPES);
    format!("postgres://{NAME}:{password}@127.0.0.1:{port}/{NAME}")
}

/// True if a listener on this loopback port can be opened now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// All ports, beginning at one that differs between data directories, so that several servers of a
/// machine rarely ask for the same.
fn port_candidates(data_dir: &Path) -> impl Iterator<Item = u16> + use<> {
    let hash = hash(data_dir) % u32::from(PORT_COUNT);
    let first = u16::try_from(hash).unwrap_or_default();
    (0..PORT_COUNT).map(move |step| PORT_FIRST + (first + step) % PORT_COUNT)
}

/// The directory in which a new cluster is made.
fn reachable_home(data_dir: &Path, account: &Account) -> Result<PathBuf, EmbeddedError> {
    let blocked = match account.first_blocked(data_dir) {
        Some(blocked) if blocked != data_dir => blocked,
        _ => return Ok(data_dir.to_owned()),
    };
    // A new name each time: removing the data directory means to start with an empty one.
    let home = Path::new(RELOCATION_ROOT).join(random_hex(8)?);
    let made = DirBuilder::new().recursive(true).mode(0o755).create(&home);
    if let Err(error) = made {
        log::debug!("can't create {}: {error}", home.display());
        return Err(unreachable(blocked, account));
    }
    Ok(home)
}

fn unreachable(blocked: &Path, account: &Account) -> EmbeddedError {
    EmbeddedError::Unreachable {
        blocked: blocked.to_owned(),
        account: account.name.clone(),
    }
}

/// `<home>/socket`, or a directory in `/tmp` named after the data directory where that path is too
/// long for a socket or can't be written into a list of PostgreSQL's.
fn socket_directory(home: &Path, data_dir: &Path) -> PathBuf {
    let directory = home.join("socket");
    let fits = directory.as_os_str().len() + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES_MAX;
    let is_plain = directory
        .to_str()
        .is_some_and(|path| !path.contains(['"', ',']));
    if fits && is_plain {
        return directory;
    }
    PathBuf::from(format!("/tmp/tetcore-analytics-{:08x}", hash(data_dir)))
}

/// The same in every release: names of directories and the choice of ports depend on it.
fn hash(data_dir: &Path) -> u32 {
    crc32fast::hash(data_dir.as_os_str().as_encoded_bytes())
}

/// `bytes` random bytes of the system in hexadecimal digits.
///
/// # Errors
/// [`EmbeddedError::Io`] if the system has no source of randomness.
pub(super) fn random_hex(bytes: usize) -> Result<String, EmbeddedError> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random)
        .map_err(io::Error::from)
        .at("read", "the system's random numbers".as_ref())?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_home_holds_the_socket_itself() {
        let home = Path::new("/srv/data");
        assert_eq!(socket_directory(home, home), home.join("socket"));
    }

    #[test]
    fn a_long_home_moves_the_socket_to_a_stable_short_place() {
        let home = PathBuf::from(format!("/srv/{}", "d".repeat(90)));
        let directory = socket_directory(&home, &home);
        assert!(directory.starts_with("/tmp"));
        assert!(directory.as_os_str().len() + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES_MAX);
        assert_eq!(directory, socket_directory(&home, &home));
        let other = PathBuf::from(format!("/srv/{}", "e".repeat(90)));
        assert_ne!(directory, socket_directory(&other, &other));
    }

    #[test]
    fn a_home_that_breaks_lists_moves_the_socket_too() {
        let home = Path::new("/srv/a,b");
        assert!(socket_directory(home, home).starts_with("/tmp"));
    }

    #[test]
    fn the_socket_url_ends_with_the_database_and_encodes_the_directory() {
        let paths = Paths {
            data_dir: "/d".into(),
            cluster: "/d/postgres".into(),
            socket_dir: "/d/my socket".into(),
        };
        assert_eq!(
            paths.socket_url(15432),
            "postgres://tetcore_analytics@%2Fd%2Fmy%20socket:15432/tetcore_analytics"
        );
    }

    #[test]
    fn port_candidates_cover_the_whole_range_once() {
        let mut ports: Vec<u16> = port_candidates(Path::new("/data")).collect();
        assert_eq!(
            port_candidates(Path::new("/data")).next(),
            ports.first().copied()
        );
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), usize::from(PORT_COUNT));
        assert_eq!(ports.first(), Some(&PORT_FIRST));
        assert_eq!(ports.last(), Some(&25_431));
    }
}
