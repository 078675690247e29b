//! Aggregation in windows of time. Pure: time is passed in.
//!
//! Windows are aligned to the wall clock and labelled with their start. Values
//! go by the arrival of their message. A window is closed by time, not by the
//! next message: when what arrived in it has had the time to get here.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::telemetry::number;

/// Values that open windows hold together; 8 MiB. What comes on top is left out
/// and counted.
const VALUES_MAX: usize = 1 << 20;

/// What becomes of the values of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateKind {
    /// Arithmetic mean.
    Mean,
    /// The middle, between two values their mean.
    Median,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Nine tenths are not larger; interpolated between neighbours.
    Percentile90,
}

impl AggregateKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Mean,
        Self::Median,
        Self::Min,
        Self::Max,
        Self::Percentile90,
    ];

    /// Name in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Min => "min",
            Self::Max => "max",
            Self::Percentile90 => "percentile90",
        }
    }

    /// Quantiles are those of `percentile_cont` in SQL.
    fn of(self, values: &mut [f64]) -> f64 {
        values.sort_unstable_by(f64::total_cmp);
        match self {
            Self::Mean => values.iter().sum::<f64>() / as_f64(values.len()),
            Self::Median => quantile(values, 5),
            Self::Min => quantile(values, 0),
            Self::Max => quantile(values, 10),
            Self::Percentile90 => quantile(values, 9),
        }
    }
}

/// What is aggregated, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// How.
    pub kind: AggregateKind,
    /// Width of a window.
    pub interval: TimeDelta,
    /// Field of the values.
    pub key: String,
}

impl Aggregate {
    /// The start of the window that holds a moment.
    pub fn window_of(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let width = self.interval.num_microseconds().unwrap_or(1).max(1);
        let start = at.timestamp_micros().div_euclid(width) * width;
        DateTime::from_timestamp_micros(start).unwrap_or(at)
    }
}

/// Memory of a series beside its name and values, bytes.
const SERIES_BYTES: usize = 128;

/// Names of the series of open windows, together; what comes on top is left out too.
const SERIES_BYTES_MAX: usize = 8 << 20;

type Series = (Option<String>, Option<String>);

/// What became of a series in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowRow {
    /// Start of the window.
    pub start: DateTime<Utc>,
    /// Field `target` of its messages.
    pub target: Option<String>,
    /// Field `name` of its messages.
    pub name: Option<String>,
    /// The aggregated value.
    pub value: f64,
    /// Messages.
    pub count: usize,
}

/// The windows of one subscription.
#[derive(Debug)]
pub struct Windows {
    aggregate: Aggregate,
    open: BTreeMap<DateTime<Utc>, BTreeMap<Series, Vec<f64>>>,
    values: usize,
    series_bytes: usize,
    /// Windows before it are over.
    closed_until: DateTime<Utc>,
    /// How long messages may take from their arrival to here.
    grace: TimeDelta,
    left_out: u64,
}

impl Windows {
    /// No windows yet; the first that counts is the one that holds `from`. Each
    /// is closed `grace` after its end.
    pub fn new(aggregate: Aggregate, from: DateTime<Utc>, grace: TimeDelta) -> Self {
        Self {
            closed_until: aggregate.window_of(from),
            aggregate,
            open: BTreeMap::new(),
            values: 0,
            series_bytes: 0,
            grace,
            left_out: 0,
        }
    }

    /// How it aggregates.
    pub fn aggregate(&self) -> &Aggregate {
        &self.aggregate
    }

    /// Adds the value of a message, if it has one.
    pub fn add(&mut self, created_at: DateTime<Utc>, fields: &Map<String, Value>) {
        let Some(value) = fields.get(&self.aggregate.key).and_then(number) else {
            return;
        };
        let window = self.aggregate.window_of(created_at);
        if window < self.closed_until || self.values >= VALUES_MAX {
            self.left_out += 1;
            return;
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let series = (text("target"), text("name"));
        let bytes = series_bytes(&series);
        let open = self.open.get(&window);
        let is_known = open.is_some_and(|open| open.contains_key(&series));
        if !is_known && self.series_bytes + bytes > SERIES_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.series_bytes += if is_known { 0 } else { bytes };
        let window = self.open.entry(window).or_default();
        window.entry(series).or_default().push(value);
        self.values += 1;
    }

    /// The windows that are over, oldest first, each series by itself.
    pub fn close(&mut self, now: DateTime<Utc>) -> Vec<WindowRow> {
        let over = self.aggregate.window_of(now - self.grace);
        if over <= self.closed_until {
            return Vec::new();
        }
        self.closed_until = over;
        let open = self.open.split_off(&over);
        let closed = std::mem::replace(&mut self.open, open);
        let mut rows = Vec::new();
        for (start, series) in closed {
            for (series, mut values) in series {
                self.values -= values.len();
                self.series_bytes -= series_bytes(&series);
                let (target, name) = series;
                rows.push(WindowRow {
                    start,
                    target,
                    name,
                    value: self.aggregate.kind.of(&mut values),
                    count: values.len(),
                });
            }
        }
        rows
    }

    /// Values that came too late or were too many, since the last time.
    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

fn series_bytes((target, name): &Series) -> usize {
    let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    SERIES_BYTES + bytes(target) + bytes(name)
}

/// The value below which so many tenths lie, on a straight line between neighbours.
fn quantile(sorted: &[f64], tenths: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let (index, rest) = (last * tenths / 10, last * tenths % 10);
    let value = |index: usize| sorted.get(index).copied().unwrap_or_default();
    let (low, high) = (value(index), value((index + 1).min(last)));
    low + (high - low) * as_f64(rest) / 10.0
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: f64) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        let seconds = std::time::Duration::from_secs_f64(seconds);
        start + TimeDelta::from_std(seconds).unwrap()
    }

