//! The feed as JSON, as docs/FEED.md describes it. The hub works with typed values; their
//! form is defined here, so that another dialect can stand beside this one.

use bytestring::ByteString;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::AppError;
use super::feed_rows::RowPart;
use crate::feed::{
    Aggregate, Cursor, Filter, Form, Item, Items, NodeChanged, Presence, PresenceChange, RequestId,
    Shared, WindowRow,
};
use crate::query::events::Event;
use crate::query::status::Change;
use crate::telemetry::hide_addresses;

/// Comings and goings look the same for all.
const FOR_ALL: Form = Form(0);

/// The words of answers, where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// Those of `/feed`.
    First,
    /// Those of `/api/v1/feed`.
    V1,
}

/// How feed answers look for one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct FeedDialect {
    pub(super) words: Words,
    /// Addresses in the fields of messages are shown.
    pub(super) with_addresses: bool,
}

impl FeedDialect {
    /// Messages of a channel: written once for all who see the same of them.
    pub(super) fn messages(self, filter: &Filter, items: &Shared<Items>) -> ByteString {
        let form = Form(u8::from(self.with_addresses));
        items.text(form, |items| {
            self.page(filter, &items.list, items.cursor.as_ref())
        })
    }

    /// Messages, and the place after them if it is given.
    pub(super) fn page<'a>(
        self,
        filter: &Filter,
        items: impl IntoIterator<Item = &'a Item>,
        cursor: Option<&Cursor>,
    ) -> ByteString {
        let mut out = format!("{{\"peer_message\":{},\"data\":[", peer_message(filter));
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            self.write(filter, item, &mut out);
        }
        out.push(']');
        if let Some(cursor) = cursor {
            out.push_str(&format!(",\"cursor\":\"{cursor}\""));
        }
        out.push('}');
        out.into()
    }

    /// Writes the fields, and beside them what they do not say themselves.
    fn write(self, filter: &Filter, item: &Item, out: &mut String) {
        let fields = match self.with_addresses {
            true => item.fields.as_ref().into(),
            false => hide_addresses(&item.fields),
        };
        let members = fields.trim_end().strip_suffix('}').unwrap_or("{");
        out.push_str(members);
        let mut separator = match members.trim_end().ends_with('{') {
            true => "",
            false => ",",
        };
        let mut add = |name: &str, value: Value| {
            out.push_str(&format!("{separator}\"{name}\":{value}"));
            separator = ",";
        };
        if filter.peer_id.is_none() {
            add("peer_id", json!(item.origin.peer_id));
            add("name", json!(item.origin.name));
        }
        if filter.msg.is_none() {
            add("msg", json!(&*item.kind));
        }
        let created_at = item.created_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        add("created_at", json!(created_at));
        out.push('}');
    }

    /// Rows of the table of all nodes.
    pub(super) fn nodes(self, rows: &str, is_complete: bool) -> ByteString {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        format!("{{\"nodes\":{rows},\"now\":\"{now}\",\"complete\":{is_complete}}}").into()
    }

    /// Nodes that came or went.
    pub(super) fn presence(self, presences: &Shared<Vec<Presence>>) -> ByteString {
        presences.text(FOR_ALL, |presences| {
            let presences: Vec<Value> = presences.iter().map(presence).collect();
            json!({ "presence": presences }).to_string().into()
        })
    }

    /// Changes of status, and the place after them.
    pub(super) fn status(self, part: &RowPart<Change>) -> ByteString {
        let text = json!({"status": part.rows, "cursor": part.number.to_string()});
        text.to_string().into()
    }

    /// Events, and the place after them; texts as they were written, for numbers keep all
    /// their digits.
    pub(super) fn events(self, part: &RowPart<Event>) -> ByteString {
        let events = serde_json::to_string(&part.rows).unwrap_or_else(|_never| "[]".to_owned());
        let events = match self.with_addresses {
            true => events,
            false => hide_addresses(&events).into_owned(),
        };
        format!("{{\"events\":{events},\"cursor\":\"{}\"}}", part.number).into()
    }

    /// Windows that are over.
    pub(super) fn windows(
        self,
        filter: &Filter,
        aggregate: &Aggregate,
        rows: Vec<WindowRow>,
    ) -> ByteString {
        let rows = rows.into_iter().map(|row| self.window(&row));
        let data: Vec<Value> = rows.collect();
        let aggregate = json!({
            "type": aggregate.kind.name(),
            "interval": aggregate.interval.num_seconds(),
            "key": aggregate.key,
        });
        let text = json!({
            "peer_message": peer_message(filter),
            "aggregate": aggregate,
            "data": data,
        });
        text.to_string().into()
    }

    /// Messages were missed.
    pub(super) fn lagged(self, filter: &Filter, missed: u64) -> ByteString {
        let text = json!({"lagged": missed, "peer_message": peer_message(filter)});
        text.to_string().into()
    }

    /// A request was understood.
    pub(super) fn acknowledged(self, id: &RequestId) -> ByteString {
        json!({"ack": {"request_id": id}}).to_string().into()
    }

    /// A request was refused.
    pub(super) fn refused(self, problem: &str, id: Option<&RequestId>) -> ByteString {
        let error = self.error("bad_request", problem);
        let text = match id {
            Some(id) => json!({"error": error, "request_id": id}),
            None => json!({ "error": error }),
        };
        text.to_string().into()
    }

    /// The history of a subscription, or the rest of it, cannot be read.
    pub(super) fn without_history(self, error: &AppError, filter: &Filter) -> ByteString {
        let problem = format!("the history could not be read: {error}");
        let error = self.error(error.code(), &problem);
        let text = json!({"error": error, "peer_message": peer_message(filter)});
        text.to_string().into()
    }

    fn error(self, code: &str, problem: &str) -> Value {
        match self.words {
            Words::First => json!(problem),
            Words::V1 => json!({"code": code, "message": problem}),
        }
    }

    fn window(self, row: &WindowRow) -> Value {
        let created_at = row.start.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self.words {
            Words::First => json!({
                "time": row.value,
                "name": row.name,
                "target": row.target,
                "values": {"count": row.count},
                "created_at": created_at,
            }),
            Words::V1 => json!({
                "value": row.value,
                "count": row.count,
                "name": row.name,
                "target": row.target,
                "created_at": created_at,
            }),
        }
    }
}

