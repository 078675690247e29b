//! Events for Honeycomb: its batch API, a dataset for each service.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use chrono::SecondsFormat;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Transport;
use super::fate::{Answered, Fate, Sent, in_halves};
use super::request::{GZIP, JSON, OWN_LOG, gzip, with_path};
use crate::config::{SecretText, TargetUrl};
use crate::notify::client::{Answer, Client, Method, Request};
use crate::notify::receiver::accepted;
use crate::store::event_transports::Event;

/// Datasets of one server: names of services are what clients say.
const DATASETS_MAX: usize = 100;

/// Longest name of one, characters.
const DATASET_CHARS_MAX: usize = 100;

/// Longest answer that is read: a hundred bytes for each event of the largest batch.
const ANSWER_MAX: u64 = 1_048_576;

/// Too many requests.
const THROTTLED: u16 = 429;

/// Honeycomb.
#[derive(Debug)]
pub(super) struct Honeycomb {
    url: TargetUrl,
    key: SecretText,
    dataset: Option<String>,
    datasets: Mutex<BTreeSet<String>>,
}

/// An event of its batch API.
#[derive(Serialize)]
struct Item {
    time: String,
    samplerate: u64,
    data: Map<String, Value>,
}

/// What became of an event.
#[derive(Deserialize)]
struct Status {
    status: u16,
    #[serde(default)]
    error: String,
}

impl Honeycomb {
    pub(super) fn new(url: &TargetUrl, key: &SecretText, dataset: Option<&str>) -> Self {
        Self {
            url: url.clone(),
            key: key.clone(),
            dataset: dataset.map(str::to_owned),
            datasets: Mutex::default(),
        }
    }

    /// The dataset of an event.
    fn dataset(&self, data: &Map<String, Value>) -> String {
        if let Some(dataset) = &self.dataset {
            return dataset.clone();
        }
        let service = data.get("service_id").and_then(Value::as_str);
        let service = service.map(|service| {
            // A slash has no place in a dataset, not even escaped.
            let name = service.trim().replace('/', "-").to_lowercase();
            name.chars().take(DATASET_CHARS_MAX).collect::<String>()
        });
        let Some(service) = service.filter(|service| !service.is_empty()) else {
            return OWN_LOG.to_owned();
        };
        let mut known = self.datasets.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < DATASETS_MAX {
            known.insert(service.clone());
        }
        match known.contains(&service) {
            true => service,
            false => OWN_LOG.to_owned(),
        }
    }

    fn post(&self, client: &Client, dataset: &str, items: &[&Item]) -> Result<Answer, String> {
        let body = serde_json::to_vec(items).map_err(|error| error.to_string())?;
        let dataset = utf8_percent_encode(dataset, NON_ALPHANUMERIC);
        client.send(Request {
            method: Method::Post,
            url: &with_path(&self.url, &format!("/1/batch/{dataset}")),
            headers: &[JSON, GZIP, ("x-honeycomb-team", self.key.text())],
            body: &gzip(&body)?,
            answer_max: ANSWER_MAX,
        })
    }
}

impl Transport for Honeycomb {
    fn send(&self, client: &Client, events: &[Event]) -> Sent {
        let mut by_dataset: Vec<(String, Vec<(usize, Item)>)> = Vec::new();
        for (place, event) in events.iter().enumerate() {
            let item = item(event);
            let dataset = self.dataset(&item.data);
            match by_dataset.iter_mut().find(|(known, _)| *known == dataset) {
                Some((_, items)) => items.push((place, item)),
                None => by_dataset.push((dataset, vec![(place, item)])),
            }
        }
        let mut fates = vec![Fate::Delivered; events.len()];
        let mut stopped = None;
        for (dataset, items) in by_dataset {
            let of = in_halves(items.len(), |part| {
                if let Some(fate) = &stopped {
                    return Answered::Stopped(Fate::clone(fate));
                }
                let part = items.get(part).unwrap_or_default();
                let part: Vec<&Item> = part.iter().map(|(_, item)| item).collect();
                let answered = match self.post(client, &dataset, &part) {
                    Ok(answer) if accepted(&answer) => statuses(&answer.body, part.len()),
                    answer => Answered::of(answer),
                };
                if let Answered::Stopped(fate) = &answered {
                    stopped = Some(fate.clone());
                }
                answered
            });
            for ((place, _), fate) in items.iter().zip(of.fates) {
                if let Some(of_event) = fates.get_mut(*place) {
                    *of_event = fate;
                }
            }
        }
        Sent {
            fates,
            unnamed: None,
        }
    }
}

