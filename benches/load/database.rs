//! The database behind the server, through psql, independently of its own code; the server is
//! compared with `\copy`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::Outcome;

/// A database by its URL.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    url: String,
}

impl Database {
    pub(crate) fn new(url: String) -> Self {
        Self { url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What psql answers to a command: rows as lines, columns parted by `|`.
    pub(crate) fn run(&self, command: &str) -> Outcome<String> {
        self.psql(&["-c", command])
    }

    /// Runs a file with variables of psql.
    pub(crate) fn run_file(&self, file: &str, variables: &[String]) -> Outcome<()> {
        let mut arguments = vec!["-f", file];
        for variable in variables {
            arguments.extend(["-v", variable]);
        }
        self.psql(&arguments).map(drop)
    }

    /// What psql answers to the commands in a file.
    pub(crate) fn run_script(&self, file: &Path) -> Outcome<String> {
        self.psql(&["-f", &file.display().to_string()])
    }

    fn psql(&self, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new("psql")
            .args(["-wXAtq", "-v", "ON_ERROR_STOP=1", "-d", &self.url])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("psql: {error}"))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(format!("psql {arguments:?}: {}", message.trim()).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// The single value that a query gives.
    pub(crate) fn value<T: FromStr>(&self, query: &str) -> Outcome<T> {
        let text = self.run(query)?;
        let value = text.parse();
        value.map_err(|_unparsed| format!("{query}: gave `{text}`").into())
    }

    /// Runs a `\copy` between the database and a file.
    pub(crate) fn copy(
        &self,
        what: &str,
        direction: &str,
        file: &Path,
        format: &str,
    ) -> Outcome<()> {
        let file = file.display();
        self.run(&format!(
            "\\copy {what} {direction} '{file}' WITH (FORMAT {format})"
        ))?;
        Ok(())
    }

    /// Version of PostgreSQL.
    pub(crate) fn version(&self) -> Outcome<String> {
        self.value("SHOW server_version")
    }

    /// Process id of the postmaster, the parent of all other processes of PostgreSQL.
    pub(crate) fn postmaster(&self) -> Outcome<u32> {
        let child: u32 =
            self.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")?;
        crate::measure::parent(child)
    }

    /// Waits until nothing is left to be written in the background, so that a run does not pay for
    /// the one before it.
    pub(crate) fn settle(&self) -> Outcome<()> {
        self.run("CHECKPOINT").map(drop)
    }

    /// Messages in the database that the generator numbered, and how many numbers they have.
    pub(crate) fn count_numbered(&self) -> Outcome<(u64, u64)> {
        let counts = self.run(
            "SELECT count(*), count(DISTINCT n) FROM (SELECT (logs ->> 'n')::bigint AS n FROM telemetry_logs) AS numbered WHERE n IS NOT NULL",
        )?;
        let (messages, numbers) = counts.split_once('|').ok_or("two counts expected")?;
        Ok((messages.parse()?, numbers.parse()?))
    }
}
