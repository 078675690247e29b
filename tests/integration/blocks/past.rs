//! A past that nodes could have told: messages at chosen times, written into the log.

use std::collections::HashMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{GENESIS, hash};
use crate::support::TestApp;

/// Messages of some nodes, each with one session.
pub(crate) struct Past<'a> {
    app: &'a TestApp,
    sessions: HashMap<String, i64>,
    rows: String,
    next_id: i64,
    /// The first of the rows that are not told yet, and the span of their arrival.
    first_id: i64,
    span: (i64, i64),
}

impl<'a> Past<'a> {
    /// Nodes of the chain `Development`, online for a day.
    pub(crate) fn new(app: &'a TestApp, peers: &[&str]) -> Self {
        let mut past = Self {
            app,
            sessions: HashMap::new(),
            rows: String::new(),
            next_id: 1,
            first_id: 1,
            span: (i64::MAX, i64::MIN),
        };
        for peer in peers {
            past.join(peer, GENESIS, "Development");
        }
        past
    }

    /// One more node, of any chain.
    pub(crate) fn join(&mut self, peer: &str, genesis: &str, chain: &str) {
        let id = 1 + i64::try_from(self.sessions.len()).unwrap();
        self.app.db.execute(&format!(
            "INSERT INTO peer_connections (id, ip_addr, peer_id, name, chain, genesis_hash, version, implementation, authority, created_at, connection_id, server_id, last_seen_at) \
             VALUES ({id}, '10.0.0.1', '{peer}', 'name of {peer}', '{chain}', '{genesis}', '1.{}', 'node', true, now() - interval '1 day', {id}, 'other', now())",
            id % 3
        ));
        self.sessions.insert(peer.to_owned(), id);
    }

    pub(crate) fn now_us(&self) -> i64 {
        Utc::now().timestamp_micros()
    }

    pub(crate) fn say(&mut self, peer: &str, at: i64, msg: &str, fields: &Value) {
        let time = DateTime::from_timestamp_micros(at).unwrap().to_rfc3339();
        let session = self.sessions[peer];
        let separator = if self.rows.is_empty() { "" } else { "," };
        write!(
            self.rows,
            "{separator}({}, '{time}'::timestamptz, {session}, '{msg}', '{fields}'::jsonb)",
            self.next_id
        )
        .unwrap();
        self.next_id += 1;
        self.span = (self.span.0.min(at), self.span.1.max(at));
    }

    pub(crate) fn import(&mut self, peer: &str, at: i64, height: u64, fork: u64, origin: &str) {
        let fields = json!({"height": height, "best": hash(height, fork), "origin": origin});
        self.say(peer, at, "block.import", &fields);
    }

    pub(crate) fn finalize(&mut self, peer: &str, at: i64, height: u64, fork: u64) {
        let fields = json!({"height": height.to_string(), "best": hash(height, fork)});
        self.say(peer, at, "notify.finalized", &fields);
    }

    /// Writes them into the log; projections know of them after a rebuild.
    pub(crate) fn tell(&mut self) {
        let statement = self.statement();
        self.app.db.execute(&statement);
    }

    /// Writes them as a batch that was stored just now.
    pub(crate) fn tell_as_batch(&mut self) {
        let (first_id, last_id) = (self.first_id, self.next_id - 1);
        let time = |at| DateTime::from_timestamp_micros(at).unwrap().to_rfc3339();
        let (first_at, last_at) = (time(self.span.0), time(self.span.1));
        let statement = self.statement();
        self.app.db.execute(&format!(
            "BEGIN; {statement}; INSERT INTO ingest_batches (id, last_id, first_at, last_at, server_id) \
             VALUES ({first_id}, {last_id}, '{first_at}', '{last_at}', 'other'); COMMIT"
        ));
    }

    fn statement(&mut self) -> String {
        self.first_id = self.next_id;
        self.span = (i64::MAX, i64::MIN);
        let rows = std::mem::take(&mut self.rows);
        format!(
            "INSERT INTO telemetry_messages (id, created_at, peer_connection_id, kind_id, logs) \
             SELECT v.id, v.at, v.session, k.id, v.logs FROM (VALUES {rows}) AS v (id, at, session, msg, logs) JOIN message_kinds k ON k.msg = v.msg"
        )
    }
}
