//! Unknown names that resemble settings. A token under a misspelt name would leave
//! the server open without notice.

use std::collections::BTreeSet;

use strsim::osa_distance;

use super::settings::{self, SETTINGS};

/// Where a name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The environment, which is full of names that are meant for others.
    Environment,
    /// The file `.env`, where all names are meant for this program.
    EnvFile,
}

/// Beginnings of names that are meant for libraries of this program.
const OF_LIBRARIES: [&str; 8] = [
    "PG",
    "RUST_LOG_STYLE",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "SSL_CERT_",
    "MALLOC_",
    "LC_",
    "TZ",
];

/// A warning for each of the names that were found.
pub fn misspelt<'a>(names: impl IntoIterator<Item = (Place, &'a str)>) -> Vec<String> {
    let mut in_file = BTreeSet::new();
    let mut lines = Vec::new();
    for (place, name) in names {
        if place == Place::EnvFile && !in_file.insert(name) {
            lines.push(format!(
                "{name} stands in .env twice; only the first counts"
            ));
            continue;
        }
        // The file has been read into the environment too.
        if place == Place::Environment && in_file.contains(name) {
            continue;
        }
        let is_known = settings::find(name).is_some();
        if is_known || OF_LIBRARIES.iter().any(|known| name.starts_with(known)) {
            continue;
        }
        match (similar(name), place) {
            (Some(meant), _) => lines.push(format!(
                "{name} is no setting and changes nothing; is {meant} meant?"
            )),
            (None, Place::EnvFile) => lines.push(format!(
                "{name} in .env is no setting and changes nothing; .env.example has all"
            )),
            (None, Place::Environment) => {}
        }
    }
    lines
}

/// The setting that a name is close to, or begins like.
fn similar(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    // Of a short name many others are close: PORT and HOST.
    let distance_max = |name: &str| if name.len() < 8 { 1 } else { 2 };
    let close = SETTINGS
        .iter()
        .map(|setting| setting.name)
        // Names differ by as much as their lengths at least, which is quick to see.
        .filter(|name| name.len().abs_diff(upper.len()) <= distance_max(name))
        .map(|name| (osa_distance(&upper, name), name))
        .filter(|(distance, name)| *distance <= distance_max(name));
    if let Some((_, name)) = close.min() {
        return Some(name);
    }
    let begins_alike = SETTINGS.iter().map(|setting| setting.name).filter(|known| {
        let (known, upper) = (first_words(known), first_words(&upper));
        known.is_some() && known == upper
    });
    begins_alike.min_by_key(|known| osa_distance(&upper, known))
}

/// The first two words of a name that has as many.
fn first_words(name: &str) -> Option<(&str, &str)> {
    let mut words = name.split('_').filter(|word| !word.is_empty());
    Some((words.next()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_environment(name: &str) -> Vec<String> {
        misspelt([(Place::Environment, name)])
    }

    #[test]
    fn a_name_that_is_close_to_a_setting_or_begins_like_one_is_named() {
        for (name, meant) in [
            ("TELEMETRY_TOKEN", "TELEMETRY_TOKENS"),
            ("LOG_EXPIRY", "LOG_EXPIRY_H"),
            ("LOG_EXPIRY_DAYS", "LOG_EXPIRY_H"),
            ("DATABSE_URL", "DATABASE_URL"),
            ("DATABASE_URI", "DATABASE_URL"),
            ("read_tokens", "READ_TOKENS"),
            ("READ_TOKENS_FILE", "READ_TOKENS"),
            ("PROT", "PORT"),
            ("NODE_BYTES_MAX", "NODE_BYTES_PER_S_MAX"),
            ("SPOOL_MAX_GB", "SPOOL_MAX_BYTES"),
        ] {
            let lines = in_environment(name);
            assert_eq!(lines.len(), 1, "{name}");
            assert!(
                lines[0].contains(&format!("is {meant} meant?")),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn names_of_others_are_left_alone() {
        for name in [
            "PATH",
            "HOME",
            "HOST",
            "HOSTNAME",
            "NODE_ENV",
            "NODE_OPTIONS",
            "PGPASSWORD",
            "RUST_BACKTRACE",
            "KUBERNETES_SERVICE_PORT",
            "TETCORE_ANALYTICS_PORT_8080_TCP",
            "TEST_DATABASE_URL",
            "DATABASE_URL",
        ] {
            assert_eq!(in_environment(name), [""; 0], "{name}");
        }
    }

    #[test]
    fn every_unknown_name_of_the_file_is_named_once() {
        let lines = misspelt([
            (Place::EnvFile, "COLOUR"),
            (Place::EnvFile, "PORT"),
            (Place::EnvFile, "PORT"),
            (Place::EnvFile, "API_TOKEN"),
            (Place::Environment, "COLOUR"),
            (Place::Environment, "API_TOKEN"),
        ]);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("COLOUR in .env is no setting"));
        assert!(lines[1].starts_with("PORT stands in .env twice"));
        assert!(lines[2].contains("is API_TOKENS meant?"));
    }
}
