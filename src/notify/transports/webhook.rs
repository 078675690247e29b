//! Batches of events as Standard Webhooks.

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Transport;
use super::fate::{Answered, Fate, Sent, in_halves};
use crate::config::{TargetUrl, WebhookKey};
use crate::notify::client::Client;
use crate::notify::webhook::{GONE, Webhook};
use crate::store::event_transports::Event;

/// A webhook for events.
#[derive(Debug)]
pub(super) struct EventWebhook(Webhook);

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    events: &'a [Event],
}

impl EventWebhook {
    pub(super) fn new(url: &TargetUrl, keys: &[WebhookKey]) -> Self {
        Self(Webhook {
            url: url.clone(),
            keys: keys.to_vec(),
        })
    }
}

impl Transport for EventWebhook {
    fn send(&self, client: &Client, events: &[Event]) -> Sent {
        in_halves(events.len(), |part| {
            let events = events.get(part).unwrap_or_default();
            let body = Body {
                r#type: "events",
                timestamp: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
                data: Data { events },
            };
            let body = serde_json::to_vec(&body).map_err(|error| error.to_string());
            let answer = body.and_then(|body| self.0.post(client, &message_id(events), &body));
            match answer {
                Ok(answer) if answer.status == GONE => {
                    Answered::Stopped(Fate::Gone(answer.reason()))
                }
                answer => Answered::of(answer),
            }
        })
    }
}

/// The identity of a batch: that of its events.
fn message_id(events: &[Event]) -> String {
    let mut digest = Sha256::new();
    for event in events {
        digest.update(event.event_id.as_bytes());
        digest.update(b"\n");
    }
    let digest = digest.finalize();
    let hex = digest.iter().take(16).map(|byte| format!("{byte:02x}"));
    format!("evt_{}", hex.collect::<String>())
}
