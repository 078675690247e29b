//! Settings of the transports by which events leave: which there are, where each sends, what it
//! leaves out, and what their batches and backlogs may hold.

mod name;
mod values;

use std::str::FromStr;
use std::time::Duration;

use super::event_filter::EventFilter;
use super::notify::{TargetUrl, WebhookKey};
use super::reader::Reader;
pub(super) use name::first_of_kind;
pub use name::{TransportKind, TransportName};
pub use values::SecretText;
use values::{Headers, Keys, Labels};

/// Which transports there are.
const NAMES: &str = "EVENT_TRANSPORTS";

/// By which transport the log leaves.
const LOG: &str = "LOG_TRANSPORT";

/// Transports in all; each has a thread and a connection to the database.
const TRANSPORTS_MAX: usize = 8;

/// Where a transport sends.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// Standard output.
    Console,
    /// Standard Webhooks.
    Webhook {
        /// Where batches are posted.
        url: TargetUrl,
        /// Keys that sign them.
        keys: Vec<WebhookKey>,
    },
    /// Honeycomb.
    Honeycomb {
        /// Its address, without the path.
        url: TargetUrl,
        /// Key of the team.
        key: SecretText,
        /// The dataset of all events; none for one of each service.
        dataset: Option<String>,
    },
    /// A receiver of OTLP over HTTP.
    Otlp {
        /// Its address, with or without `/v1/logs`.
        url: TargetUrl,
        /// Headers of each request.
        headers: Vec<(String, SecretText)>,
    },
    /// Loki.
    Loki {
        /// Its address, with or without `/loki/api/v1/push`.
        url: TargetUrl,
        /// User for basic authorization; none for a bearer token.
        user: Option<String>,
        /// Password or token; none for no authorization.
        key: Option<SecretText>,
        /// Tenant.
        tenant: Option<String>,
        /// Labels beside those of this program.
        labels: Vec<(String, String)>,
    },
}

impl Endpoint {
    /// Its address; none for standard output.
    pub fn url(&self) -> Option<&TargetUrl> {
        match self {
            Self::Console => None,
            Self::Webhook { url, .. }
            | Self::Honeycomb { url, .. }
            | Self::Otlp { url, .. }
            | Self::Loki { url, .. } => Some(url),
        }
    }
}

/// Whether an event may come twice or not at all when a server dies while it sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Guarantee {
    /// None is lost; some may come twice.
    #[default]
    AtLeastOnce,
    /// None comes twice; some may be lost.
    AtMostOnce,
}

impl Guarantee {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::AtMostOnce => "at_most_once",
        }
    }
}

impl FromStr for Guarantee {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::AtLeastOnce, Self::AtMostOnce];
        let found = all.into_iter().find(|known| known.label() == text);
        found.ok_or_else(|| format!("'{text}' is not at_least_once or at_most_once"))
    }
}

/// One transport.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// Its name.
    pub name: TransportName,
    /// Where it sends.
    pub endpoint: Endpoint,
    /// What it leaves out.
    pub filter: EventFilter,
    /// `EVENT_<TRANSPORT>_DELIVERY`.
    pub guarantee: Guarantee,
}

/// Limits of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// `EVENT_BATCH_EVENTS`.
    pub events: usize,
    /// `EVENT_BATCH_BYTES`.
    pub bytes: usize,
    /// `EVENT_BATCH_AGE_MS`.
    pub age: Duration,
}

/// Settings of all transports.
#[derive(Debug, Clone)]
pub struct TransportsConfig {
    /// `EVENT_TRANSPORTS`, with their settings.
    pub all: Vec<TransportConfig>,
    /// Limits of batches.
    pub batch: BatchLimits,
    /// `EVENT_BACKLOG_MAX_BYTES`.
    pub backlog_bytes_max: i64,
    /// `LOG_TRANSPORT`, with its settings.
    pub log: Option<TransportConfig>,
}

