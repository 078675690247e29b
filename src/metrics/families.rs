//! What each family of metrics is: `/metrics` and `docs/METRICS.md` are made from it.

use std::borrow::Cow;

use super::Maker;

/// Prefix of all names of this program.
pub const PREFIX: &str = "tetcore_analytics_";

/// The type of a family, as Prometheus has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It grows only, and begins anew with the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations by size.
    Histogram,
}

/// A label, and how many values it has at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Name.
    pub name: &'static str,
    /// Values that are there from the start.
    pub values: Vec<Cow<'static, str>>,
    /// What bounds further values; none if there are no further ones.
    pub further: Option<&'static str>,
}

/// A family of metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Whole name.
    pub name: String,
    /// Type.
    pub kind: Kind,
    /// Meaning, one sentence or two.
    pub help: String,
    /// Labels.
    pub labels: Vec<Label>,
    /// The path that has it.
    pub path: &'static str,
}

/// A family of gauges or histograms that is read from the database at each scrape.
#[derive(Debug, Clone, Copy)]
pub struct StoredFamily {
    /// Whole name.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Meaning.
    pub help: &'static str,
    /// Labels: name, and what bounds its values.
    pub labels: &'static [(&'static str, &'static str)],
    /// The path that has it.
    pub path: &'static str,
}

impl Kind {
    /// Name in the text format.
    pub fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Label {
    /// A label with these values and no others.
    pub fn closed<T: Into<Cow<'static, str>>>(
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name,
            values: values.into_iter().map(Into::into).collect(),
            further: None,
        }
    }

    /// A label with these values from the start, and further ones within a bound.
    pub fn bounded<T: Into<Cow<'static, str>>>(
        name: &'static str,
        values: impl IntoIterator<Item = T>,
        further: &'static str,
    ) -> Self {
        Self {
            further: Some(further),
            ..Self::closed(name, values)
        }
    }

    fn markdown(&self) -> String {
        let values: Vec<&str> = self.values.iter().map(AsRef::as_ref).collect();
        let values = values.join(", ");
        match (self.further, values.is_empty()) {
            (None, _) => format!("`{}`: {values}", self.name),
            (Some(further), true) => format!("`{}`: {further}", self.name),
            (Some(further), false) => format!("`{}`: {values}; {further}", self.name),
        }
    }
}

impl Family {
    /// What stands above its series in the text format.
    pub(super) fn write_head(&self, text: &mut Vec<u8>) {
        let Self { name, help, .. } = self;
        let kind = self.kind.label();
        text.extend(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n").into_bytes());
    }
}

impl From<&StoredFamily> for Family {
    fn from(stored: &StoredFamily) -> Self {
        let labels = stored.labels.iter();
        Self {
            name: stored.name.to_owned(),
            kind: stored.kind,
            help: stored.help.to_owned(),
            labels: labels
                .map(|&(name, bound)| Label::bounded::<&str>(name, [], bound))
                .collect(),
            path: stored.path,
        }
    }
}

/// Families of the process, which the library that has them describes by their names.
const OF_PROCESS: [(&str, Kind, &str); 7] = [
    (
        "process_cpu_seconds_total",
        Kind::Counter,
        "Processor time of this process, in whole seconds.",
    ),
    (
        "process_max_fds",
        Kind::Gauge,
        "Files and sockets that this process may have open.",
    ),
    (
        "process_open_fds",
        Kind::Gauge,
        "Files and sockets that this process has open.",
    ),
    (
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory that this process takes.",
    ),
    (
        "process_start_time_seconds",
        Kind::Gauge,
        "When this process was started, Unix seconds.",
    ),
    ("process_threads", Kind::Gauge, "Threads of this process."),
    (
        "process_virtual_memory_bytes",
        Kind::Gauge,
        "Addresses that this process has reserved.",
    ),
];

/// All families: those of this process, and those that are read from the database.
///
/// # Errors
/// If a name is used twice or is not allowed, which a test rules out.
pub fn families() -> prometheus::Result<Vec<Family>> {
    let make = Maker::default();
    super::Metrics::with(&make)?;
    let mut all = make.into_families();
    all.extend(super::STORED.iter().copied().map(Family::from));
    all.extend(OF_PROCESS.map(|(name, kind, help)| Family {
        name: name.to_owned(),
        kind,
        help: help.to_owned(),
        labels: Vec::new(),
        path: "/metrics",
    }));
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// The table of the families of one path, in Markdown.
///
/// # Errors
/// As [`families`].
pub fn markdown_table(path: &str) -> prometheus::Result<String> {
    let mut out = String::from("| name | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    for family in families()?.iter().filter(|family| family.path == path) {
        let labels: Vec<String> = family.labels.iter().map(Label::markdown).collect();
        out.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            family.name,
            family.kind.label(),
            labels.join("<br>"),
            family.help
        ));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The first word after the prefix.
    const COMPONENTS: [&str; 23] = [
        "alerts",
        "block",
        "build",
        "chain",
        "cluster",
        "database",
        "disk",
        "event",
        "feed",
        "host",
        "http",
        "ingest",
        "job",
        "log",
        "node",
        "nodes",
        "notify",
        "projection",
        "query",
        "retention",
        "server",
        "status",
        "store",
    ];

    /// Words of units that are no base units.
    const SCALED: [&str; 16] = [
        "us",
        "microseconds",
        "ms",
        "milliseconds",
        "minutes",
        "hours",
        "days",
        "day",
        "hour",
        "kb",
        "kib",
        "kilobytes",
        "mb",
        "mib",
        "megabytes",
        "percent",
    ];

    /// Names that Prometheus itself gives labels.
    const TAKEN: [&str; 5] = ["job", "instance", "le", "quantile", "__name__"];

    fn faults(family: &Family, names: &HashSet<&str>) -> Vec<&'static str> {
        let mut faults = Vec::new();
        let mut check = |is_fine: bool, fault| {
            if !is_fine {
                faults.push(fault);
            }
        };
        let name = family.name.as_str();
        if !name.starts_with("process_") {
            let base = name.strip_suffix("_total").unwrap_or(name);
            let words: Vec<&str> = base.strip_prefix(PREFIX).unwrap_or("").split('_').collect();
            check(words.len() >= 2, "component and what");
            check(COMPONENTS.contains(&words[0]), "a component that is known");
            let is_word = |word: &&str| {
                !word.is_empty()
                    && word
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            };
            check(words.iter().all(is_word), "small letters and digits");
            check(
                words.iter().all(|word| !SCALED.contains(word)),
                "a base unit",
            );
            let base = base.strip_suffix("_max").unwrap_or(base);
            let base = base.strip_suffix("_per_second").unwrap_or(base);
            for unit in ["_seconds", "_bytes"] {
                check(
                    !base.contains(unit) || base.ends_with(unit),
                    "the unit at the end",
                );
            }
        }
        if let Some(limited) = name.strip_suffix("_max") {
            check(names.contains(limited), "a limit of a family that there is");
        }
        check(
            name.ends_with("_total") == (family.kind == Kind::Counter),
            "_total on counters, and on nothing else",
        );
        check(
            family.help.ends_with('.') && !family.help.contains(['\\', '\n', '|']),
            "a sentence",
        );
        for label in &family.labels {
            check(
                !TAKEN.contains(&label.name),
                "labels that Prometheus does not set",
            );
            let is_bounded = label.further.is_some() || !label.values.is_empty();
            check(is_bounded, "labels with a bound");
        }
        faults
    }

