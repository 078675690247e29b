//! The tables at the end: on the terminal and in `docs/PERFORMANCE.md`.

use std::fs;
use std::path::Path;
use std::process::Command;

use chrono::Utc;

use crate::Outcome;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PERFORMANCE.md");
const PREAMBLE: &str = "# Performance\n\n\
    `make bench` writes the sections that have a table, each with its machine and date; the rest is \
    written by hand. Generator, server and PostgreSQL share the machine.\n";

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    sections: Vec<Section>,
    failures: usize,
}

/// One table with its explanation.
#[derive(Debug)]
pub(crate) struct Section {
    title: &'static str,
    /// What the columns mean.
    legend: &'static str,
    postgres_version: String,
    rows: Vec<Vec<String>>,
}

impl Report {
    /// Adds a table.
    pub(crate) fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// Notes what a run lost and doubled; either fails the bench.
    pub(crate) fn count(&mut self, lost: u64, doubled: u64) {
        self.failures += usize::from(lost + doubled > 0);
    }

    /// Runs that lost or doubled messages.
    pub(crate) fn failures(&self) -> usize {
        self.failures
    }

    /// Prints the tables.
    pub(crate) fn print(&self) {
        for section in &self.sections {
            println!("\n{}", section.render());
        }
    }

    /// Replaces the sections of the document that were measured anew.
    pub(crate) fn write(&self) -> Outcome<()> {
        let document = fs::read_to_string(DOCUMENT).unwrap_or_else(|_| PREAMBLE.to_owned());
        let mut parts: Vec<String> = document
            .split("\n## ")
            .map(|part| part.trim_end().to_owned())
            .collect();
        for section in &self.sections {
            let text = section.render();
            let text = text.trim_start_matches("## ").trim_end().to_owned();
            match parts
                .iter_mut()
                .find(|part| part.lines().next() == Some(section.title))
            {
                Some(part) => *part = text,
                None => parts.push(text),
            }
        }
        fs::write(DOCUMENT, parts.join("\n\n## ") + "\n")?;
        println!("written to {}", Path::new(DOCUMENT).display());
        Ok(())
    }
}

impl Section {
    /// A table with these columns and no rows yet.
    pub(crate) fn new(
        title: &'static str,
        legend: &'static str,
        postgres_version: String,
        columns: &[&str],
    ) -> Self {
        let head = columns.iter().copied().map(str::to_owned).collect();
        Self {
            title,
            legend,
            postgres_version,
            rows: vec![head],
        }
    }

    /// Adds a row and shows it, for the table comes late.
    pub(crate) fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        println!("{}: {}", self.title, cells.join(" | "));
        self.rows.push(cells.to_vec());
    }

    fn render(&self) -> String {
        let about = format!(
            "{}, {}; PostgreSQL {}, tetcore-analytics {}, {}.",
            Utc::now().format("%Y-%m-%d"),
            machine(),
            self.postgres_version,
            env!("CARGO_PKG_VERSION"),
            rustc(),
        );
        format!(
            "## {}\n\n{about}\n\n{}\n\n{}",
            self.title,
            self.legend,
            self.table()
        )
    }

    /// The table in Markdown, with columns as wide as their widest cell.
    fn table(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns).filter_map(width).collect();
        let mut lines: Vec<String> = self.rows.iter().map(|row| line(row, &widths)).collect();
        let rule = widths.iter().enumerate().map(|(column, width)| {
            let dashes = "-".repeat(width + 1);
            if column == 0 {
                format!("{dashes}-|")
            } else {
                format!("{dashes}:|")
            }
        });
        lines.insert(1, format!("|{}", rule.collect::<String>()));
        lines.join("\n") + "\n"
    }
}

/// A line of a table: the first cell to the left, numbers to the right.
fn line(cells: &[String], widths: &[usize]) -> String {
    let cells = cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, width))| match column {
            0 => format!("| {cell:<width$} |"),
            _ => format!(" {cell:>width$} |"),
        });
    cells.collect()
}

/// A whole number with its thousands parted.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let parts: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|part| str::from_utf8(part).ok())
        .collect();
    parts.join(",")
}

/// Seconds as milliseconds.
pub(crate) fn millis(seconds: f64) -> String {
    format!("{:.1}", seconds * 1e3)
}

fn machine() -> String {
    let field = |file: &str, key: &str| -> Option<String> {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?.to_owned();
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model =
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    let memory = memory.map_or_else(
        || "?".to_owned(),
        |kib| format!("{:.0}", kib / 1024.0 / 1024.0),
    );
    format!("{cores} cores of {model}, {memory} GiB of memory")
}

fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    if text.is_empty() {
        "unknown rustc".to_owned()
    } else {
        text.trim().to_owned()
    }
}