impl TransportsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let names: Vec<TransportName> = reader.list(NAMES);
        if names.len() > TRANSPORTS_MAX {
            reader.fault(NAMES, format!("has more than {TRANSPORTS_MAX} names"));
        }
        let mut all: Vec<TransportConfig> = Vec::new();
        for name in names.into_iter().take(TRANSPORTS_MAX) {
            if all.iter().any(|known| known.name == name) {
                reader.fault(NAMES, format!("has {name} twice"));
                continue;
            }
            all.extend(transport(reader, NAMES, name));
        }
        let log: Vec<TransportName> = reader.list(LOG);
        let ships =
            |name: &TransportName| matches!(name.kind(), TransportKind::Otlp | TransportKind::Loki);
        if log.len() > 1 || !log.iter().all(ships) {
            reader.fault(
                LOG,
                "is not one of loki and otlp, or one of them with a number, such as loki-2"
                    .to_owned(),
            );
        }
        let log = log.into_iter().find(ships);
        Self {
            log: log.and_then(|name| match all.iter().find(|known| known.name == name) {
                Some(known) => Some(known.clone()),
                None => transport(reader, LOG, name),
            }),
            all,
            batch: BatchLimits {
                events: super::narrow(reader.integer("EVENT_BATCH_EVENTS")),
                bytes: super::narrow(reader.integer("EVENT_BATCH_BYTES")),
                age: Duration::from_millis(reader.integer("EVENT_BATCH_AGE_MS")),
            },
            backlog_bytes_max: super::narrow(reader.integer("EVENT_BACKLOG_MAX_BYTES")),
        }
    }

    /// Names of settings of the transports with a number, with those of the first of their kind.
    pub(super) fn numbered(&self) -> Vec<(String, &'static str)> {
        let all = self.all.iter().chain(&self.log);
        let mut names: Vec<TransportName> = all.map(|one| one.name).collect();
        names.dedup();
        let of = |name: TransportName| {
            let all = super::settings::SETTINGS.iter();
            let of_kind = all.filter(move |setting| setting.name.starts_with(name.kind().prefix()));
            of_kind.map(move |setting| (name.setting(setting.name).into_owned(), setting.name))
        };
        names
            .into_iter()
            .filter(|name| name.is_numbered())
            .flat_map(of)
            .collect()
    }
}

/// Reads the settings of a transport; none if one is wrong or missing, which is a fault then.
fn transport(
    reader: &mut Reader<'_>,
    asked_by: &'static str,
    name: TransportName,
) -> Option<TransportConfig> {
    let mut of = OfTransport {
        reader,
        asked_by,
        name,
    };
    let endpoint = match name.kind() {
        TransportKind::Console => Some(Endpoint::Console),
        TransportKind::Webhook => {
            let url = of.needed("EVENT_WEBHOOK_URL");
            let keys = of.needed::<Keys>("EVENT_WEBHOOK_SECRET");
            url.zip(keys)
                .map(|(url, Keys(keys))| Endpoint::Webhook { url, keys })
        }
        TransportKind::Honeycomb => {
            let url = of.needed("EVENT_HONEYCOMB_URL");
            let key = of.needed("EVENT_HONEYCOMB_KEY");
            let dataset = of.text("EVENT_HONEYCOMB_DATASET");
            url.zip(key)
                .map(|(url, key)| Endpoint::Honeycomb { url, key, dataset })
        }
        TransportKind::Otlp => {
            let url = of.needed("EVENT_OTLP_URL");
            let headers = of.given::<Headers>("EVENT_OTLP_HEADERS");
            let headers = headers.map_or_else(Vec::new, |Headers(headers)| headers);
            url.map(|url| Endpoint::Otlp { url, headers })
        }
        TransportKind::Loki => of.loki(),
    };
    let (filter, delivery) = match name.kind() {
        TransportKind::Console => ("EVENT_CONSOLE_FILTER", "EVENT_CONSOLE_DELIVERY"),
        TransportKind::Webhook => ("EVENT_WEBHOOK_FILTER", "EVENT_WEBHOOK_DELIVERY"),
        TransportKind::Honeycomb => ("EVENT_HONEYCOMB_FILTER", "EVENT_HONEYCOMB_DELIVERY"),
        TransportKind::Otlp => ("EVENT_OTLP_FILTER", "EVENT_OTLP_DELIVERY"),
        TransportKind::Loki => ("EVENT_LOKI_FILTER", "EVENT_LOKI_DELIVERY"),
    };
    Some(TransportConfig {
        name,
        filter: of.given(filter).unwrap_or_default(),
        guarantee: of.given(delivery).unwrap_or_default(),
        endpoint: endpoint?,
    })
}

/// Reads settings of one transport.
struct OfTransport<'a, 'b> {
    reader: &'a mut Reader<'b>,
    /// The setting that names the transport.
    asked_by: &'static str,
    name: TransportName,
}

impl OfTransport<'_, '_> {
    fn text(&mut self, first: &'static str) -> Option<String> {
        self.reader.text_of(&self.name.setting(first), first)
    }

    /// A value, if there is one and it is right.
    fn given<T: FromStr<Err = String>>(&mut self, first: &'static str) -> Option<T> {
        let text = self.text(first)?;
        let parsed = text.parse();
        parsed
            .map_err(|problem| self.reader.fault(self.name.setting(first), problem))
            .ok()
    }

    /// A value without which there is no transport.
    fn needed<T: FromStr<Err = String>>(&mut self, first: &'static str) -> Option<T> {
        if self.text(first).is_none() {
            let setting = self.name.setting(first);
            let problem = format!("is needed, for {} names {}", self.asked_by, self.name);
            self.reader.fault(setting, problem);
        }
        self.given(first)
    }

