//! Questions to the parts of the stack, over HTTP.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer that is read, bytes: the metrics of Grafana have a few hundred kB.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// What is shown of an answer that is an error, characters.
const SHOWN_MAX: usize = 120;

/// Asks, with a token that only the server gets.
pub(super) struct Asker {
    agent: Agent,
    authorization: Option<String>,
}

impl Asker {
    pub(super) fn new(token: Option<&str>) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("tetcore-analytics/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
            authorization: token.map(|token| format!("Bearer {token}")),
        }
    }

    /// The text of an answer.
    ///
    /// # Errors
    /// Where was asked, and why there is no answer, or none with 200.
    pub(super) fn text(&self, base: &str, path: &str) -> Result<String, String> {
        self.ask(base, path, None)
    }

    /// The JSON of an answer.
    ///
    /// # Errors
    /// As [`Self::text`], and if it is no JSON.
    pub(super) fn json(&self, base: &str, path: &str) -> Result<Value, String> {
        parse(base, path, &self.text(base, path)?)
    }

    /// As [`Self::json`], with the token.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub(super) fn json_of_server(&self, base: &str, path: &str) -> Result<Value, String> {
        parse(
            base,
            path,
            &self.ask(base, path, self.authorization.as_deref())?,
        )
    }

    fn ask(&self, base: &str, path: &str, authorization: Option<&str>) -> Result<String, String> {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let shown = url.split('?').next().unwrap_or_default();
        let mut request = self.agent.get(&url);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let failed = |error: ureq::Error| format!("{shown} does not answer: {error}");
        let mut answer = request.call().map_err(failed)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body.read_to_string().map_err(failed)?;
        match status {
            200 => Ok(text),
            _ => {
                let start: String = text.chars().take(SHOWN_MAX).collect();
                let start = start.split_whitespace().collect::<Vec<_>>().join(" ");
                Err(format!("{shown} answers {status}: {start}"))
            }
        }
    }
}

fn parse(base: &str, path: &str, text: &str) -> Result<Value, String> {
    let path = path.split('?').next().unwrap_or_default();
    serde_json::from_str(text).map_err(|_no_json| format!("{base}{path} answers no JSON"))
}
