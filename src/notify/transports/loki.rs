//! Events as lines of Loki: its push API, with labels of a closed set.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use std::collections::BTreeMap;

use super::Transport;
use super::fate::{Answered, Sent, in_halves};
use super::request::{GZIP, JSON, OWN_LOG, gzip, origin, text, with_path};
use crate::config::{SecretText, TargetUrl};
use crate::notify::client::{Answer, Client, Method, Request};
use crate::store::event_transports::Event;

/// A Loki.
#[derive(Debug)]
pub(super) struct Loki {
    url: String,
    authorization: Option<SecretText>,
    tenant: Option<String>,
    labels: Vec<(String, String)>,
}

/// What says who may push.
#[derive(Debug, Clone, Copy)]
pub(super) struct LokiAccess<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) key: Option<&'a SecretText>,
    pub(super) tenant: Option<&'a str>,
}

#[derive(Serialize)]
struct Body<'a> {
    streams: Vec<Stream<'a>>,
}

#[derive(Serialize)]
struct Stream<'a> {
    stream: BTreeMap<&'a str, &'a str>,
    values: Vec<(String, String)>,
}

impl Loki {
    pub(super) fn new(
        url: &TargetUrl,
        access: LokiAccess<'_>,
        labels: &[(String, String)],
    ) -> Self {
        let authorization = access.key.and_then(|key| {
            let header = match access.user {
                Some(user) => {
                    let pair = format!("{user}:{}", key.text());
                    format!("Basic {}", BASE64_STANDARD.encode(pair))
                }
                None => format!("Bearer {}", key.text()),
            };
            // It has no character that was not in the key.
            header.parse().ok()
        });
        Self {
            url: with_path(url, "/loki/api/v1/push"),
            authorization,
            tenant: access.tenant.map(str::to_owned),
            labels: labels.to_vec(),
        }
    }

    fn post(&self, client: &Client, events: &[Event]) -> Result<Answer, String> {
        let body = Body {
            streams: self.streams(events),
        };
        let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
        let body = gzip(&body)?;
        let mut headers = vec![JSON, GZIP];
        let authorization = self.authorization.as_ref();
        headers.extend(authorization.map(|value| ("authorization", value.text())));
        let tenant = self.tenant.as_deref();
        headers.extend(tenant.map(|tenant| ("x-scope-orgid", tenant)));
        client.send(Request {
            method: Method::Post,
            url: &self.url,
            headers: &headers,
            body: &body,
            answer_max: 0,
        })
    }

    /// A stream for each severity and origin.
    fn streams<'a>(&'a self, events: &'a [Event]) -> Vec<Stream<'a>> {
        let mut by_labels = BTreeMap::<_, Vec<_>>::new();
        for event in events {
            let labels = (event.severity.as_str(), origin(event));
            by_labels.entry(labels).or_default().push(value(event));
        }
        let streams = by_labels.into_iter().map(|((severity, origin), values)| {
            let own = [("job", OWN_LOG), ("severity", severity), ("origin", origin)];
            let given = self.labels.iter();
            let given = given.map(|(name, value)| (name.as_str(), value.as_str()));
            Stream {
                stream: given.chain(own).collect(),
                values,
            }
        });
        streams.collect()
    }
}

impl Transport for Loki {
    fn send(&self, client: &Client, events: &[Event]) -> Sent {
        in_halves(events.len(), |part| {
            Answered::of(self.post(client, events.get(part).unwrap_or_default()))
        })
    }
}

/// The time and the line. The time is that of arrival, for Loki refuses what is too old or not
/// yet, and clocks of nodes lie; the line has both.
fn value(event: &Event) -> (String, String) {
    let time = event.received_at.timestamp_nanos_opt().unwrap_or_default();
    let line = match origin(event) {
        "server" => text(event).into_owned(),
        _ => serde_json::to_string(event).unwrap_or_default(),
    };
    (time.to_string(), line)
}