    fn loki(&mut self) -> Option<Endpoint> {
        let url = self.needed("EVENT_LOKI_URL");
        let user = self.text("EVENT_LOKI_USER");
        let key = match user {
            Some(_) => self.needed("EVENT_LOKI_KEY"),
            None => self.given("EVENT_LOKI_KEY"),
        };
        let labels = self.given::<Labels>("EVENT_LOKI_LABELS");
        Some(Endpoint::Loki {
            url: url?,
            user,
            key,
            tenant: self.text("EVENT_LOKI_TENANT"),
            labels: labels.map_or_else(Vec::new, |Labels(labels)| labels),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, effective};

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn lookup<'a>(settings: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            let found = settings.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    fn error(settings: &[(&str, &str)]) -> String {
        Config::from_lookup(&lookup(settings))
            .map(|_| String::new())
            .unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn an_unknown_transport_is_a_fault_that_names_those_there_are() {
        for name in ["splunk", "webhook-1", "webhook-9", "webhook-x", "-2"] {
            let error = error(&[("EVENT_TRANSPORTS", name)]);
            assert!(
                error.contains(&format!("EVENT_TRANSPORTS: '{name}' is no transport"))
                    && error.contains("console, webhook, honeycomb, otlp, loki"),
                "{error}"
            );
        }
        assert_eq!(error(&[("EVENT_TRANSPORTS", "console")]), "");
        let twice = error(&[("EVENT_TRANSPORTS", "console, console")]);
        assert!(twice.contains("has console twice"), "{twice}");
    }

    #[test]
    fn half_a_transport_is_a_fault_that_names_what_is_missing() {
        for (settings, missing) in [
            (vec![("EVENT_TRANSPORTS", "webhook")], "EVENT_WEBHOOK_URL"),
            (
                vec![
                    ("EVENT_TRANSPORTS", "webhook"),
                    ("EVENT_WEBHOOK_URL", "http://a"),
                ],
                "EVENT_WEBHOOK_SECRET",
            ),
            (
                vec![
                    ("EVENT_TRANSPORTS", "webhook-2"),
                    ("EVENT_WEBHOOK_URL", "http://a"),
                ],
                "EVENT_WEBHOOK_2_URL",
            ),
            (
                vec![("EVENT_TRANSPORTS", "honeycomb")],
                "EVENT_HONEYCOMB_KEY",
            ),
            (vec![("EVENT_TRANSPORTS", "otlp-3")], "EVENT_OTLP_3_URL"),
            (
                vec![
                    ("EVENT_TRANSPORTS", "loki"),
                    ("EVENT_LOKI_URL", "http://a"),
                    ("EVENT_LOKI_USER", "u"),
                ],
                "EVENT_LOKI_KEY",
            ),
            (vec![("LOG_TRANSPORT", "loki-2")], "EVENT_LOKI_2_URL"),
        ] {
            let error = error(&settings);
            assert!(
                error.contains(&format!("  {missing}: is needed")),
                "{missing} is missing in: {error}"
            );
        }
        let console = error(&[("LOG_TRANSPORT", "console")]);
        assert!(console.contains("LOG_TRANSPORT: is not one of loki"));
    }

    #[test]
    fn secrets_are_shown_neither_in_force_nor_in_faults() {
        let settings = [
            ("EVENT_TRANSPORTS", "webhook-2, otlp, loki, honeycomb"),
            ("EVENT_WEBHOOK_2_URL", "https://a.example/geheim"),
            ("EVENT_WEBHOOK_2_SECRET", KEY),
            ("EVENT_WEBHOOK_2_FILTER", "severity=warn"),
            ("EVENT_OTLP_URL", "https://geheim@b.example"),
            ("EVENT_OTLP_HEADERS", "authorization=Bearer geheim"),
            ("EVENT_LOKI_URL", "https://c.example"),
            ("EVENT_LOKI_KEY", "geheim"),
            ("EVENT_HONEYCOMB_KEY", "geheim"),
        ];
        let config = Config::from_lookup(&lookup(&settings)).unwrap();
        let shown = effective(&config, &lookup(&settings));
        for line in [
            "EVENT_WEBHOOK_2_URL=(secret)",
            "EVENT_WEBHOOK_2_FILTER=severity=warn",
            "EVENT_WEBHOOK_2_DELIVERY=at_least_once",
        ] {
            assert!(shown.contains(&line.to_owned()), "{line}: {shown:?}");
        }
        let all = format!("{shown:?} {config:?}");
        assert!(!all.contains("geheim") && !all.contains("MfKQ9"), "{all}");
        let wrong = error(&[
            ("EVENT_TRANSPORTS", "otlp"),
            ("EVENT_OTLP_URL", "ftp://geheim"),
            ("EVENT_OTLP_HEADERS", "geheim"),
        ]);
        assert!(wrong.contains("EVENT_OTLP_HEADERS: is not a list of NAME=VALUE"));
        assert!(!wrong.contains("geheim"), "{wrong}");
    }
}
