//! What requests of several transports have in common.

use std::borrow::Cow;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;

use crate::config::TargetUrl;
use crate::store::event_transports::Event;

/// Source of the lines of the log of this server.
pub(super) const OWN_LOG: &str = "tetcore-analytics";

/// Posts are compressed.
pub(super) const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// And are JSON, but for those of OTLP.
pub(super) const JSON: (&str, &str) = ("content-type", "application/json");

/// Compresses a body; quickly, for texts of events repeat themselves much anyway.
pub(super) fn gzip(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.map_err(|error| format!("it cannot be compressed: {error}"))
}

/// An address with a path at its end, which may be there already.
pub(super) fn with_path(url: &TargetUrl, path: &str) -> String {
    let mut url = url.url().clone();
    let given = url.path().trim_end_matches('/').to_owned();
    if !given.ends_with(path) {
        url.set_path(&format!("{given}{path}"));
    }
    url.into()
}

/// Where an event comes from: of a closed set.
pub(super) fn origin(event: &Event) -> &'static str {
    match &event.peer_id {
        Some(_) => "node",
        None if event.source == OWN_LOG => "server",
        None => "service",
    }
}

/// What people read of an event: the text of a line of the log, and of others all of it.
pub(super) fn text(event: &Event) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    if event.source == OWN_LOG
        && let Ok(line) = serde_json::from_str::<Line<'_>>(event.data.get())
    {
        return line.message;
    }
    Cow::Borrowed(event.data.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_added_once() {
        let with = |url: &str| with_path(&url.parse().unwrap(), "/v1/logs");
        for url in [
            "http://a:4318",
            "http://a:4318/",
            "http://a:4318/v1/logs",
            "http://a:4318/v1/logs/",
        ] {
            assert_eq!(
                with(url).trim_end_matches('/'),
                "http://a:4318/v1/logs",
                "{url}"
            );
        }
        assert_eq!(with("http://a/otlp?x=1"), "http://a/otlp/v1/logs?x=1");
    }
}
