//! Finds the programs of an installed PostgreSQL.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::account::Account;
use super::error::EmbeddedError;

/// The oldest major version the schema and the settings work with.
const MAJOR_VERSION_MIN: u32 = 14;

/// Directories that hold one installation per major version: parent, and what stands before the
/// version in the name; `bin` lies beneath. Debian and Ubuntu, PostgreSQL's own packages for Red
/// Hat, SUSE, Homebrew on Apple and on Intel processors.
const VERSIONED_PLACES: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/usr/lib", "postgresql"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
];

/// Where PostgreSQL's own `make install` puts it.
const SOURCE_INSTALLATION: &str = "/usr/local/pgsql/bin";

/// The programs of one installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    bin_dir: PathBuf,
    /// Major version, such as 15.
    pub(super) major: u32,
}

impl Installation {
    /// Finds the installation to use: `bin_dir` and no other if given, else the first of `PATH` and
    /// the usual places (newest first) that has the major version `wanted`, if that is given.
    ///
    /// # Errors
    /// [`EmbeddedError::UnusableBinDir`], [`EmbeddedError::NotInstalled`], or
    /// [`EmbeddedError::OtherMajorVersion`] if there are installations, but not of the version
    /// that made `cluster`.
    pub(super) fn find(
        bin_dir: Option<&Path>,
        wanted: Option<u32>,
        cluster: &Path,
        account: &Account,
    ) -> Result<Self, EmbeddedError> {
        let installed = match bin_dir {
            Some(bin_dir) => vec![Self::probe(bin_dir, account).map_err(|reason| {
                EmbeddedError::UnusableBinDir {
                    path: bin_dir.to_owned(),
                    reason,
                }
            })?],
            None => Self::find_all(account)?,
        };
        let found: Vec<String> = installed.iter().map(|i| i.major.to_string()).collect();
        installed
            .into_iter()
            .find(|installation| wanted.is_none_or(|major| major == installation.major))
            .ok_or_else(|| EmbeddedError::OtherMajorVersion {
                cluster: cluster.to_owned(),
                made_by: wanted.unwrap_or_default(),
                found: found.join(", "),
            })
    }

    fn find_all(account: &Account) -> Result<Vec<Self>, EmbeddedError> {
        let candidates = candidates(std::env::var_os("PATH").as_deref());
        let installed: Vec<Self> = candidates
            .iter()
            .filter_map(|candidate| Self::probe(candidate, account).ok())
            .collect();
        if installed.is_empty() {
            return Err(EmbeddedError::NotInstalled {
                minimum: MAJOR_VERSION_MIN,
                searched: "PATH, /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin, \
                           /usr/lib/postgresql*/bin, /opt/homebrew/opt/postgresql@*/bin, \
                           /usr/local/opt/postgresql@*/bin, /usr/local/pgsql/bin"
                    .to_owned(),
            });
        }
        Ok(installed)
    }

    /// Asks the programs in `bin_dir` for their version, as the user who will run them.
    fn probe(bin_dir: &Path, account: &Account) -> Result<Self, String> {
        for program in ["postgres", "initdb"] {
            if !bin_dir.join(program).is_file() {
                return Err(format!("there is no `{program}` in it"));
            }
        }
        let output = account
            .command(bin_dir.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("user `{}` can't run `postgres`: {error}", account.name))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let major = major_version(&said)
            .ok_or_else(|| format!("`postgres --version` says `{}`", said.trim()))?;
        if major < MAJOR_VERSION_MIN {
            return Err(format!(
                "it is PostgreSQL {major}, needed is {MAJOR_VERSION_MIN} or newer"
            ));
        }
        Ok(Self {
            bin_dir: bin_dir.to_owned(),
            major,
        })
    }

    /// The path of one of its programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }
}

/// All directories to look into, in the order of preference.
fn candidates(path: Option<&OsStr>) -> Vec<PathBuf> {
    let mut candidates: Vec<PathBuf> = path
        .map(|path| std::env::split_paths(path).collect())
        .unwrap_or_default();
    // A relative entry of PATH means something else to a program that is started in `/`.
    candidates.retain(|directory| directory.is_absolute());
    for (parent, prefix) in VERSIONED_PLACES {
        candidates.extend(versioned(Path::new(parent), prefix));
    }
    candidates.push(PathBuf::from(SOURCE_INSTALLATION));
    candidates
}

/// The `bin` directories beneath `parent` whose name is `prefix` and a version, newest first.
fn versioned(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}

/// Reads `15` out of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_version(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("(PostgreSQL) ")?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        let said = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(major_version(said), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("mysqld 8"), None);
    }

    #[test]
    fn path_comes_first_and_relative_entries_are_left_out() {
        let candidates = candidates(Some(OsStr::new("/first/bin:relative:/second")));
        assert!(candidates.starts_with(&["/first/bin".into(), "/second".into()]));
        assert!(candidates.ends_with(&[SOURCE_INSTALLATION.into()]));
    }

    #[test]
    fn versions_are_sorted_by_number_newest_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pgsql-9", "pgsql-17", "pgsql-15", "pgsql-old", "other-18"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let names: Vec<PathBuf> = versioned(parent.path(), "pgsql-")
            .iter()
            .map(|path| path.strip_prefix(parent.path()).unwrap().to_owned())
            .collect();
        let expected: Vec<PathBuf> = ["pgsql-17/bin", "pgsql-15/bin", "pgsql-9/bin"]
            .iter()
            .map(PathBuf::from)
            .collect();
        assert_eq!(names, expected);
    }
}
