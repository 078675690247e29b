//! Log lines that shippers push: Loki's push API and OTLP. Each becomes a message of kind `log`, with
//! the labels of its stream; one that names a node (`peer_id`) stands beside its telemetry.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::put_text;
use crate::ids::SessionId;
use crate::ingest::PostedMessage;

/// Kind of the messages.
const KIND: &str = "log";

/// Longest line that is kept, bytes; what is behind it is left out.
const LINE_BYTES_MAX: usize = 256 * 1_024;

/// Labels of a line, and characters of each.
const LABELS_MAX: usize = 64;
const LABEL_CHARS_MAX: usize = 1_024;

/// Label with the node that a line is of.
const PEER_ID: &str = "peer_id";

/// Labels with the severity, and with the part of the program.
const LEVELS: [&str; 3] = ["level", "severity", "detected_level"];
const TARGETS: [&str; 3] = ["target", "job", "service_name"];

/// A name and a value.
pub(super) type Label = (String, String);

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogLine {
    /// When it was written.
    pub(super) time: Option<DateTime<Utc>>,
    /// What is known of it.
    pub(super) labels: Vec<Label>,
    /// The line itself; it may have several.
    pub(super) text: String,
}

impl LogLine {
    /// As a message of this source.
    pub(super) fn into_message(self, source: &str) -> PostedMessage {
        let of = |names: &[&str]| {
            let mut found = names.iter().filter_map(|name| {
                let label = self.labels.iter().find(|(label, _)| label == name);
                label.map(|(_, value)| value.as_str())
            });
            found.find(|value| !value.is_empty())
        };
        let peer_id = of(&[PEER_ID]);
        let mut fields = Vec::with_capacity(self.text.len() + 256);
        put_text(&mut fields, "source", source);
        if let Some(peer_id) = peer_id {
            put_text(&mut fields, PEER_ID, peer_id);
        }
        if let Some(level) = of(&LEVELS) {
            put_text(&mut fields, "level", level);
        }
        let mut labels = Vec::new();
        let mut seen = HashSet::new();
        let first = self
            .labels
            .iter()
            .filter(|(name, _)| seen.insert(name.as_str()));
        for (name, value) in first.take(LABELS_MAX) {
            let short = |text: &str| text.chars().take(LABEL_CHARS_MAX).collect::<String>();
            put_text(&mut labels, &short(name), &short(value));
        }
        fields.extend_from_slice(b",\"labels\":{");
        fields.extend_from_slice(&labels);
        fields.push(b'}');
        put_text(&mut fields, "line", cut(&self.text));
        PostedMessage {
            kind: KIND,
            session: SessionId::of_posts(peer_id.unwrap_or(source)),
            time: self.time,
            target: of(&TARGETS).map(|target| target.replace('\0', "\u{fffd}")),
            fields,
        }
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LINE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// Nanoseconds since 1970 as a time; none of 0.
pub(super) fn time_of_nanos(nanos: i64) -> Option<DateTime<Utc>> {
    (nanos > 0).then(|| DateTime::from_timestamp_nanos(nanos))
}
