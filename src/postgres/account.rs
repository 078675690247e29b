//! The user that PostgreSQL runs as: it refuses root, so root starts it as an
//! unprivileged user.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::unistd::{Gid, Uid, User, getegid, geteuid};
use tempfile::NamedTempFile;

use super::error::{AtPath, EmbeddedError};

/// Tried in this order when root starts the server.
const UNPRIVILEGED_USERS: [&str; 2] = ["postgres", "nobody"];

/// Longest tail of a program's output in an error, in bytes.
const OUTPUT_TAIL_BYTES: usize = 600;

/// The user that owns the processes and files of the embedded PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    uid: Uid,
    gid: Gid,
    /// True if root started the server: programs and files get this user.
    is_dropped_to: bool,
}

impl Account {
    /// The user of this process; for root the owner of `cluster`, or an unprivileged user.
    ///
    /// # Errors
    /// [`EmbeddedError::NoAccount`] if there is no unprivileged user,
    /// [`EmbeddedError::ForeignOwner`] if `cluster` belongs to another user.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let own = geteuid();
        let owner = match fs::metadata(cluster) {
            Ok(metadata) => Some((Uid::from_raw(metadata.uid()), metadata.gid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).at("look at", cluster),
        };
        match owner {
            Some((uid, gid)) if own.is_root() && !uid.is_root() => Ok(Self {
                name: format!("#{uid}"),
                uid,
                gid: Gid::from_raw(gid),
                is_dropped_to: true,
            }),
            Some((uid, _)) if uid != own || uid.is_root() => Err(EmbeddedError::ForeignOwner {
                path: cluster.to_owned(),
                owner: uid.as_raw(),
                uid: own.as_raw(),
            }),
            _ if !own.is_root() => Ok(Self {
                name: format!("#{own}"),
                uid: own,
                gid: getegid(),
                is_dropped_to: false,
            }),
            _ => UNPRIVILEGED_USERS
                .iter()
                .find_map(|name| User::from_name(name).ok().flatten())
                .filter(|user| !user.uid.is_root())
                .map(|user| Self {
                    name: user.name,
                    uid: user.uid,
                    gid: user.gid,
                    is_dropped_to: true,
                })
                .ok_or(EmbeddedError::NoAccount),
        }
    }

    /// The user id.
    pub(super) fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// A command that runs as this user, without the caller's `PG*` variables and those by which
    /// systemd is told how this server is, in `/`: PostgreSQL's programs fail in a directory that
    /// their user can't read.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            let bytes = name.as_encoded_bytes();
            let is_of_systemd =
                ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].map(str::as_bytes);
            if bytes.starts_with(b"PG") || is_of_systemd.contains(&bytes) {
                command.env_remove(name);
            }
        }
        if self.is_dropped_to {
            command.gid(self.gid.as_raw()).uid(self.uid.as_raw());
        }
        command
    }

    /// True if this user can enter `directory`. Tried, so that modes and ACLs count.
    pub(super) fn can_enter(&self, directory: &Path) -> bool {
        self.command("/bin/sh")
            .args(["-c", "cd -- \"$1\"", "sh"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// The first directory on the way to `directory` that this user can't enter.
    pub(super) fn first_blocked<'a>(&self, directory: &'a Path) -> Option<&'a Path> {
        if self.can_enter(directory) {
            return None;
        }
        let mut way: Vec<&Path> = directory.ancestors().collect();
        way.reverse();
        way.into_iter().find(|step| !self.can_enter(step))
    }

    /// Makes `directory` private (0700) and this user's.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`] if it exists already or can't be made.
    pub(super) fn make_private_directory(&self, directory: &Path) -> Result<(), EmbeddedError> {
        DirBuilder::new()
            .mode(0o700)
            .create(directory)
            .at("create", directory)?;
        if self.is_dropped_to {
            chown(directory, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
                .at("hand over", directory)?;
        }
        Ok(())
    }

    /// Replaces `file` atomically by one with `contents` that only this user can read.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`] with the step that failed.
    pub(super) fn replace_file(&self, file: &Path, contents: &str) -> Result<(), EmbeddedError> {
        let new = new_file(file, contents)?;
        if self.is_dropped_to {
            fchown(&new, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
                .at("hand over", new.path())?;
        }
        new.persist(file)
            .map_err(|error| error.error)
            .at("replace", file)
            .map(drop)
    }

    /// Runs `command` to its end.
    ///
    /// # Errors
    /// [`EmbeddedError::ProgramFailed`] with the end of its output unless it succeeds.
    pub(super) fn run(command: &mut Command, input: &str) -> Result<Output, EmbeddedError> {
        let program = PathBuf::from(command.get_program());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .at("run", &program)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends before it has read its input fails by its exit status.
            stdin.write_all(input.as_bytes()).unwrap_or_default();
        }
        let output = child.wait_with_output().at("run", &program)?;
        if output.status.success() {
            return Ok(output);
        }
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Err(EmbeddedError::ProgramFailed {
            program: program.display().to_string(),
            status: output.status.to_string(),
            output: tail(&text, OUTPUT_TAIL_BYTES),
        })
    }
}

/// Replaces `file` atomically by one with `contents` that only the user of this
/// process can read.
///
/// # Errors
/// [`EmbeddedError::Io`] with the step that failed.
pub(super) fn replace_own_file(file: &Path, contents: &str) -> Result<(), EmbeddedError> {
    let new = new_file(file, contents)?;
    new.persist(file)
        .map_err(|error| error.error)
        .at("replace", file)
        .map(drop)
}

/// Lets other users pass through `directory` without listing it.
///
/// # Errors
/// [`EmbeddedError::Io`] if the mode can't be changed.
pub(super) fn open_for_passage(directory: &Path) -> Result<(), EmbeddedError> {
    let mode = fs::metadata(directory).at("look at", directory)?.mode();
    fs::set_permissions(directory, fs::Permissions::from_mode(mode | 0o011))
        .at("change the mode of", directory)
}

/// A new file beside `file`, 0600 and synced. Its name is random and must not exist,
/// so that root follows no link in a directory of an unprivileged user.
fn new_file(file: &Path, contents: &str) -> Result<NamedTempFile, EmbeddedError> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let mut new = NamedTempFile::new_in(directory).at("create a file in", directory)?;
    new.write_all(contents.as_bytes()).at("write", file)?;
    new.as_file().sync_all().at("write", file)?;
    Ok(new)
}

/// The last lines of `text` that fit into `bytes_max` bytes.
pub(super) fn tail(text: &str, bytes_max: usize) -> String {
    let text = text.trim();
    let mut bytes = 0;
    let mut lines: Vec<&str> = text
        .lines()
        .rev()
        .take_while(|line| {
            bytes += line.len() + 1;
            bytes <= bytes_max
        })
        .collect();
    lines.reverse();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_keeps_whole_lines_from_the_end() {
        assert_eq!(tail("one\ntwo\nthree\n", 10), "two\nthree");
        assert_eq!(tail("one\ntwo", 100), "one\ntwo");
        assert_eq!(tail("a very long line", 4), "");
    }

    #[test]
    fn commands_do_not_inherit_the_callers_directory() {
        let account = Account {
            name: "me".to_owned(),
            uid: Uid::from_raw(1),
            gid: Gid::from_raw(1),
            is_dropped_to: false,
        };
        let command = account.command("true");
        assert_eq!(command.get_current_dir(), Some(Path::new("/")));
    }
}
