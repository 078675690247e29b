//! Webhooks as Standard Webhooks 1.0.0 has them: three headers, and a signature by each key over
//! the bytes that are sent.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::client::{Answer, Client};
use super::receiver::{self, Receiver, Verdict, accepted};
use super::retry;
use crate::config::{TargetUrl, WebhookKey};
use crate::store::outbox::Delivery;

/// The receiver is gone, and wants nothing more.
pub(super) const GONE: u16 = 410;

/// A webhook.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) url: TargetUrl,
    pub(super) keys: Vec<WebhookKey>,
}

impl Receiver for Webhook {
    fn batch_max(&self) -> i64 {
        32
    }

    fn send(&self, client: &Client, deliveries: &[Delivery]) -> Vec<Verdict> {
        receiver::each(deliveries, |delivery| self.attempt(client, delivery))
    }
}

impl Webhook {
    fn attempt(&self, client: &Client, delivery: &Delivery) -> Verdict {
        let answer = self.post(client, &delivery.message_id, delivery.payload.as_bytes());
        let (error, retry_after) = match answer {
            Ok(answer) if accepted(&answer) => return Verdict::Delivered,
            Ok(answer) if answer.status == GONE => return Verdict::Gone(answer.reason()),
            Ok(answer) => (answer.reason(), answer.retry_after),
            Err(error) => (error, None),
        };
        match retry::scheduled(delivery.attempts, retry::random()) {
            Some(wait) => Verdict::Retry {
                wait: retry::asked(wait, retry_after),
                error,
            },
            None => Verdict::Dead(error),
        }
    }

    /// Posts a message with its identity, signed.
    pub(super) fn post(&self, client: &Client, id: &str, body: &[u8]) -> Result<Answer, String> {
        let timestamp = Utc::now().timestamp().to_string();
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", timestamp.as_str()),
            ("webhook-signature", &self.signatures(id, &timestamp, body)),
        ];
        client.post(self.url.url().as_str(), &headers, body)
    }

    /// One by each key, with spaces between.
    fn signatures(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let sign = |key: &WebhookKey| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).ok()?;
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            Some(format!(
                "v1,{}",
                BASE64_STANDARD.encode(mac.finalize().into_bytes())
            ))
        };
        self.keys
            .iter()
            .filter_map(sign)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let webhook = Webhook {
            url: "https://example.com".parse().unwrap(),
            keys: vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap()],
        };
        let signature = webhook.signatures(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
