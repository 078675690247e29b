//! The rules of alerts: when they fire, how grave that is, and what to do.

use std::time::Duration;

use crate::config::Severity;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// How grave it is; one more for a node with an authority.
    pub severity: Severity,
    /// How long it has to hold before it fires.
    pub hold: Duration,
    /// Whether it is used unless the file of rules says otherwise.
    pub is_on: bool,
    /// Whether it is read off the nodes that are online: it neither fires nor ends while they
    /// come back after an outage of our own.
    pub is_of_online: bool,
    /// What may be behind it.
    pub cause: &'static str,
    /// What to do.
    pub action: &'static str,
}

/// The rule that a server judges by itself, without a database.
pub const DATABASE_AWAY: &str = "database_away";

const SILENCE: &str = "The node, its machine or its network is down, or telemetry alone is cut: silent telemetry is no proof of a dead node.";

const fn rule(
    name: &'static str,
    severity: Severity,
    hold_s: u64,
    cause: &'static str,
    action: &'static str,
) -> Rule {
    Rule {
        name,
        severity,
        hold: Duration::from_secs(hold_s),
        is_on: true,
        is_of_online: false,
        cause,
        action,
    }
}

const fn of_online(rule: Rule) -> Rule {
    Rule {
        is_of_online: true,
        ..rule
    }
}

/// All rules.
pub const RULES: &[Rule] = &[
    Rule {
        is_on: false,
        ..rule(
            "node_late",
            Severity::Info,
            0,
            SILENCE,
            "Nothing yet: most nodes come back by themselves.",
        )
    },
    rule(
        "node_missing",
        Severity::Warning,
        0,
        SILENCE,
        "Check that its process runs, then its log, then the way from it to this server.",
    ),
    rule(
        "validator_missing",
        Severity::Critical,
        0,
        SILENCE,
        "Check that it authors blocks by its log or an RPC; start it again, or move its keys to the machine in reserve, never to two at once.",
    ),
    rule(
        "node_offline",
        Severity::Warning,
        0,
        SILENCE,
        "As for node_missing; if it is gone for good, silence it: the alert ends after seven days.",
    ),
    rule(
        "node_stalled",
        Severity::Warning,
        0,
        "The node talks, but imports no block while its chain does: no peers, a full disk, a bad database, or a fork.",
        "Look at its peers and its log; compare its best hash with that of others; start it again.",
    ),
    rule(
        "node_lagging",
        Severity::Warning,
        60,
        "Its finality is behind that of its chain: it misses votes of GRANDPA, or its peers do not have them.",
        "Look at its peers and its log for afg and grandpa; start it again if it does not catch up.",
    ),
    rule(
        "node_conflict",
        Severity::Critical,
        0,
        "Two processes use one peer id: a copied machine or key. Of a validator that is a double vote waiting to happen.",
        "Stop one of the two at once, and give it a node key of its own.",
    ),
    rule(
        "slash_risk",
        Severity::Critical,
        0,
        "An authority has been silent for a large part of a session: if it really is down, it may be slashed or chilled.",
        "Bring it back before the session ends, or chill it in order.",
    ),
    of_online(rule(
        "chain_stalled",
        Severity::Critical,
        120,
        "No node reports a new best block: block production has stopped, or all nodes here are cut off from the rest.",
        "Compare with a node elsewhere; look at the authors of the chain.",
    )),
    of_online(rule(
        "chain_finality_lag",
        Severity::Warning,
        120,
        "Blocks are made and not finalized: too few voters are online, or they do not hear each other.",
        "Count the validators that are missing; look for afg messages of level 4.",
    )),
    rule(
        "telemetry_lost",
        Severity::Warning,
        0,
        "Most nodes of a chain fell silent at once: the network between them and this server, a proxy, or the chain itself.",
        "Check the way to this server and its log before any node.",
    ),
    of_online(rule(
        "version_below_minimum",
        Severity::Warning,
        600,
        "The node runs a version older than MINIMUM_VERSION of its chain.",
        "Update it.",
    )),
    of_online(rule(
        "hardware_below_reference",
        Severity::Info,
        600,
        "The benchmark at the start of an authority was below nine tenths of the reference machine: a slow or busy machine misses its slots.",
        "Run the benchmark of the node again while nothing else runs there; move it to a faster machine.",
    )),
    rule(
        "job_failing",
        Severity::Warning,
        0,
        "At least three runs of a job of a service failed in this hour and the one before, a fifth of them or more.",
        "Look at its errors on the Events page.",
    ),
    rule(
        "job_not_running",
        Severity::Warning,
        0,
        "A job of a service that ran in at least twelve of the last 24 hours has told nothing for two: its service, its timer, or the way to this server.",
        "Look whether the service runs; if the job is no more, silence it: the alert ends within a day.",
    ),
    rule(
        "server_lost",
        Severity::Critical,
        10,
        "A server of this program sends no heartbeat: it was killed, or cannot reach the database.",
        "Look at its process and its log; its nodes come back to it, or go to another address.",
    ),
    rule(
        DATABASE_AWAY,
        Severity::Critical,
        30,
        "This server cannot reach its database: the database is down, starts anew, or the network between the two is cut.",
        "Look at the database, then at the way to it. What nodes send is kept in the spool meanwhile, and stored afterwards.",
    ),
    rule(
        "messages_lost",
        Severity::Critical,
        0,
        "This server dropped messages that it had received: memory or spool were full.",
        "See the reasons in tetcore_analytics_ingest_messages_dropped_total; give it more spool, or a faster database.",
    ),
    rule(
        "spool_filling",
        Severity::Warning,
        60,
        "More than half of the spool is used: the database has been away or slow for long.",
        "Look at the database; when the spool is full, messages are dropped.",
    ),
    rule(
        "disk_filling",
        Severity::Warning,
        600,
        "At the rate of now the disk of the database is full within 30 days, before messages expire.",
        "Give it more disk, or lower LOG_EXPIRY_H.",
    ),
    rule(
        "projection_behind",
        Severity::Warning,
        300,
        "A projection lags behind the messages: the database is slow, or it is built anew.",
        "Nothing while it is built; else look at the load of the database.",
    ),
];

/// The rule of that name.
pub fn find(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

/// The rules as a table in Markdown, for docs/ALERTS.md.
pub fn markdown_table() -> String {
    let mut out = String::from(
        "| rule | severity | for | what may be behind it | what to do |\n| --- | --- | --- | --- | --- |\n",
    );
    for rule in RULES {
        let off = if rule.is_on { "" } else { ", off" };
        out.push_str(&format!(
            "| `{}` | {}{off} | {} s | {} | {} |\n",
            rule.name,
            rule.severity.label(),
            rule.hold.as_secs(),
            rule.cause,
            rule.action
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_names_of_their_own() {
        for rule in RULES {
            assert_eq!(find(rule.name), Some(rule));
        }
    }
}