/// What a success means: there is a status for each event; none at all is a success of all.
fn statuses(body: &[u8], count: usize) -> Answered {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Answered::Taken;
    }
    let statuses: Vec<Status> = match serde_json::from_slice(body) {
        Ok(statuses) => statuses,
        Err(error) => {
            return Answered::Stopped(Fate::Failed {
                error: format!("its answer is no list of statuses: {error}"),
                retry_after: None,
            });
        }
    };
    if statuses.len() != count {
        let error = format!("it answered {} statuses for {count} events", statuses.len());
        return Answered::Stopped(Fate::Failed {
            error,
            retry_after: None,
        });
    }
    let fates = statuses.into_iter().map(|one| {
        let error = format!("it answered {}: {}", one.status, one.error);
        match one.status {
            200..=299 => Fate::Delivered,
            THROTTLED | 500.. => Fate::Failed {
                error,
                retry_after: None,
            },
            _ => Fate::Refused(error),
        }
    });
    Answered::Each(fates.collect())
}

fn item(event: &Event) -> Item {
    let mut data: Map<String, Value> = serde_json::from_str(event.data.get()).unwrap_or_default();
    let rate = ["samplerate", "sample_rate"]
        .iter()
        .find_map(|name| data.get(*name)?.as_u64())
        .filter(|rate| *rate > 0);
    data.remove("_e");
    let received_at = event
        .received_at
        .to_rfc3339_opts(SecondsFormat::Micros, true);
    let own = [
        ("event_id", Some(event.event_id.as_str())),
        ("source", Some(event.source.as_str())),
        ("peer_id", event.peer_id.as_deref()),
        ("genesis_hash", event.genesis_hash.as_deref()),
        ("chain", event.chain.as_deref()),
        ("name", event.name.as_deref()),
        ("severity", Some(event.severity.as_str())),
        ("received_at", Some(received_at.as_str())),
    ];
    for (name, value) in own {
        if let Some(value) = value {
            data.insert(name.to_owned(), Value::String(value.to_owned()));
        }
    }
    Item {
        time: event.time.to_rfc3339_opts(SecondsFormat::Nanos, true),
        samplerate: rate.unwrap_or(1),
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn honeycomb(dataset: Option<&str>) -> Honeycomb {
        let url = "https://api.honeycomb.io".parse().unwrap();
        Honeycomb::new(&url, &"key".parse().unwrap(), dataset)
    }

    #[test]
    fn datasets_are_services_and_bounded() {
        let data = |service: &str| {
            let data = serde_json::json!({"service_id": service});
            data.as_object().unwrap().clone()
        };
        let services = honeycomb(None);
        assert_eq!(services.dataset(&data("Bridge/a")), "bridge-a");
        assert_eq!(services.dataset(&data(" ")), OWN_LOG);
        assert_eq!(services.dataset(&Map::new()), OWN_LOG);
        for number in 0..2 * DATASETS_MAX {
            services.dataset(&data(&number.to_string()));
        }
        assert_eq!(services.dataset(&data("invented")), OWN_LOG);
        assert_eq!(services.dataset(&data("bridge/A")), "bridge-a");
        assert_eq!(honeycomb(Some("one")).dataset(&data("a")), "one");
    }

    #[test]
    fn each_event_has_its_status() {
        let body = br#"[{"status":202},{"status":400,"error":"too many columns"},{"status":429,"error":"slowly"}]"#;
        let Answered::Each(fates) = statuses(body, 3) else {
            panic!("there are statuses");
        };
        assert_eq!(fates[0], Fate::Delivered);
        assert_eq!(
            fates[1],
            Fate::Refused("it answered 400: too many columns".to_owned())
        );
        assert!(matches!(fates[2], Fate::Failed { .. }));
        assert_eq!(statuses(b"", 3), Answered::Taken);
        assert!(matches!(statuses(b"[]", 3), Answered::Stopped(_)));
        assert!(matches!(statuses(b"<html>", 3), Answered::Stopped(_)));
    }
}
