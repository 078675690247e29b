//! Requests to the HTTP API of Grafana, and what is wrong with them in words.

use serde_json::Value;

use crate::config::{GrafanaConfig, NotifyConfig, SecretText};
use crate::notify::client::{Answer, Client, Method, Request};

/// Longest answer, bytes; a dashboard of ours has less than 100,000.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Why something could not be uploaded.
#[derive(Debug, thiserror::Error)]
pub enum GrafanaError {
    /// There is no Grafana in the settings.
    #[error(
        "no Grafana is set: GRAFANA_URL is its address, GRAFANA_TOKEN a token of a service account with the role Admin (Administration, Users and access, Service accounts)"
    )]
    NotSet,
    /// Nothing answers, or not for now.
    #[error("GRAFANA_URL: {host} cannot be asked just now: {cause}")]
    Away {
        /// Its host.
        host: String,
        /// Why.
        cause: String,
    },
    /// Something else answers.
    #[error(
        "GRAFANA_URL: what answers at {host} is no Grafana ({cause}): check the address, with https where Grafana has it and with its path if it is not at the root"
    )]
    NoGrafana {
        /// The host.
        host: String,
        /// What it answered.
        cause: String,
    },
    /// The token is not known there.
    #[error(
        "GRAFANA_TOKEN is not accepted: it is expired, revoked, or of another Grafana; make one of a service account (Administration, Users and access, Service accounts)"
    )]
    Token,
    /// The token may not do it.
    #[error(
        "GRAFANA_TOKEN may not {what}: its service account needs the role Admin, or Editor and the permission for that; Grafana says: {text}"
    )]
    MayNot {
        /// What was tried.
        what: String,
        /// What Grafana says.
        text: String,
    },
    /// A title is taken.
    #[error(
        "another dashboard of the folder is called {title}: rename or remove it, then try again; or is it an older copy of ours under another uid?"
    )]
    TitleTaken {
        /// The title.
        title: String,
    },
    /// Somebody else changes the same all the time.
    #[error("{what} was changed by somebody else each time: try again when nobody works on it")]
    Changing {
        /// What.
        what: String,
    },
    /// Grafana refused it for another reason.
    #[error("Grafana does not {what}: {text}")]
    Refused {
        /// What was tried.
        what: String,
        /// What Grafana says.
        text: String,
    },
}

impl GrafanaError {
    /// Whether it may be over by itself.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Changing { .. })
    }
}

/// What became of something that was sent.
pub(super) enum Sent {
    Done(Value),
    /// It was changed meanwhile, or is there already (409, 412); what Grafana says.
    Conflict(String),
}

/// A Grafana.
pub(super) struct Api {
    client: Client,
    base: String,
    host: String,
    authorization: SecretText,
}

impl Api {
    /// The one of the settings.
    pub(super) fn new(config: &GrafanaConfig, notify: &NotifyConfig) -> Result<Self, GrafanaError> {
        let (url, token) = config.target.as_ref().ok_or(GrafanaError::NotSet)?;
        let authorization = format!("Bearer {}", token.text()).parse();
        Ok(Self {
            // An operator names it, and it is usually on a private network.
            client: Client::new(notify.timeout, true, &notify.authorities),
            base: url.url().as_str().trim_end_matches('/').to_owned(),
            host: url.host().to_owned(),
            // The settings have no token that is no text of a header.
            authorization: authorization.map_err(|_unfit| GrafanaError::Token)?,
        })
    }

    /// The address of a page there.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// What is there, or `None`; `what` says what is tried.
    pub(super) fn get(&self, path: &str, what: &str) -> Result<Option<Value>, GrafanaError> {
        let answer = self.exchange(Method::Get, path, None)?;
        match answer.status {
            404 if !answer.text.starts_with('{') => Err(self.no_grafana(&answer)),
            404 => Ok(None),
            _ => match self.judged(answer, what)? {
                Sent::Done(value) => Ok(Some(value)),
                Sent::Conflict(text) => Err(GrafanaError::Refused {
                    what: what.to_owned(),
                    text,
                }),
            },
        }
    }

    /// Makes something.
    pub(super) fn post(&self, path: &str, body: &Value, what: &str) -> Result<Sent, GrafanaError> {
        self.judged(self.exchange(Method::Post, path, Some(body))?, what)
    }

    /// Changes something.
    pub(super) fn put(&self, path: &str, body: &Value, what: &str) -> Result<Sent, GrafanaError> {
        self.judged(self.exchange(Method::Put, path, Some(body))?, what)
    }

    fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, GrafanaError> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let sent = self.client.send(Request {
            method,
            url: &format!("{}/api/{path}", self.base),
            headers: &[
                ("authorization", self.authorization.text()),
                ("content-type", "application/json"),
                ("accept", "application/json"),
            ],
            body: body.as_bytes(),
            answer_max: ANSWER_BYTES_MAX,
        });
        sent.map_err(|cause| GrafanaError::Away {
            host: self.host.clone(),
            cause,
        })
    }

    fn judged(&self, answer: Answer, what: &str) -> Result<Sent, GrafanaError> {
        let what = what.to_owned();
        let text = said(&answer);
        match answer.status {
            200..=299 => serde_json::from_slice(&answer.body)
                .map(Sent::Done)
                .map_err(|_no_json| self.no_grafana(&answer)),
            300..=399 => Err(self.no_grafana(&answer)),
            401 => Err(GrafanaError::Token),
            403 => Err(GrafanaError::MayNot { what, text }),
            409 | 412 => Ok(Sent::Conflict(text)),
            429 | 500..=599 => Err(GrafanaError::Away {
                host: self.host.clone(),
                cause: answer.reason(),
            }),
            _ => Err(GrafanaError::Refused { what, text }),
        }
    }

    fn no_grafana(&self, answer: &Answer) -> GrafanaError {
        GrafanaError::NoGrafana {
            host: self.host.clone(),
            cause: match answer.status {
                200..=299 => "its answer is no JSON".to_owned(),
                300..=399 => format!("it answered {}, which leads elsewhere", answer.status),
                status => format!("it answered {status}"),
            },
        }
    }
}

/// What Grafana says of a request, with its status.
fn said(answer: &Answer) -> String {
    let known: Option<Value> = serde_json::from_str(&answer.text).ok();
    let field = |name: &str| known.as_ref()?.get(name)?.as_str().map(str::to_owned);
    match (field("message"), field("status")) {
        (Some(message), Some(status)) => format!("{message} ({status}, {})", answer.status),
        (Some(message), None) => format!("{message} ({})", answer.status),
        _ => answer.reason(),
    }
}
