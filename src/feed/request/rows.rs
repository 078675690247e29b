//! Requests of topics whose rows have numbers: changes of status, and events.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Fields, RequestError, both_places, limited, start_time, text};
use crate::feed::cursor::CURSOR_BYTES_MAX;

/// Which changes of status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRequest {
    /// Of one chain and its nodes, by name or genesis hash.
    pub chain: Option<String>,
    /// From when on.
    pub since: RowsSince,
}

/// Which events; what each field may be is checked where they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsRequest {
    /// Of this source.
    pub source: Option<String>,
    /// About this node.
    pub peer_id: Option<String>,
    /// Of this name.
    pub name: Option<String>,
    /// As grave as this, or graver.
    pub severity: Option<String>,
    /// With these values of fields.
    pub r#where: Option<String>,
    /// With this text.
    pub text: Option<String>,
    /// From when on.
    pub since: RowsSince,
}

/// Where rows begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsSince {
    /// Now.
    Now,
    /// At a time.
    Time(DateTime<Utc>),
    /// After the row with this number.
    Number(i64),
}

impl StatusRequest {
    pub(super) fn read(fields: &Fields, chain: Option<String>) -> Result<Self, RequestError> {
        super::refuse_others(fields, "status", &of_events(fields))?;
        let since = since(fields)?;
        Ok(Self { chain, since })
    }
}

impl EventsRequest {
    pub(super) fn read(fields: &Fields) -> Result<Self, RequestError> {
        let others = [
            ("chain", &fields.chain),
            ("msg", &fields.msg),
            ("aggregate_type", &fields.aggregate_type),
            ("aggregate_interval", &fields.aggregate_interval),
            ("aggregate_key", &fields.aggregate_key),
        ];
        super::refuse(others.iter(), "events")?;
        Ok(Self {
            source: text("source", &fields.source)?,
            peer_id: text("peer_id", &fields.peer_id)?,
            name: text("name", &fields.name)?,
            severity: text("severity", &fields.severity)?,
            r#where: text("where", &fields.r#where)?,
            text: text("text", &fields.text)?,
            since: since(fields)?,
        })
    }
}

/// Fields that only events have.
pub(super) fn of_events(fields: &Fields) -> [(&'static str, &Value); 5] {
    [
        ("source", &fields.source),
        ("name", &fields.name),
        ("severity", &fields.severity),
        ("where", &fields.r#where),
        ("text", &fields.text),
    ]
}

fn since(fields: &Fields) -> Result<RowsSince, RequestError> {
    let time = limited("start_time", &fields.start_time, super::TEXT_BYTES_MAX)?;
    let cursor = limited("cursor", &fields.cursor, CURSOR_BYTES_MAX)?;
    match (time, cursor) {
        (None, None) => Ok(RowsSince::Now),
        (Some(time), None) => start_time(&time).map(RowsSince::Time),
        (None, Some(cursor)) => {
            let number = cursor.parse().ok().filter(|number| *number >= 0);
            let problem = "must be the number of a row, as this feed gave it";
            number
                .map(RowsSince::Number)
                .ok_or_else(|| RequestError::field("cursor", problem))
        }
        (Some(_), Some(_)) => Err(both_places()),
    }
}
