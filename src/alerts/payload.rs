//! What receivers are sent of an alert.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::rule;
use crate::store::alerts::AlertRow;

/// As a webhook has it: `alert.fired` or `alert.resolved`, with everything that is known.
pub fn webhook(alert: &AlertRow, now: DateTime<Utc>) -> Value {
    let rule = rule::find(&alert.rule);
    let kind = match alert.resolved_at {
        Some(_) => "alert.resolved",
        None => "alert.fired",
    };
    json!({
        "type": kind,
        "timestamp": now,
        "data": {
            "id": (alert.id > 0).then_some(alert.id), "rule": alert.rule, "severity": alert.severity, "subject": alert.subject,
            "peer_id": alert.peer_id, "genesis_hash": alert.genesis_hash, "name": alert.name, "chain": alert.chain,
            "server_id": alert.server_id, "summary": title(alert), "flaps": alert.flaps,
            "cause": rule.map(|rule| rule.cause), "action": rule.map(|rule| rule.action),
            "began_at": alert.began_at, "fired_at": alert.fired_at, "resolved_at": alert.resolved_at,
        },
    })
}

/// As Alertmanager has it. `startsAt` stays the same as long as the alert is open.
pub fn alertmanager(alert: &AlertRow) -> Value {
    let rule = rule::find(&alert.rule);
    let mut labels = json!({ "alertname": alert.rule, "severity": alert.severity, "job": "tetcore-analytics", "subject": alert.subject });
    // An empty label is none.
    for (name, value) in [
        ("peer_id", &alert.peer_id),
        ("genesis_hash", &alert.genesis_hash),
        ("name", &alert.name),
        ("chain", &alert.chain),
        ("server_id", &alert.server_id),
    ] {
        if let (Some(value), Some(labels)) = (value, labels.as_object_mut()) {
            labels.insert(name.to_owned(), json!(value));
        }
    }
    let mut sent = json!({
        "labels": labels,
        "annotations": {
            "summary": title(alert),
            "cause": rule.map(|rule| rule.cause).unwrap_or_default(),
            "action": rule.map(|rule| rule.action).unwrap_or_default(),
        },
        "startsAt": alert.fired_at,
    });
    if let (Some(resolved_at), Some(sent)) = (alert.resolved_at, sent.as_object_mut()) {
        sent.insert("endsAt".to_owned(), json!(resolved_at));
    }
    sent
}

/// Who it is about, and what is wrong.
pub(super) fn title(alert: &AlertRow) -> String {
    let who = match alert.subject.as_str() {
        "chain" => alert.chain.as_ref().or(alert.genesis_hash.as_ref()),
        "node" => alert.name.as_ref().or(alert.peer_id.as_ref()),
        _ => alert.name.as_ref().or(alert.server_id.as_ref()),
    };
    let of = match (alert.subject.as_str(), &alert.chain) {
        ("node", Some(chain)) => format!(" of {chain}"),
        _ => String::new(),
    };
    let who = who.map_or(alert.key.as_str(), String::as_str);
    format!("{} {who}{of} {}", alert.subject, alert.summary)
}
