//! Heartbeats of services that are no nodes.

use serde_json::{Map, Value};

/// Longest name of a service, characters.
const SERVICE_CHARS_MAX: usize = 128;

/// Longest interval and jitter, seconds: a day.
pub const INTERVAL_S_MAX: i64 = 86_400;

/// Interval of a service that announces none, seconds.
pub const INTERVAL_S_DEFAULT: i64 = 60;

/// Largest metrics of a heartbeat, bytes of JSON; larger ones are left out.
pub const METRICS_BYTES_MAX: usize = 16_384;

/// A heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// Name that the service gives itself.
    pub service: String,
    /// Seconds to the next one.
    pub interval_s: i64,
    /// Seconds by which that may be later.
    pub jitter_s: i64,
    /// The service is out of service on purpose.
    pub is_down: bool,
    /// What it reports.
    pub metrics: Map<String, Value>,
}

impl Heartbeat {
    /// `msg` of such messages.
    pub const KIND: &str = "heartbeat";

    /// Jitter of a service that announces none: half of its interval.
    pub fn jitter_default(interval_s: i64) -> i64 {
        (interval_s / 2).max(1)
    }

    /// Reads the fields of a message; none if it is no heartbeat of a service. What it has beside the
    /// known fields are its metrics, unless `metrics` is an object.
    pub fn from_fields(fields: &[u8]) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_slice(fields).ok()?;
        let name = fields.remove("service")?;
        let service = name.as_str().filter(|name| is_name(name))?.to_owned();
        let mut seconds = |field: &str, range: std::ops::RangeInclusive<i64>| {
            let seconds = fields.remove(field)?.as_i64();
            seconds.filter(|seconds| range.contains(seconds))
        };
        let interval_s = seconds("interval_s", 1..=INTERVAL_S_MAX).unwrap_or(INTERVAL_S_DEFAULT);
        let jitter_s = seconds("jitter_s", 0..=INTERVAL_S_MAX);
        let is_down = fields
            .remove("status")
            .is_some_and(|status| status == "down");
        for known in ["msg", "level", "ts", "id"] {
            fields.remove(known);
        }
        let metrics = match fields.remove("metrics") {
            Some(Value::Object(metrics)) => metrics,
            _ => fields,
        };
        let is_small =
            serde_json::to_string(&metrics).is_ok_and(|text| text.len() <= METRICS_BYTES_MAX);
        Some(Self {
            service,
            interval_s,
            jitter_s: jitter_s.unwrap_or(Self::jitter_default(interval_s)),
            is_down,
            metrics: if is_small { metrics } else { Map::new() },
        })
    }
}

/// Whether this can be the name of a service.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= SERVICE_CHARS_MAX && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: Value) -> Option<Heartbeat> {
        Heartbeat::from_fields(fields.to_string().as_bytes())
    }

    #[test]
    fn a_heartbeat_has_an_interval_a_jitter_and_metrics() {
        let full = read(json!({"msg": "heartbeat", "service": "relayer", "interval_s": 30, "jitter_s": 5, "status": "down", "queue": 7})).unwrap();
        assert_eq!(
            (
                full.service.as_str(),
                full.interval_s,
                full.jitter_s,
                full.is_down
            ),
            ("relayer", 30, 5, true)
        );
        assert_eq!(Value::Object(full.metrics), json!({"queue": 7}));
        let plain = read(
            json!({"service": "a", "interval_s": 0, "jitter_s": -1, "metrics": {"x": 1}, "y": 2}),
        )
        .unwrap();
        assert_eq!(
            (plain.interval_s, plain.jitter_s, plain.is_down),
            (60, 30, false)
        );
        assert_eq!(Value::Object(plain.metrics), json!({"x": 1}));
        let large = read(json!({"service": "a", "x": "y".repeat(METRICS_BYTES_MAX)})).unwrap();
        assert!(large.metrics.is_empty());
        for other in [
            json!({"interval_s": 60}),
            json!({"service": ""}),
            json!({"service": 5}),
            json!({"service": "x".repeat(129)}),
        ] {
            assert_eq!(read(other.clone()), None, "{other}");
        }
    }
}
