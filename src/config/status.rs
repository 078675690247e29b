//! Settings of the status of nodes, and their overrides by chain.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::reader::Reader;
use super::settings::{self, Allowed};
use super::{narrow, toml_error};

/// The setting that names the file of overrides.
const OVERRIDES: &str = "CHAIN_OVERRIDES_PATH";

/// The settings that a chain can override.
const OVERRIDABLE: [&str; 5] = [
    "NODE_HEARTBEAT_S",
    "NODE_MISSED_BEATS",
    "NODE_OFFLINE_S",
    "NODE_STALLED_S",
    "NODE_FINALITY_LAG",
];

/// Chains in the file: more are no file of an operator.
const CHAINS_MAX: usize = 10_000;

/// The oldest version of a chain that is fine, in the file of overrides.
const MINIMUM_VERSION: &str = "MINIMUM_VERSION";

/// Settings of the status of nodes.
#[derive(Debug, Clone, Default)]
pub struct StatusConfig {
    /// Of all chains that have none of their own.
    pub rules: NodeRules,
    /// `NODE_SESSION_S`.
    pub session: Duration,
    /// `NODE_SLASH_RISK_PCT`; 0 for never.
    pub slash_risk_pct: u32,
    /// By genesis hash or name of the chain.
    by_chain: Arc<HashMap<String, ChainOverrides>>,
}

/// What a chain has of its own.
#[derive(Debug, Clone)]
struct ChainOverrides {
    rules: NodeRules,
    minimum_version: Option<String>,
}

/// When a node is late, missing, offline, stalled or lagging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeRules {
    /// `NODE_HEARTBEAT_S`.
    pub heartbeat: TimeDelta,
    /// `NODE_MISSED_BEATS`.
    pub missed_beats: i32,
    /// `NODE_OFFLINE_S`.
    pub offline: TimeDelta,
    /// `NODE_STALLED_S`.
    pub stalled: TimeDelta,
    /// `NODE_FINALITY_LAG`, blocks.
    pub finality_lag: i64,
}

impl NodeRules {
    /// The silence after which a node is missing.
    pub fn missing(&self) -> TimeDelta {
        self.heartbeat * self.missed_beats
    }

    fn new(value: impl Fn(&'static str) -> u64) -> Self {
        let whole = |name| i64::try_from(value(name)).unwrap_or(i64::MAX);
        let seconds = |name| TimeDelta::try_seconds(whole(name)).unwrap_or(TimeDelta::MAX);
        Self {
            heartbeat: seconds("NODE_HEARTBEAT_S"),
            missed_beats: i32::try_from(value("NODE_MISSED_BEATS")).unwrap_or(i32::MAX),
            offline: seconds("NODE_OFFLINE_S"),
            stalled: seconds("NODE_STALLED_S"),
            finality_lag: whole("NODE_FINALITY_LAG"),
        }
    }

    /// What contradicts itself: the setting, and why.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        (self.offline <= self.missing()).then(|| {
            (
                "NODE_OFFLINE_S",
                format!(
                    "must be longer than NODE_HEARTBEAT_S times NODE_MISSED_BEATS, here {}",
                    self.missing().num_seconds()
                ),
            )
        })
    }
}

impl Default for NodeRules {
    fn default() -> Self {
        Self {
            heartbeat: TimeDelta::seconds(10),
            missed_beats: 3,
            offline: TimeDelta::seconds(300),
            stalled: TimeDelta::seconds(120),
            finality_lag: 20,
        }
    }
}

impl StatusConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let values: HashMap<&str, u64> = OVERRIDABLE
            .into_iter()
            .map(|name| (name, reader.integer(name)))
            .collect();
        let rules = NodeRules::new(|name| values.get(name).copied().unwrap_or_default());
        if let Some((name, problem)) = rules.contradiction() {
            reader.fault(name, problem);
        }
        let session = reader.seconds("NODE_SESSION_S");
        let slash_risk_pct = narrow(reader.integer("NODE_SLASH_RISK_PCT"));
        let mut by_chain = HashMap::new();
        let Some(path) = reader.text(OVERRIDES) else {
            return Self {
                rules,
                session,
                slash_risk_pct,
                by_chain: Arc::new(by_chain),
            };
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => match read_overrides(&text, &values) {
                Ok(found) => by_chain = found,
                Err(problems) => {
                    for problem in problems {
                        reader.fault(OVERRIDES, format!("{path}: {problem}"));
                    }
                }
            },
            Err(error) => reader.fault(OVERRIDES, format!("{path} cannot be read: {error}")),
        }
        Self {
            rules,
            session,
            slash_risk_pct,
            by_chain: Arc::new(by_chain),
        }
    }

    /// Silence of an authority within a session at which it is at risk; none for never.
    pub fn slash_risk(&self) -> Option<Duration> {
        (self.slash_risk_pct > 0).then(|| self.session * self.slash_risk_pct / 100)
    }

    /// The oldest version that is fine, by genesis hash or name of the chain.
    pub fn minimum_versions(&self) -> HashMap<&str, &str> {
        let own = self.by_chain.iter();
        own.filter_map(|(chain, own)| Some((chain.as_str(), own.minimum_version.as_deref()?)))
            .collect()
    }

    /// The rules of a chain: by its genesis hash, else by its name, else those of all.
    pub fn of_chain(&self, genesis_hash: &str, name: &str) -> NodeRules {
        let own = |key: &str| self.by_chain.get(key).map(|own| own.rules);
        own(genesis_hash)
            .or_else(|| own(name))
            .unwrap_or(self.rules)
    }
}