    #[test]
    fn every_name_is_of_one_grammar() {
        let all = families().unwrap();
        let names: HashSet<&str> = all.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names.len(), all.len(), "each name once");
        for family in &all {
            assert_eq!(
                faults(family, &names),
                Vec::<&str>::new(),
                "{}",
                family.name
            );
        }
        let family = |name: &str, kind| Family {
            name: name.to_owned(),
            kind,
            ..all[0].clone()
        };
        for (name, kind, fault) in [
            (
                "tetcore_analytics_panics_total",
                Kind::Counter,
                "component and what",
            ),
            (
                "tetcore_analytics_disk_full_in_days",
                Kind::Gauge,
                "a base unit",
            ),
            (
                "tetcore_analytics_ingest_bytes_received_total",
                Kind::Counter,
                "the unit at the end",
            ),
            (
                "tetcore_analytics_ingest_drops",
                Kind::Counter,
                "_total on counters, and on nothing else",
            ),
            (
                "tetcore_analytics_ingest_most_max",
                Kind::Gauge,
                "a limit of a family that there is",
            ),
        ] {
            assert!(
                faults(&family(name, kind), &names).contains(&fault),
                "{name}"
            );
        }
    }

    #[test]
    fn every_family_is_in_the_first_scrape_with_its_type_meaning_and_known_labels() {
        let text = super::super::Metrics::new().unwrap().render(false).unwrap();
        let text = String::from_utf8(text).unwrap();
        let heads = text
            .lines()
            .filter(|line| line.starts_with("# TYPE "))
            .count();
        let mut of_metrics = families().unwrap();
        let stored: HashSet<&str> = super::super::STORED.iter().map(|one| one.name).collect();
        of_metrics.retain(|family| !stored.contains(family.name.as_str()));
        assert_eq!(heads, of_metrics.len());
        for family in &of_metrics {
            let (name, kind) = (&family.name, family.kind.label());
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
            if !name.starts_with("process_") {
                assert!(
                    text.contains(&format!("# HELP {name} {}\n", family.help)),
                    "{name}"
                );
            }
            for label in family.labels.iter().filter(|label| label.further.is_none()) {
                let shown: HashSet<&str> = text
                    .lines()
                    .filter(|line| {
                        line.starts_with(&format!("{name}{{"))
                            || line.starts_with(&format!("{name}_count{{"))
                    })
                    .filter_map(|line| {
                        line.split(&format!("{}=\"", label.name))
                            .nth(1)?
                            .split('"')
                            .next()
                    })
                    .collect();
                let known: HashSet<&str> = label.values.iter().map(AsRef::as_ref).collect();
                let is_empty = family.labels.iter().any(|label| label.values.is_empty());
                assert!(
                    shown == known || is_empty && shown.is_empty(),
                    "{name}: {shown:?}"
                );
            }
        }
    }
}
