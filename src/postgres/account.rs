//! Who PostgreSQL runs as: it refuses root, so root hands it to an unprivileged user.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::error::{AtPath, EmbeddedError};

/// Tried in this order when the server was started by root.
const UNPRIVILEGED_USERS: [&str; 2] = ["postgres", "nobody"];

/// Longest tail of a program's output that goes into an error, in bytes.
const OUTPUT_TAIL_BYTES: usize = 600;

/// The user whose processes and files the embedded PostgreSQL consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    gid: u32,
    /// True if we are root and become this user for each program we start.
    is_dropped_to: bool,
}

impl Account {
    /// Whoever started us; for root the owner of `cluster`, else the first unprivileged user.
    ///
    /// # Errors
    /// [`EmbeddedError::NoAccount`] if root finds no user to drop to,
    /// [`EmbeddedError::ForeignOwner`] if `cluster` exists and belongs to somebody else.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let own_uid = id(&["-u"]).ok_or(EmbeddedError::NoAccount)?;
        let owner = match fs::metadata(cluster) {
            Ok(metadata) => Some((metadata.uid(), metadata.gid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).at("look at", cluster),
        };
        if let Some((uid, gid)) = owner {
            if own_uid == 0 && uid != 0 {
                return Ok(Self::dropped_to(format!("#{uid}"), uid, gid));
            }
            if own_uid != uid || uid == 0 {
                return Err(EmbeddedError::ForeignOwner {
                    path: cluster.to_owned(),
                    owner: uid,
                    uid: own_uid,
                });
            }
        }
        if own_uid != 0 {
            return Ok(Self {
                name: format!("#{own_uid}"),
                uid: own_uid,
                gid: id(&["-g"]).ok_or(EmbeddedError::NoAccount)?,
                is_dropped_to: false,
            });
        }
        UNPRIVILEGED_USERS
            .iter()
            .find_map(|name| {
                let uid = id(&["-u", name])?;
                let gid = id(&["-g", name])?;
                (uid != 0).then(|| Self::dropped_to((*name).to_owned(), uid, gid))
            })
            .ok_or(EmbeddedError::NoAccount)
    }

    fn dropped_to(name: String, uid: u32, gid: u32) -> Self {
        Self {
            name,
            uid,
            gid,
            is_dropped_to: true,
        }
    }

    /// A command that runs as this user, free of the caller's directory and `PG*` variables.
    ///
    /// The working directory is `/`: PostgreSQL's programs fail in one that their user can't read.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if self.is_dropped_to {
            command.gid(self.gid).uid(self.uid);
        }
        command
    }

    /// True if this user can enter `directory`, with everything that decides it (modes, ACLs).
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
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(directory)
            .at("create", directory)?;
        if self.is_dropped_to {
            chown(directory, Some(self.uid), Some(self.gid)).at("hand over", directory)?;
        }
        Ok(())
    }

    /// Replaces `file` by one of this user's with `contents`, readable by nobody else, whole or not
    /// at all.
    ///
    /// The new file is made under a name that must not exist yet: in a directory of an
    /// unprivileged user root must not follow a link that somebody put there.
    ///
    /// # Errors
    /// [`EmbeddedError::Io`] with the step that failed.
    pub(super) fn replace_file(&self, file: &Path, contents: &str) -> Result<(), EmbeddedError> {
        let new = new_file(file, contents)?;
        if self.is_dropped_to {
            fchown(&new.file, Some(self.uid), Some(self.gid)).at("hand over", &new.path)?;
        }
        new.install(file)
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
            // A program that ends before it has read its input says more by its exit status.
            stdin.write_all(input.as_bytes()).unwrap_or_default();
        }
        let output = child.wait_with_output().at("run", &program)?;
        if output.status.success() {
            return Ok(output);
        }
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Err(EmbeddedError::ProgramFailed {
            program: program.display().to_string(),
            status: output.status.to_string(),
            output: tail(&said, OUTPUT_TAIL_BYTES),
        })
    }
}

/// Replaces `file` by one of our own, readable by nobody else, whole or not at all.
///
/// # Errors
/// [`EmbeddedError::Io`] with the step that failed.
pub(super) fn replace_own_file(file: &Path, contents: &str) -> Result<(), EmbeddedError> {
    new_file(file, contents)?.install(file)
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

struct NewFile {
    path: PathBuf,
    file: File,
}

impl NewFile {
    fn install(self, place: &Path) -> Result<(), EmbeddedError> {
        fs::rename(&self.path, place).at("replace", place)
    }
}

fn new_file(place: &Path, contents: &str) -> Result<NewFile, EmbeddedError> {
    let mut path = place.as_os_str().to_owned();
    path.push(".new");
    let path = PathBuf::from(path);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).at("remove", &path);
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .at("create", &path)?;
    file.write_all(contents.as_bytes()).at("write", &path)?;
    file.sync_all().at("write", &path)?;
    Ok(NewFile { path, file })
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

/// What `id` says; it asks every source of users that the machine has.
fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    said.trim().parse().ok()
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
            uid: 1,
            gid: 1,
            is_dropped_to: false,
        };
        let command = account.command("true");
        assert_eq!(command.get_current_dir(), Some(Path::new("/")));
    }
}
