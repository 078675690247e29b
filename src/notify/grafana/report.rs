//! What was done in a Grafana, or would be, for people.

use serde_json::Value;

use super::Mode;

/// Differences of one thing that are shown.
const DIFFERENCES_MAX: usize = 20;

/// Characters of a value that are shown.
const VALUE_MAX: usize = 60;

/// Lines for people.
pub(super) struct Report<'a> {
    mode: Mode,
    show: &'a mut dyn FnMut(&str),
    changes: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(mode: Mode, show: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            mode,
            show,
            changes: 0,
        }
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.mode == Mode::DryRun
    }

    pub(super) fn made(&mut self, what: &str) {
        self.changes += 1;
        (self.show)(&format!("+ {what}"));
    }

    pub(super) fn changed(&mut self, what: &str, differences: &[String]) {
        self.changes += 1;
        (self.show)(&format!("~ {what}"));
        for difference in differences.iter().take(DIFFERENCES_MAX) {
            (self.show)(&format!("    {difference}"));
        }
        let more = differences.len().saturating_sub(DIFFERENCES_MAX);
        if more > 0 {
            (self.show)(&format!("    and {more} more"));
        }
    }

    pub(super) fn unchanged(&mut self, what: &str) {
        (self.show)(&format!("= {what}"));
    }

    pub(super) fn warn(&mut self, text: &str) {
        (self.show)(&format!("! {text}"));
    }

    pub(super) fn address(&mut self, url: &str) {
        (self.show)(url);
    }

    pub(super) fn end(&mut self) {
        let (changes, done) = match self.mode {
            Mode::Upload => (self.changes, "made or changed"),
            Mode::DryRun => (self.changes, "would be made or changed"),
        };
        (self.show)(&format!("{changes} {done}"));
    }
}

/// Where `found` is not what is wanted; what is only in `found` is Grafana's own.
pub(super) fn differences(wanted: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare("", wanted, found, &mut differences);
    differences
}

fn compare(place: &str, wanted: &Value, found: &Value, differences: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (name, value) in wanted {
                let beside = found.get(name).unwrap_or(&Value::Null);
                compare(&format!("{place}/{name}"), value, beside, differences);
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (number, (value, beside)) in wanted.iter().zip(found).enumerate() {
                compare(&format!("{place}/{number}"), value, beside, differences);
            }
        }
        (wanted, found) if wanted == found || (is_nothing(wanted) && is_nothing(found)) => {}
        (wanted, found) => {
            differences.push(format!("{place}: {} -> {}", shown(found), shown(wanted)));
        }
    }
}

/// Grafana leaves out what is empty.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_grafana_adds_or_leaves_out_is_no_difference() {
        let wanted =
            json!({"title": "a", "hide": false, "tags": [], "panels": [{"id": 1, "w": 3}]});
        let found =
            json!({"id": 7, "title": "a", "panels": [{"id": 1, "w": 3, "pluginVersion": "x"}]});
        assert_eq!(differences(&wanted, &found), Vec::<String>::new());
        let found = json!({"title": "b", "panels": [{"id": 1}, {"id": 2}]});
        assert_eq!(
            differences(&wanted, &found),
            [
                "/panels: [{\"id\":1},{\"id\":2}] -> [{\"id\":1,\"w\":3}]",
                "/title: \"b\" -> \"a\""
            ]
        );
    }
}