/// The filter of a subscription, as answers repeat it.
fn peer_message(filter: &Filter) -> Value {
    let mut named = Map::new();
    let parts = [
        ("peer_id", &filter.peer_id),
        ("chain", &filter.chain),
        ("msg", &filter.msg),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            named.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(named)
}

fn presence(one: &Presence) -> Value {
    let (event, reason) = match &one.change {
        PresenceChange::Came => ("online", &None),
        PresenceChange::Left { reason } => ("offline", reason),
    };
    json!({
        "event": event,
        "peer_id": one.peer_id,
        "name": one.name,
        "chain": one.chain,
        "genesis_hash": one.genesis_hash,
        "session": one.session,
        "at": one.at,
        "reason": reason,
    })
}

/// Rows of the table of all nodes, as a list; they look the same for all.
pub fn write_nodes(rows: &[NodeChanged]) -> ByteString {
    let rows: Vec<Value> = rows.iter().map(node).collect();
    json!(rows).to_string().into()
}

fn node(changed: &NodeChanged) -> Value {
    let (session, values) = (&changed.node.session, &changed.node.values);
    let (parts, is_online) = (changed.parts, changed.node.is_online);
    let mut fields = Map::new();
    if parts.facts {
        fields.extend(object(json!(session.facts)));
        fields.extend(object(json!(session.hardware)));
        fields.remove("config");
        fields.extend(object(json!({
            "session": session.id,
            "online": is_online,
            "connected_at": time(Some(session.created_at)),
            "disconnected_at": time(session.disconnected_at.filter(|_| !is_online)),
            "disconnect_reason": session.disconnect_reason.as_deref().filter(|_| !is_online),
        })));
    }
    if parts.best {
        fields.extend(object(json!({
            "height": values.height,
            "best_hash": values.best_hash,
            "best_at": time(values.best_at),
            "propagation_ms": values.propagation_ms,
        })));
    }
    if parts.finalized {
        fields.extend(object(json!({
            "finalized_height": values.finalized_height,
            "finalized_hash": values.finalized_hash,
            "finalized_at": time(values.finalized_at),
        })));
    }
    if parts.network {
        fields.extend(object(json!({
            "peers": values.peers,
            "download_bytes_per_s": values.download_bytes_per_s,
            "upload_bytes_per_s": values.upload_bytes_per_s,
        })));
    }
    if parts.pool {
        fields.extend(object(json!({
            "transactions": values.transactions,
            "state_cache_bytes": values.state_cache_bytes,
        })));
    }
    if !changed.with_unknown {
        fields.retain(|_, value| !value.is_null());
    }
    fields.insert("peer_id".to_owned(), json!(&*changed.peer_id));
    Value::Object(fields)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn time(time: Option<DateTime<Utc>>) -> Option<String> {
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
