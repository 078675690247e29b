//! Makes the cluster: `initdb`, the database, the password.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::account::{Account, replace_own_file};
use super::error::{AtPath, EmbeddedError};
use super::locate::Installation;
use super::paths::{NAME, Paths, random_hex};
use super::processes;
use super::settings::{self, Machine};

/// Our settings, rewritten at each start.
const CONFIGURATION_FILE: &str = "tetcore-analytics.conf";

/// What is added to `postgresql.conf`. `custom.conf` is the operator's.
const INCLUDES: &str = "\ninclude_if_exists = 'tetcore-analytics.conf'\n\
                        include_if_exists = 'custom.conf'\n";

/// Random bytes in a password: 192 bits.
const PASSWORD_BYTES: usize = 24;

/// What is needed to run a program of PostgreSQL's on the cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) account: Account,
    pub(super) installation: Installation,
    pub(super) paths: Paths,
    pub(super) is_durable: bool,
}

/// The major version that made the cluster, or `None` if there is no cluster yet.
///
/// # Errors
/// [`EmbeddedError::Io`] if there is a directory that is no cluster.
pub(super) fn major_version(cluster: &Path) -> Result<Option<u32>, EmbeddedError> {
    if !cluster.exists() {
        return Ok(None);
    }
    let file = cluster.join("PG_VERSION");
    let version = fs::read_to_string(&file).at("read", &file)?;
    let major = version.trim().parse().map_err(io::Error::other);
    major.at("understand", &file).map(Some)
}

