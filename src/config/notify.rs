//! Settings of what goes outwards: where alerts are delivered, and the heartbeat of this server.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::Url;

use super::alerts::{RuleOverrides, Severity};
use super::authorities::Authorities;
use super::reader::Reader;

/// Targets of one kind; more are a job for Alertmanager.
const TARGETS_MAX: usize = 8;

/// Lengths of the key of a webhook in bytes, as Standard Webhooks 1.0.0 has them.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Settings of what goes outwards.
#[derive(Debug, Clone, Default)]
pub struct NotifyConfig {
    /// `NOTIFY_WEBHOOK_URL`.
    pub webhooks: Vec<TargetUrl>,
    /// `NOTIFY_WEBHOOK_SECRET`: the first signs for the newest key, the others while it rotates.
    pub webhook_keys: Vec<WebhookKey>,
    /// `NOTIFY_ALERTMANAGER_URL`.
    pub alertmanagers: Vec<TargetUrl>,
    /// `NOTIFY_SEVERITY_MIN`.
    pub severity_min: Severity,
    /// `NOTIFY_TIMEOUT_S`.
    pub timeout: Duration,
    /// `NOTIFY_ALLOW_PRIVATE`.
    pub allow_private: bool,
    /// `NOTIFY_CA_FILE`.
    pub authorities: Authorities,
    /// `DEADMAN_URL`.
    pub deadman: Option<TargetUrl>,
    /// `DEADMAN_INTERVAL_S`.
    pub deadman_interval: Duration,
    /// `ALERT_RULES_PATH`.
    pub rules: RuleOverrides,
}

/// A key that signs webhooks; never shown.
#[derive(Clone)]
pub struct WebhookKey(Vec<u8>);

impl WebhookKey {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}

impl FromStr for WebhookKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let key = text.strip_prefix("whsec_").unwrap_or(text);
        let key = BASE64_STANDARD.decode(key).ok();
        let key = key.filter(|key| KEY_BYTES.contains(&key.len()));
        key.map(Self).ok_or_else(|| {
            "one is no key: whsec_ and 24 to 64 bytes in base64, for instance from: echo whsec_$(openssl rand -base64 32)"
                .to_owned()
        })
    }
}

/// An address that the operator gave. Its path may carry a secret, so only its host is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetUrl(Url);

impl TargetUrl {
    /// The address.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Its host, for people.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.host())
    }
}

impl FromStr for TargetUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What is wrong is said without the address, which may carry a secret.
        let url = Url::parse(text).map_err(|error| format!("an address is wrong: {error}"))?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(Self(url)),
            _ => Err("an address must begin with http:// or https://".to_owned()),
        }
    }
}

impl NotifyConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let config = Self {
            webhooks: targets(reader, "NOTIFY_WEBHOOK_URL"),
            webhook_keys: reader.list("NOTIFY_WEBHOOK_SECRET"),
            alertmanagers: targets(reader, "NOTIFY_ALERTMANAGER_URL"),
            severity_min: reader.parsed("NOTIFY_SEVERITY_MIN", Severity::Warning),
            timeout: reader.seconds("NOTIFY_TIMEOUT_S"),
            allow_private: reader.parsed("NOTIFY_ALLOW_PRIVATE", false),
            authorities: Authorities::read(reader),
            deadman: targets(reader, "DEADMAN_URL").into_iter().next(),
            deadman_interval: reader.seconds("DEADMAN_INTERVAL_S"),
            rules: RuleOverrides::read(reader),
        };
        if !config.webhooks.is_empty() && config.webhook_keys.is_empty() {
            reader.fault(
                "NOTIFY_WEBHOOK_SECRET",
                "is needed by NOTIFY_WEBHOOK_URL: a receiver cannot tell a message without a signature from a forged one"
                    .to_owned(),
            );
        }
        config
    }

    /// Whether alerts go anywhere.
    pub fn has_targets(&self) -> bool {
        !self.webhooks.is_empty() || !self.alertmanagers.is_empty()
    }
}

fn targets(reader: &mut Reader<'_>, name: &'static str) -> Vec<TargetUrl> {
    let mut targets: Vec<TargetUrl> = reader.list(name);
    if targets.len() > TARGETS_MAX {
        reader.fault(name, format!("has more than {TARGETS_MAX} addresses"));
        targets.truncate(TARGETS_MAX);
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn error(settings: &[(&str, &str)]) -> String {
        let lookup = |name: &str| {
            let found = settings.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::from_lookup(&lookup)
            .map(|_| String::new())
            .unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn half_a_webhook_is_a_fault_that_names_the_other_half() {
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let url = (
            "NOTIFY_WEBHOOK_URL",
            "https://a.example/hook, http://b.example",
        );
        assert!(error(&[url]).contains("NOTIFY_WEBHOOK_SECRET: is needed"));
        assert_eq!(error(&[url, ("NOTIFY_WEBHOOK_SECRET", key)]), "");
        let short = error(&[url, ("NOTIFY_WEBHOOK_SECRET", "whsec_c2hvcnQ=")]);
        assert!(
            short.contains("24 to 64 bytes") && !short.contains("c2hvcnQ"),
            "{short}"
        );
    }

    #[test]
    fn a_file_of_authorities_has_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let path = path.to_str().unwrap();
        let read = |text: &str| {
            std::fs::write(path, text).unwrap();
            error(&[("NOTIFY_CA_FILE", path)])
        };
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        assert_eq!(read(&own.cert.pem()), "");
        assert!(read("").contains("has no certificate"));
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(read(wrong).contains("certificate 1 is wrong"));
        assert!(error(&[("NOTIFY_CA_FILE", "/nowhere")]).contains("/nowhere: cannot be read"));
    }

    #[test]
    fn addresses_are_those_of_http() {
        for address in ["ftp://a", "a.example", "file:///etc/passwd"] {
            let error = error(&[("NOTIFY_ALERTMANAGER_URL", address)]);
            assert!(
                error.contains("NOTIFY_ALERTMANAGER_URL: "),
                "{address}: {error}"
            );
            assert!(!error.contains("passwd"));
        }
    }
}
