//! A line of the log, in either form.

use chrono::{DateTime, SecondsFormat, Utc};
use log::Level;
use serde::Serialize;

use crate::config::LogFormat;
use crate::ids::RequestId;

/// Longest line, bytes; a longer message is cut.
pub(super) const LINE_BYTES_MAX: usize = 16_384;

/// What a line says.
#[derive(Debug)]
pub struct LogLine<'a> {
    /// When it was logged.
    pub time: DateTime<Utc>,
    /// How serious it is.
    pub level: Level,
    /// The module that logged it.
    pub target: &'a str,
    /// What happened.
    pub message: &'a str,
    /// The request that it is about.
    pub request_id: Option<RequestId>,
}

/// A line as JSON, with the fields in this order.
#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    level: String,
    target: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl LogLine<'_> {
    /// With the line feed at its end.
    #[must_use]
    pub fn write(&self, format: LogFormat) -> String {
        let mut line = match format {
            LogFormat::Text => self.text(),
            LogFormat::Json => self.json(),
        };
        line.push('\n');
        line
    }

    fn time(&self) -> String {
        self.time.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    fn text(&self) -> String {
        let (time, level, target) = (self.time(), self.level, self.target);
        let id = self.request_id.as_ref();
        let id = id.map(|id| format!(" request_id={}", id.as_str()));
        let message = harmless(self.message);
        format!(
            "{time} {level:<5} {target}{}: {message}",
            id.unwrap_or_default()
        )
    }

    /// A message that makes it too long is cut, so that the line stays an object.
    fn json(&self) -> String {
        let mut message = self.message.trim_end();
        loop {
            let line = JsonLine {
                time: self.time(),
                level: self.level.as_str().to_ascii_lowercase(),
                target: self.target,
                message,
                request_id: self.request_id.as_ref().map(RequestId::as_str),
            };
            let line = serde_json::to_string(&line).unwrap_or_default();
            if line.len() < LINE_BYTES_MAX || message.is_empty() {
                return line;
            }
            let half = message.floor_char_boundary(message.len() / 2);
            message = message.get(..half).unwrap_or_default();
        }
    }
}

/// What a line of the log may show, also if it repeats what a client sent:
/// further lines are indented, so that none looks like a line of the log, and
/// other control characters are spelled out.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' => shown.push_str("\n    "),
            c if c.is_control() => shown.extend(c.escape_debug()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(message: &str, id: Option<&str>) -> [String; 2] {
        let line = LogLine {
            time: DateTime::UNIX_EPOCH,
            level: Level::Warn,
            target: "a::b",
            message,
            request_id: id.map(|id| RequestId::of(Some(id))),
        };
        [LogFormat::Text, LogFormat::Json].map(|format| line.write(format))
    }

    #[test]
    fn a_line_says_the_same_in_both_forms() {
        let [text, json] = line("it \"is\" so\n", Some("x7"));
        assert_eq!(
            text,
            "1970-01-01T00:00:00.000Z WARN  a::b request_id=x7: it \"is\" so\n"
        );
        assert_eq!(
            json,
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\"target\":\"a::b\",\"message\":\"it \\\"is\\\" so\",\
             \"request_id\":\"x7\"}\n"
        );
        let [text, json] = line("so", None);
        assert_eq!(text, "1970-01-01T00:00:00.000Z WARN  a::b: so\n");
        assert!(!json.contains("request_id"));
    }

    #[test]
    fn nobody_writes_lines_of_the_log_but_the_server() {
        let forged = "said: x\r\n2026-11-21T00:00:00Z ERROR forged\u{1b}[2J\0é\n";
        let [text, json] = line(forged, None);
        assert!(
            text.ends_with(
                "a::b: said: x\\r\n    2026-11-21T00:00:00Z ERROR forged\\u{1b}[2J\\0é\n"
            ),
            "{text}"
        );
        assert_eq!(json.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["message"], json!(forged.trim_end()));
    }

    #[test]
    fn a_line_that_is_cut_is_still_an_object() {
        let [_, json] = line(&"\u{1}é".repeat(LINE_BYTES_MAX), None);
        assert!(json.len() <= LINE_BYTES_MAX, "{}", json.len());
        let read: Value = serde_json::from_str(&json).unwrap();
        assert!(read["message"].as_str().unwrap().len() > 1_000);
    }
}
