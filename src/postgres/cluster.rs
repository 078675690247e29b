//! Makes the cluster: `initdb`, the database, the password.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sysinfo::Pid;

use super::account::{Account, replace_own_file};
use super::error::{AtPath, EmbeddedError};
use super::locate::Installation;
use super::places::{NAME, Places};
use super::processes::Processes;
use super::tuning::{self, Machine};

/// Our settings, rewritten at each start.
const CONFIGURATION_FILE: &str = "tetcore-analytics.conf";

/// What is added to `postgresql.conf`. `custom.conf` is the operator's.
const INCLUDES: &str = "\ninclude_if_exists = 'tetcore-analytics.conf'\n\
                        include_if_exists = 'custom.conf'\n";

/// Random bytes in a password: as many bits as the hash that protects it can use.
const PASSWORD_BYTES: usize = 24;

/// What is needed to run a program of PostgreSQL's on the cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) account: Account,
    pub(super) installation: Installation,
    pub(super) places: Places,
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
        let cluster = &self.places.cluster;
        log::info!(
            "making a PostgreSQL {} cluster in {}",
            self.installation.major,
            cluster.display()
        );
        let home = cluster.parent().unwrap_or(&self.places.data_dir);
        remove_unfinished(home)?;
        // With our number in its name: an `initdb` that outlived its server writes elsewhere.
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
        let password = kept.clone().map_or_else(random_password, Ok)?;
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
        self.places.link_cluster()?;
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
        let password = random_password()?;
        // First the role, then the file: interrupted in between, the next start does both again.
        self.single_user(&self.places.cluster, NAME, &set_password(&password))?;
        self.keep_password(&password)?;
        Ok(password)
    }

    fn kept_password(&self) -> Result<Option<String>, EmbeddedError> {
        let file = self.places.password_file();
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
        replace_own_file(&self.places.password_file(), &format!("{password}\n"))
    }

    /// Writes the settings for this machine.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`].
    pub(super) fn configure(&self) -> Result<(), EmbeddedError> {
        let machine = Machine::measure(|setting, value| self.supports(setting, value))?;
        log::debug!("tuning PostgreSQL for {machine:?}");
        self.account.replace_file(
            &self.places.cluster.join(CONFIGURATION_FILE),
            &tuning::configuration(machine, self.is_durable),
        )
    }

    /// Ends what an earlier run left of this cluster, so that a new one can start.
    ///
    /// # Errors
    /// [`EmbeddedError::StuckProcesses`], [`EmbeddedError::Io`].
    pub(super) fn end_leftovers(&self) -> Result<(), EmbeddedError> {
        let file = self.postmaster_file();
        let postmaster = postmaster_pid(&file);
        let mut processes = Processes::open()?;
        processes.end_leftovers(&self.places.cluster, postmaster)?;
        // PostgreSQL recognises a stale file unless its number belongs to another process by now,
        // which is common in containers. None works in the cluster and we hold the lock: it is
        // stale for certain.
        if postmaster_pid(&file).is_some_and(|pid| processes.has(pid)) {
            log::warn!("removing the stale {}", file.display());
            fs::remove_file(&file).at("remove", &file)?;
        }
        Ok(())
    }

    /// The file in which the main process says who it is and how far it has come.
    pub(super) fn postmaster_file(&self) -> PathBuf {
        self.places.cluster.join("postmaster.pid")
    }

    /// True if this PostgreSQL, as it was built, knows `value` for `setting`.
    fn supports(&self, setting: &str, value: &str) -> bool {
        let mut ask = self.account.command(self.installation.program("postgres"));
        ask.arg("-D").arg(&self.places.cluster).args([
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
    let number: i64 = contents.lines().next()?.trim().parse().ok()?;
    usize::try_from(number.unsigned_abs()).ok().map(Pid::from)
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

fn random_password() -> Result<String, EmbeddedError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; PASSWORD_BYTES];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .at("read", source)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
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
            assert_eq!(postmaster_pid(&file), Some(Pid::from(4711)));
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
        let password = random_password().unwrap();
        assert_eq!(password.len(), 2 * PASSWORD_BYTES);
        assert!(password.chars().all(|digit| digit.is_ascii_hexdigit()));
        assert_ne!(password, random_password().unwrap());
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
