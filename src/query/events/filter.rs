//! Which events.

use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, Nullable, Text};

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
            peer_id: params::text("peer_id", asked.peer_id.as_deref())?,
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
            && self.fields.is_empty() | self.has_values(event.data.0.get())
            && self.text.as_ref().is_none_or(contains)
    }

    fn has_values(&self, data: &str) -> bool {
        let Ok(data) = serde_json::from_str::<serde_json::Value>(data) else {
            return false;
        };
        self.fields.iter().zip(&self.values).all(|(field, value)| {
            let found = field.split('.').try_fold(&data, |data, name| match data {
                serde_json::Value::Array(list) => list.get(name.parse::<usize>().ok()?),
                other => other.get(name),
            });
            match found {
                Some(serde_json::Value::String(text)) => text == value,
                Some(serde_json::Value::Null) | None => false,
                Some(other) => other.to_string() == *value,
            }
        })
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
        match field.trim() {
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
        for bad in ["a", "=1", "a=1,,b=2", &"a=1,".repeat(20)] {
            assert!(conditions_of(bad).is_err(), "{bad}");
        }
    }
}
