//! Which events a transport sends, by severity, name and source.

use std::str::FromStr;

/// Severities of events, the least grave first.
pub const EVENT_SEVERITIES: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

/// Which events pass: those that fit all conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The severities that pass; none for all.
    pub severities: Vec<&'static str>,
    /// What the name fits.
    pub names: Patterns,
    /// What the source fits.
    pub sources: Patterns,
    text: String,
}

/// Patterns of SQL's `LIKE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// One of them has to fit; none for all.
    pub any: Vec<String>,
    /// None of them may fit.
    pub none: Vec<String>,
}

impl EventFilter {
    /// As it was given; empty for one that lets everything pass.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for EventFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut filter = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        let conditions = text.split(',').map(str::trim);
        for condition in conditions.filter(|condition| !condition.is_empty()) {
            let wrong = || {
                format!(
                    "'{condition}' is not severity=LEVEL, name=PATTERN, name!=PATTERN, source=PATTERN or source!=PATTERN"
                )
            };
            let (key, value) = condition.split_once('=').ok_or_else(wrong)?;
            let (key, is_negated) = match key.strip_suffix('!') {
                Some(key) => (key.trim(), true),
                None => (key.trim(), false),
            };
            let patterns = match key {
                "severity" if !is_negated => {
                    filter.severities = at_least(value.trim())?;
                    continue;
                }
                "name" => &mut filter.names,
                "source" => &mut filter.sources,
                _ => return Err(wrong()),
            };
            let place = match is_negated {
                true => &mut patterns.none,
                false => &mut patterns.any,
            };
            let before = place.len();
            let given = value.split('|').map(str::trim);
            place.extend(given.filter(|one| !one.is_empty()).map(like));
            if place.len() == before {
                return Err(wrong());
            }
        }
        Ok(filter)
    }
}

/// The severities that are as grave as one, or graver.
fn at_least(severity: &str) -> Result<Vec<&'static str>, String> {
    let found = EVENT_SEVERITIES.iter().position(|known| *known == severity);
    let graver = found.and_then(|place| EVENT_SEVERITIES.get(place..));
    graver.map(<[_]>::to_vec).ok_or_else(|| {
        format!(
            "'{severity}' is no severity; there are {}",
            EVENT_SEVERITIES.join(", ")
        )
    })
}

/// A pattern of `LIKE`, in which `*` stands for anything.
fn like(pattern: &str) -> String {
    let mut like = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '*' => like.push('%'),
            '%' | '_' | '\\' => like.extend(['\\', c]),
            c => like.push(c),
        }
    }
    like
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_mistakes_named() {
        let filter: EventFilter = "severity=warn, name=job.*|a_b, source!=ci, name!=job.x"
            .parse()
            .unwrap();
        assert_eq!(filter.severities, ["warn", "error", "fatal"]);
        assert_eq!(filter.names.any, ["job.%", r"a\_b"]);
        assert_eq!(filter.names.none, ["job.x"]);
        assert_eq!(filter.sources.none, ["ci"]);
        assert!(filter.sources.any.is_empty());
        assert_eq!("".parse(), Ok(EventFilter::default()));
        for (text, problem) in [
            ("severity=grave", "there are trace, debug"),
            ("severity!=warn", "'severity!=warn' is not"),
            ("chain=a", "'chain=a' is not"),
            ("name", "'name' is not"),
            ("name=|", "'name=|' is not"),
        ] {
            let error = text.parse::<EventFilter>().unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
