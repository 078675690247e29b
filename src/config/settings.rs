//! Every setting, described once: the program reads them by this table, and
//! `.env.example`, the README, `docs/SETTINGS.md` and the deployment template are tested against it.

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

/// The text of `.env.example`, made from the table.
pub fn env_example() -> String {
    let mut out = String::from(
        "# Settings of tetcore-analytics: copy to .env and change what you need.\n\
         # A line that starts with # shows the default.\n",
    );
    for setting in SETTINGS {
        out.push('\n');
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
    }
    out
}

/// Settings that many need; the README has them. The others are for tuning.
pub const COMMON: [&str; 12] = [
    "LISTEN_ADDRESS",
    "PORT",
    "DATABASE_URL",
    "DATA_DIR",
    "SPOOL_MAX_BYTES",
    "LOG_EXPIRY_H",
    "TELEMETRY_TOKENS",
    "API_TOKENS",
    "READ_TOKENS",
    "ALLOWED_HOSTS",
    "TLS_CERT_PATH",
    "TLS_KEY_PATH",
];

/// The table of the settings that many need, or of the others, in Markdown.
pub fn markdown_table(common: bool) -> String {
    let mut out =
        String::from("| setting | default | allowed | meaning |\n| --- | --- | --- | --- |\n");
    let of_table = |setting: &&Setting| COMMON.contains(&setting.name) == common;
    for setting in SETTINGS.iter().filter(of_table) {
        out.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            setting.name,
            setting.default_text(),
            setting.allowed_text(),
            setting.meaning
        ));
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