impl Cluster {
    /// Makes the cluster under another name and gives it its own when it is complete, so that one
    /// that was interrupted is never taken for a whole one.
    ///
    /// # Errors
    /// [`EmbeddedError::ProgramFailed`], [`EmbeddedError::Io`].
    pub(super) fn initialise(&self) -> Result<(), EmbeddedError> {
        let cluster = &self.paths.cluster;
        log::info!(
            "making a PostgreSQL {} cluster in {}",
            self.installation.major,
            cluster.display()
        );
        let home = cluster.parent().unwrap_or(&self.paths.data_dir);
        remove_unfinished(home)?;
        // With this process's id: an `initdb` that outlived its server writes elsewhere.
        let unfinished = home.join(format!("postgres.unfinished-{}", std::process::id()));
        self.account.make_private_directory(&unfinished)?;

        let mut initdb = self.account.command(self.installation.program("initdb"));
        initdb
            .arg("-D")
            .arg(&unfinished)
            .args(["-U", NAME, "--encoding=UTF8", "--no-locale"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"]);
        if !self.is_durable {
            initdb.arg("--no-sync");
        }
        Account::run(&mut initdb, "")?;
        // A new cluster beside an old password, as after a move to another major version, takes it.
        let kept = self.kept_password()?;
        let password = kept
            .clone()
            .map_or_else(|| random_hex(PASSWORD_BYTES), Ok)?;
        let statements = format!("CREATE DATABASE {NAME};\n{}", set_password(&password));
        self.single_user(&unfinished, "postgres", &statements)?;
        let main_file = unfinished.join("postgresql.conf");
        let mut contents = fs::read_to_string(&main_file).at("read", &main_file)?;
        contents.push_str(INCLUDES);
        self.account.replace_file(&main_file, &contents)?;

        fs::rename(&unfinished, cluster).at("rename to", cluster)?;
        File::open(home)
            .and_then(|directory| directory.sync_all())
            .at("sync", home)?;
        self.paths.link_cluster()?;
        match kept {
            Some(_) => Ok(()),
            None => self.keep_password(&password),
        }
    }

    /// The password for TCP: the one in its file, or a new one if the file was lost.
    ///
    /// # Errors
    /// [`EmbeddedError::ProgramFailed`], [`EmbeddedError::Io`].
    pub(super) fn password(&self) -> Result<String, EmbeddedError> {
        if let Some(password) = self.kept_password()? {
            return Ok(password);
        }
        let password = random_hex(PASSWORD_BYTES)?;
        // First the role, then the file: interrupted in between, the next start does both again.
        self.single_user(&self.paths.cluster, NAME, &set_password(&password))?;
        self.keep_password(&password)?;
        Ok(password)
    }

    fn kept_password(&self) -> Result<Option<String>, EmbeddedError> {
        let file = self.paths.password_file();
        match fs::read_to_string(&file) {
            Ok(contents) => {
                let password = contents.trim().to_owned();
                Ok(Some(password).filter(|password| !password.is_empty()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("read", &file),
        }
    }

    fn keep_password(&self, password: &str) -> Result<(), EmbeddedError> {
        replace_own_file(&self.paths.password_file(), &format!("{password}\n"))
    }

    /// Writes the settings for this machine.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`].
    pub(super) fn configure(&self) -> Result<(), EmbeddedError> {
        let machine = Machine::measure(|setting, value| self.supports(setting, value))?;
        log::debug!("tuning PostgreSQL for {machine:?}");
        self.account.replace_file(
            &self.paths.cluster.join(CONFIGURATION_FILE),
            &settings::configuration(machine, self.is_durable),
        )
    }

    /// Ends the processes that an earlier run left in this cluster.
    ///
    /// # Errors
    /// [`EmbeddedError::StuckProcesses`], [`EmbeddedError::Io`].
    pub(super) fn end_leftovers(&self) -> Result<(), EmbeddedError> {
        let file = self.postmaster_file();
        let postmaster = postmaster_pid(&file);
        processes::end_leftovers(&self.paths.cluster, postmaster)?;
        // PostgreSQL recognises a stale file unless another process has its number by now, which
        // is common in containers. No process works in the cluster and the lock is held: it is
        // stale for certain.
        if postmaster_pid(&file).is_some_and(processes::exists) {
            log::warn!("removing the stale {}", file.display());
            fs::remove_file(&file).at("remove", &file)?;
        }
        Ok(())
    }

    /// The file with the id and the state of the main process.
    pub(super) fn postmaster_file(&self) -> PathBuf {
        self.paths.cluster.join("postmaster.pid")
    }

    /// Whether this build of PostgreSQL accepts `value` for `setting`.
    fn supports(&self, setting: &str, value: &str) -> bool {
        let mut ask = self.account.command(self.installation.program("postgres"));
        ask.arg("-D").arg(&self.paths.cluster).args([
            "-C",
            setting,
            "-c",
            &format!("{setting}={value}"),
        ]);
        Account::run(&mut ask, "").is_ok()
    }

    /// Runs statements (one in each line) without a server that others could connect to.
    fn single_user(
        &self,
        cluster: &Path,
        database: &str,
        statements: &str,
    ) -> Result<(), EmbeddedError> {
        let mut postgres = self.account.command(self.installation.program("postgres"));
        postgres.args(["--single", "-c", "exit_on_error=on", "-D"]);
        postgres.arg(cluster);
        if !self.is_durable {
            postgres.args(["-c", "fsync=off"]);
        }
        postgres.arg(database);
        Account::run(&mut postgres, statements).map(drop)
    }
}

/// The number in the first line; PostgreSQL writes it negative where it runs without clients.
fn postmaster_pid(file: &Path) -> Option<Pid> {
    let contents = fs::read_to_string(file).ok()?;
    let number: i32 = contents.lines().next()?.trim().parse().ok()?;
    processes::pid(number.unsigned_abs())
}

/// Removes clusters that were interrupted while being made.
fn remove_unfinished(home: &Path) -> Result<(), EmbeddedError> {
    for entry in fs::read_dir(home).at("read", home)? {
        let entry = entry.at("read", home)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b"postgres.unfinished-") {
            let path = entry.path();
            log::info!("removing {}, which was never finished", path.display());
            fs::remove_dir_all(&path).at("remove", &path)?;
        }
    }
    Ok(())
}

fn set_password(password: &str) -> String {
    format!(
        "ALTER ROLE {NAME} PASSWORD '{}';\n",
        password.replace('\'', "''")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_of_a_server_and_of_a_single_user_run_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("postmaster.pid");
        assert_eq!(postmaster_pid(&file), None);
        for contents in ["4711\n/data\n", "-4711\n/data\n"] {
            fs::write(&file, contents).unwrap();
            assert_eq!(postmaster_pid(&file), Some(Pid::from_raw(4711)));
        }
        fs::write(&file, "").unwrap();
        assert_eq!(postmaster_pid(&file), None);
    }

    #[test]
    fn unfinished_clusters_are_removed_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        for name in ["postgres.unfinished-1", "postgres", "socket"] {
            fs::create_dir_all(home.path().join(name).join("base")).unwrap();
        }
        remove_unfinished(home.path()).unwrap();
        assert!(!home.path().join("postgres.unfinished-1").exists());
        assert!(home.path().join("postgres").exists());
        assert!(home.path().join("socket").exists());
    }

    #[test]
    fn passwords_are_long_plain_and_different() {
        let password = random_hex(PASSWORD_BYTES).unwrap();
        assert_eq!(password.len(), 2 * PASSWORD_BYTES);
        assert!(password.chars().all(|digit| digit.is_ascii_hexdigit()));
        assert_ne!(password, random_hex(PASSWORD_BYTES).unwrap());
    }

    #[test]
    fn a_directory_that_is_no_cluster_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(major_version(directory.path()).is_err());
        assert!(matches!(
            major_version(&directory.path().join("none")),
            Ok(None)
        ));
        fs::write(directory.path().join("PG_VERSION"), "15\n").unwrap();
        assert!(matches!(major_version(directory.path()), Ok(Some(15))));
    }
}
