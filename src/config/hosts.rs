//! Names of hosts under which a server is known.

use std::str::FromStr;

/// Names of hosts; one that begins with `*.` stands for each name one label below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNames(Vec<HostName>);

/// One of them, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostName(String);

impl HostNames {
    pub(super) fn new(names: Vec<HostName>) -> Self {
        Self(names)
    }

    /// Those of `names` that are names of hosts.
    pub fn from_names<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// Whether `name`, in lower case, is one of them.
    pub fn contain(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|HostName(known)| match known.strip_prefix('*') {
                None => known == name,
                Some(domain) => name
                    .strip_suffix(domain)
                    .is_some_and(|label| !label.is_empty() && !label.contains('.')),
            })
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        let labels = name.strip_prefix("*.").unwrap_or(&name);
        let is_label = |label: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !label.is_empty() && label.len() <= 63 && label.bytes().all(allowed)
        };
        if name.len() <= 253 && labels.split('.').all(is_label) {
            Ok(Self(name))
        } else {
            Err(format!(
                "'{text}' is no name of a host such as telemetry.example.org or *.example.org, without scheme and port"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        let names = HostNames::from_names(["A.example", "*.b.example", "-", "x y"].into_iter());
        for (name, is_known) in [
            ("a.example", true),
            ("x.a.example", false),
            ("x.b.example", true),
            ("b.example", false),
            (".b.example", false),
            ("x.y.b.example", false),
            ("xb.example", false),
        ] {
            assert_eq!(names.contain(name), is_known, "{name}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "http://a.example",
            "a.example:80",
            "a..b",
            "*",
            "a.*.b",
            "ä.example",
            "a/b",
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
    }
}