    fn windows(kind: AggregateKind, interval: i64) -> Windows {
        let aggregate = Aggregate {
            kind,
            interval: TimeDelta::seconds(interval),
            key: "time".to_owned(),
        };
        Windows::new(aggregate, at(0.0), TimeDelta::seconds(1))
    }

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn span(time: f64) -> Map<String, Value> {
        fields(json!({"time": time, "name": "n", "target": "t"}))
    }

    #[test]
    fn each_kind_is_what_sql_says() {
        // SELECT avg(v), percentile_cont(0.5) WITHIN GROUP (ORDER BY v), min(v), max(v),
        //   percentile_cont(0.9) WITHIN GROUP (ORDER BY v) FROM unnest('{4,1,3,2,10}'::float8[]) v
        for (kind, expected) in [
            (AggregateKind::Mean, 4.0),
            (AggregateKind::Median, 3.0),
            (AggregateKind::Min, 1.0),
            (AggregateKind::Max, 10.0),
            (AggregateKind::Percentile90, 7.6),
        ] {
            let mut windows = windows(kind, 10);
            for (place, value) in [4.0, 1.0, 3.0, 2.0, 10.0].into_iter().enumerate() {
                windows.add(at(as_f64(place)), &span(value));
            }
            let closed = windows.close(at(11.5));
            let got = closed[0].value;
            assert!((got - expected).abs() < 1e-9, "{kind:?}: {got}");
            assert_eq!(closed[0].count, 5);
        }
    }

    #[test]
    fn windows_are_aligned_and_end_by_time() {
        let mut windows = windows(AggregateKind::Mean, 10);
        windows.add(at(9.999), &span(1.0));
        windows.add(at(10.0), &span(2.0));
        assert_eq!(windows.close(at(10.9)), []);
        let closed = windows.close(at(11.0));
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].start, at(0.0));
        assert_eq!(windows.close(at(12.0)), []);
        assert_eq!(windows.close(at(21.0))[0].start, at(10.0));
        windows.add(at(20.9), &span(2.0));
        assert_eq!(windows.take_left_out(), 0);
        windows.add(at(19.0), &span(2.0));
        assert_eq!((windows.take_left_out(), windows.take_left_out()), (1, 0));
    }

    #[test]
    fn series_are_kept_apart_and_other_messages_have_no_value() {
        let mut windows = windows(AggregateKind::Min, 1);
        for value in [
            json!({"time": 3, "name": "a", "target": "x"}),
            json!({"time": "2", "name": "a", "target": "x"}),
            json!({"time": 5, "name": "b", "target": "x"}),
            json!({"time": 9}),
            json!({"name": "a"}),
            json!({"time": []}),
            json!({"time": "NaN"}),
        ] {
            windows.add(at(0.0), &fields(value));
        }
        let closed = windows.close(at(5.0));
        let got: Vec<_> = closed
            .iter()
            .map(|row| (row.target.as_deref(), row.name.as_deref(), row.value))
            .collect();
        assert_eq!(
            got,
            [
                (None, None, 9.0),
                (Some("x"), Some("a"), 2.0),
                (Some("x"), Some("b"), 5.0)
            ]
        );
    }

    #[test]
    fn names_of_series_are_bounded_in_bytes() {
        let mut windows = windows(AggregateKind::Max, 86_400);
        let name = "x".repeat(100_000);
        for number in 0..200 {
            let span = fields(json!({"time": number, "name": format!("{number}{name}")}));
            windows.add(at(1.0), &span);
            // What is known goes on.
            windows.add(
                at(2.0),
                &fields(json!({"time": number, "name": format!("0{name}")})),
            );
        }
        let room = SERIES_BYTES_MAX / (name.len() + SERIES_BYTES);
        let left_out = windows.take_left_out();
        assert!(left_out >= 200 - u64::try_from(room).unwrap(), "{left_out}");
        let closed = windows.close(at(200_000.0));
        let bytes: usize = closed
            .iter()
            .flat_map(|row| &row.name)
            .map(String::len)
            .sum();
        assert!(bytes <= SERIES_BYTES_MAX && closed.len() + 2 >= room);
        assert_eq!(closed[0].count, 201);
        assert_eq!((windows.series_bytes, windows.values), (0, 0));
    }
}
