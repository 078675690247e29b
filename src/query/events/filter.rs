//! Which events.

use std::borrow::Cow;
use std::collections::BTreeMap;

use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, Nullable, Text};
use serde_json::value::RawValue;

use crate::query::{QueryError, params};
use crate::telemetry::events::Severity;

/// Conditions on fields.
const CONDITIONS_MAX: usize = 16;

/// What is asked for, not checked yet.
#[derive(Debug, Default, Clone)]
pub struct FilterParams {
    /// `source`.
    pub source: Option<String>,
    /// `peer_id`.
    pub peer_id: Option<String>,
    /// `name`.
    pub name: Option<String>,
    /// `severity`.
    pub severity: Option<String>,
    /// `where`.
    pub r#where: Option<String>,
    /// `text`.
    pub text: Option<String>,
}

/// A filter that needs no check again.
#[derive(Debug, Clone)]
pub struct EventFilter {
    source: Option<String>,
    peer_id: Option<String>,
    name: Option<String>,
    severities: Vec<&'static str>,
    fields: Vec<String>,
    values: Vec<String>,
    text: Option<String>,
}

impl EventFilter {
    /// Checks what is asked for.
    ///
    /// # Errors
    /// If a parameter is wrong; it is named.
    pub fn new(asked: FilterParams) -> Result<Self, QueryError> {
        let least = match asked.severity.as_deref() {
            None => Severity::Trace,
            Some(name) => Severity::ALL
                .into_iter()
                .find(|severity| severity.label() == name)
                .ok_or_else(|| {
                    let names = Severity::ALL.map(Severity::label).join(", ");
                    QueryError::invalid("severity", format!("must be one of {names}"))
                })?,
        };
        let conditions = params::text("where", asked.r#where.as_deref())?;
        let (fields, values) = conditions_of(conditions.as_deref().unwrap_or_default())?;
        let text = params::text("text", asked.text.as_deref())?;
        Ok(Self {
            source: params::text("source", asked.source.as_deref())?,
            peer_id: params::peer_id_if_any(asked.peer_id.as_deref())?,
            name: params::text("name", asked.name.as_deref())?,
            severities: Severity::ALL
                .into_iter()
                .filter(|severity| *severity >= least)
                .map(Severity::label)
                .collect(),
            fields,
            values,
            text: text.filter(|text| !text.is_empty()),
        })
    }

    /// A statement with this filter as $1 to $7, on columns of `events`; see `list.sql`.
    pub(super) fn bind(&self, sql: &str) -> BoxedSqlQuery<'_, Pg, SqlQuery> {
        diesel::sql_query(sql.replace("{filter}", include_str!("filter.sql").trim_end()))
            .into_boxed()
            .bind::<Nullable<Text>, _>(self.source.as_deref())
            .bind::<Nullable<Text>, _>(self.peer_id.as_deref())
            .bind::<Nullable<Text>, _>(self.name.as_deref())
            .bind::<Array<Text>, _>(&self.severities)
            .bind::<Array<Text>, _>(&self.fields)
            .bind::<Array<Text>, _>(&self.values)
            .bind::<Nullable<Text>, _>(self.text.as_deref())
    }

    /// Whether an event fits, as the statement says; for those that come live.
    pub fn admits(&self, event: &super::Event) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let contains = |text: &String| {
            let data = event.data.0.get().to_lowercase();
            data.contains(&text.to_lowercase())
        };
        is(&self.source, Some(&event.source))
            && is(&self.peer_id, event.peer_id.as_deref())
            && is(&self.name, event.name.as_deref())
            && self.severities.contains(&event.severity.as_str())
            && self.has_values(event.data.0.get())
            && self.text.as_ref().is_none_or(contains)
    }

    fn has_values(&self, data: &str) -> bool {
        let mut wanted = self.fields.iter().zip(&self.values);
        wanted.all(|(field, value)| value_of(data, field).as_ref() == Some(value))
    }
}

/// The value of a field as a text, as `#>>` has it: numbers as they are written.
fn value_of(data: &str, field: &str) -> Option<String> {
    let mut json = data;
    for name in field.split('.') {
        json = match json.as_bytes().first()? {
            b'{' => {
                let object: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).ok()?;
                object.get(name).copied()?.get()
            }
            b'[' => {
                let list: Vec<&RawValue> = serde_json::from_str(json).ok()?;
                list.get(name.parse::<usize>().ok()?).copied()?.get()
            }
            _ => return None,
        };
    }
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'n' => None,
        _ => Some(json.to_owned()),
    }
}

/// Fields and values of `field=value,field=value`.
fn conditions_of(text: &str) -> Result<(Vec<String>, Vec<String>), QueryError> {
    let refuse = || {
        QueryError::invalid(
            "where",
            format!(
                "must be field=value, up to {CONDITIONS_MAX} of them with commas between; a comma in a value is \\,"
            ),
        )
    };
    let mut conditions: Vec<String> = Vec::new();
    let mut is_open = false;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (part, goes_on) = match part.strip_suffix('\\') {
            Some(part) => (format!("{part},"), true),
            None => (part.to_owned(), false),
        };
        match conditions.last_mut().filter(|_| is_open) {
            Some(last) => last.push_str(&part),
            None => conditions.push(part),
        }
        is_open = goes_on;
    }
    if conditions.len() > CONDITIONS_MAX {
        return Err(refuse());
    }
    let pairs = conditions.iter().map(|condition| {
        let (field, value) = condition.split_once('=').ok_or_else(refuse)?;
        match field.trim_start_matches(' ') {
            "" => Err(refuse()),
            field => Ok((field.to_owned(), value.to_owned())),
        }
    });
    Ok(pairs.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_they_are_written() {
        let data = r#"{"a":1.50,"b":{"c":[{"d":"x"},true]},"n":null,"t":"1"}"#;
        for (field, value) in [
            ("a", Some("1.50")),
            ("b.c.0.d", Some("x")),
            ("b.c.1", Some("true")),
            ("t", Some("1")),
            ("n", None),
            ("b.c.2", None),
            ("a.b", None),
        ] {
            assert_eq!(value_of(data, field).as_deref(), value, "{field}");
        }
    }

    #[test]
    fn conditions_stand_between_commas() {
        let of = |text: &str| conditions_of(text).unwrap();
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(of(""), (vec![], vec![]));
        assert_eq!(
            of("a=1, b.c=x=y"),
            (texts(&["a", "b.c"]), texts(&["1", "x=y"]))
        );
        assert_eq!(
            of(r"a=1\,2\,,b="),
            (texts(&["a", "b"]), texts(&["1,2,", ""]))
        );
        for bad in ["a", "=1", " =1", "a=1,,b=2", &"a=1,".repeat(20)] {
            assert!(conditions_of(bad).is_err(), "{bad}");
        }
    }
}