/// Reads the file of overrides; `values` are those of all chains.
fn read_overrides(
    text: &str,
    values: &HashMap<&'static str, u64>,
) -> Result<HashMap<String, ChainOverrides>, Vec<String>> {
    type Sections = BTreeMap<String, BTreeMap<String, toml::Value>>;
    let sections: Sections =
        toml::from_str(text).map_err(|error| vec![toml_error(text, &error)])?;
    let mut problems = Vec::new();
    if sections.len() > CHAINS_MAX {
        problems.push(format!("has more than {CHAINS_MAX} chains"));
    }
    let mut by_chain = HashMap::new();
    for (chain, given) in sections {
        let mut own = values.clone();
        let mut minimum_version = None;
        for (key, value) in given {
            if key == MINIMUM_VERSION {
                match value {
                    toml::Value::String(version) => minimum_version = Some(version),
                    other => problems.push(format!(
                        "[{chain}] {key}: {} is not a text such as \"1.2.3\"",
                        shown(&other)
                    )),
                }
                continue;
            }
            match read_value(&key, &value) {
                Ok((name, value)) => {
                    own.insert(name, value);
                }
                Err(problem) => problems.push(format!("[{chain}] {problem}")),
            }
        }
        let rules = NodeRules::new(|name| own.get(name).copied().unwrap_or_default());
        if let Some((name, problem)) = rules.contradiction() {
            problems.push(format!("[{chain}] {name} {problem}"));
        }
        by_chain.insert(
            chain,
            ChainOverrides {
                rules,
                minimum_version,
            },
        );
    }
    match problems.is_empty() {
        true => Ok(by_chain),
        false => Err(problems),
    }
}

fn read_value(key: &str, value: &toml::Value) -> Result<(&'static str, u64), String> {
    let name = OVERRIDABLE.into_iter().find(|name| *name == key);
    let setting = name.and_then(settings::find);
    let Some((setting, Allowed::Integer(least, most))) =
        setting.map(|setting| (setting, setting.allowed))
    else {
        return Err(format!(
            "{key}: a chain can override {} and {MINIMUM_VERSION}, and nothing else",
            OVERRIDABLE.join(", ")
        ));
    };
    let whole = value
        .as_integer()
        .and_then(|value| u64::try_from(value).ok());
    match whole {
        Some(value) if (least..=most).contains(&value) => Ok((setting.name, value)),
        _ => Err(format!(
            "{key}: {} is not a whole number from {least} to {most}",
            shown(value)
        )),
    }
}

fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::String(text) => format!("\"{text}\""),
        other => format!("what is given ({})", other.type_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn config(file: &str, others: &[(&str, &str)]) -> Result<StatusConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chains.toml");
        std::fs::write(&path, file).unwrap();
        let read = Config::from_lookup(&|name| match name {
            OVERRIDES => Some(path.display().to_string()),
            name => {
                let found = others.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            }
        });
        read.map(|config| config.status)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_of_the_table_are_those_of_the_rules() {
        let config = Config::from_lookup(&|_| None).unwrap();
        assert_eq!(config.status.rules, NodeRules::default());
    }

    #[test]
    fn a_chain_has_its_own_rules_by_hash_or_name_and_the_others_of_all() {
        let file = "[Polkadot]\nNODE_OFFLINE_S = 900\n[\"0xabc\"]\nNODE_HEARTBEAT_S = 60 # slow\nNODE_FINALITY_LAG = 5\n";
        let status = config(file, &[("NODE_STALLED_S", "77")]).unwrap();
        let of_all = NodeRules {
            stalled: TimeDelta::seconds(77),
            ..NodeRules::default()
        };
        assert_eq!(status.of_chain("0x1", "Kusama"), of_all);
        let by_name = NodeRules {
            offline: TimeDelta::seconds(900),
            ..of_all
        };
        assert_eq!(status.of_chain("0x1", "Polkadot"), by_name);
        let by_hash = NodeRules {
            heartbeat: TimeDelta::seconds(60),
            finality_lag: 5,
            ..of_all
        };
        assert_eq!(status.of_chain("0xabc", "Polkadot"), by_hash);
        assert_eq!(by_hash.missing(), TimeDelta::seconds(180));
    }

    #[test]
    fn each_mistake_in_the_file_is_named_with_its_chain() {
        for (file, problem) in [
            (
                "[A]\nNODE_OFFLINE = 1",
                "[A] NODE_OFFLINE: a chain can override NODE_HEARTBEAT_S",
            ),
            (
                "[A]\nNODE_STALLED_S = 1",
                "[A] NODE_STALLED_S: 1 is not a whole number from 5 to 604800",
            ),
            (
                "[A]\nNODE_STALLED_S = \"9\"",
                "[A] NODE_STALLED_S: \"9\" is not a whole number",
            ),
            (
                "[A]\nNODE_HEARTBEAT_S = 100",
                "[A] NODE_OFFLINE_S must be longer than NODE_HEARTBEAT_S times NODE_MISSED_BEATS, here 300",
            ),
            ("NODE_STALLED_S = 60", "invalid type: integer `60`"),
            ("[A]\nNODE_STALLED_S 60", "line 2: "),
        ] {
            let error = config(file, &[]).unwrap_err();
            assert!(error.contains("CHAIN_OVERRIDES_PATH: /"), "{error}");
            assert!(error.contains(problem), "{problem} is missing in: {error}");
        }
        let missing = Config::from_lookup(&|name| {
            (name == OVERRIDES).then(|| "/nowhere/chains.toml".to_owned())
        });
        let error = missing.unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/chains.toml cannot be read: "),
            "{error}"
        );
        let error = config("", &[("NODE_OFFLINE_S", "30")]).unwrap_err();
        assert!(error.contains("NODE_OFFLINE_S: must be longer"), "{error}");
    }
}
