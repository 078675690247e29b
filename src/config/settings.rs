//! Every setting, described once: the program reads them by this table, and
//! `.env.example`, `docs/SETTINGS.md` and the deployment template are tested against it.

/// What a setting is when it is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// This value.
    Text(&'static str),
    /// So many times the processors of the machine.
    Cpus(u64),
    /// The value of another setting.
    SameAs(&'static str),
    /// Nothing: the setting may be left out.
    Unset,
}

/// Which values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Whole numbers from the first to the second.
    Integer(u64, u64),
    /// Any text; the words say which.
    Text(&'static str),
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// Value when it is not given.
    pub default: DefaultValue,
    /// Values it takes.
    pub allowed: Allowed,
    /// Unit of the value, or nothing for texts and counts.
    pub unit: &'static str,
    /// Never shown, not even in the log.
    pub secret: bool,
    /// Meaning, and the effect of values that are too small or too large.
    pub meaning: &'static str,
}

pub use super::groups::{COMMON, GROUPS, Group};
pub use super::table::SETTINGS;

/// The setting of that name; of a numbered transport that of the first of its kind.
pub fn find(name: &str) -> Option<&'static Setting> {
    let of = |name: &str| SETTINGS.iter().find(|setting| setting.name == name);
    of(name).or_else(|| of(&super::transports::first_of_kind(name)?))
}

impl Setting {
    /// The default in words, as the documentation shows it.
    pub fn default_text(&self) -> String {
        match self.default {
            DefaultValue::Text(value) => value.to_owned(),
            DefaultValue::Cpus(1) => "CPUs".to_owned(),
            DefaultValue::Cpus(times) => format!("CPUs × {times}"),
            DefaultValue::SameAs(other) => other.to_owned(),
            DefaultValue::Unset => "not set".to_owned(),
        }
    }

    /// The allowed values in words, with the unit.
    pub fn allowed_text(&self) -> String {
        match self.allowed {
            Allowed::Integer(least, most) if self.unit.is_empty() => {
                format!("{least} to {most}")
            }
            Allowed::Integer(least, most) => format!("{least} to {most} {}", self.unit),
            Allowed::Text(words) => words.to_owned(),
        }
    }
}

/// The text of `.env.example`, made from the table, in the groups of the documentation.
pub fn env_example() -> String {
    let mut out = String::from(
        "# Settings of tetcore-analytics: copy to .env and change what you need.\n\
         # A line that starts with # shows the default.\n",
    );
    for group in GROUPS {
        out.push_str(&format!("\n# === {} ===\n", group.title));
        for setting in group.settings.iter().filter_map(|name| find(name)) {
            out.push_str(&entry(setting));
        }
    }
    out
}

/// One setting in `.env.example`.
fn entry(setting: &Setting) -> String {
    let mut out = String::from("\n");
    for line in wrap(setting.meaning, 96) {
        out.push_str(&format!("# {line}\n"));
    }
    out.push_str(&format!(
        "# Allowed: {}. Default: {}.\n",
        setting.allowed_text(),
        setting.default_text()
    ));
    let shown = match setting.default {
        DefaultValue::Text(value) => value.to_owned(),
        _ => String::new(),
    };
    out.push_str(&format!("#{}={shown}\n", setting.name));
    out
}

/// The table of the settings that most installations change, in Markdown.
pub fn markdown_common() -> String {
    let mut out = String::from("| setting | default | change it when |\n| --- | --- | --- |\n");
    for (name, reason) in COMMON {
        let default = find(name).map(Setting::default_text).unwrap_or_default();
        out.push_str(&format!("| `{name}` | {default} | {reason} |\n"));
    }
    out
}

/// All settings by group, in Markdown.
pub fn markdown_groups() -> String {
    let mut out = String::new();
    for group in GROUPS {
        out.push_str(&format!("\n## {}\n\n{}\n\n", group.title, group.about));
        out.push_str("| setting | default | allowed | meaning |\n| --- | --- | --- | --- |\n");
        for setting in group.settings.iter().filter_map(|name| find(name)) {
            out.push_str(&format!(
                "| `{}` | {} | {} | {} |\n",
                setting.name,
                setting.default_text(),
                setting.allowed_text(),
                setting.meaning
            ));
        }
    }
    out
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
