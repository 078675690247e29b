//! Settings of the Grafana to which dashboards are uploaded.

use super::DatabaseUrl;
use super::notify::TargetUrl;
use super::reader::Reader;
use super::transports::SecretText;

/// Settings of the Grafana to which dashboards are uploaded.
#[derive(Debug, Clone)]
pub struct GrafanaConfig {
    /// `GRAFANA_URL` and `GRAFANA_TOKEN`.
    pub target: Option<(TargetUrl, SecretText)>,
    /// `GRAFANA_DATABASE_URL`.
    pub database: Option<DatabaseUrl>,
    /// `GRAFANA_PROMETHEUS_URL`.
    pub prometheus: Option<TargetUrl>,
    /// `GRAFANA_LOKI_URL`.
    pub loki: Option<TargetUrl>,
    /// `PUBLIC_URL`, without a slash at its end.
    pub public_url: String,
}

impl GrafanaConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let given = |reader: &mut Reader<'_>, name| reader.text(name).is_some();
        for (one, other) in [
            ("GRAFANA_URL", "GRAFANA_TOKEN"),
            ("GRAFANA_TOKEN", "GRAFANA_URL"),
        ] {
            if given(reader, one) && !given(reader, other) {
                reader.fault(other, format!("is needed by {one}"));
            }
        }
        let (url, token) = (address(reader, "GRAFANA_URL"), token(reader));
        let public_url = address(reader, "PUBLIC_URL");
        let public_url = public_url.map(|url| url.url().as_str().trim_end_matches('/').to_owned());
        Self {
            target: url.zip(token),
            database: reader.database_url("GRAFANA_DATABASE_URL"),
            prometheus: address(reader, "GRAFANA_PROMETHEUS_URL"),
            loki: address(reader, "GRAFANA_LOKI_URL"),
            public_url: public_url.unwrap_or_default(),
        }
    }
}

/// One address.
fn address(reader: &mut Reader<'_>, name: &'static str) -> Option<TargetUrl> {
    match reader.text(name)?.parse() {
        Ok(url) => Some(url),
        Err(problem) => {
            reader.fault(name, problem);
            None
        }
    }
}

fn token(reader: &mut Reader<'_>) -> Option<SecretText> {
    match reader.text("GRAFANA_TOKEN")?.parse() {
        Ok(token) => Some(token),
        Err(problem) => {
            reader.fault("GRAFANA_TOKEN", problem);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn an_address_needs_its_token_and_neither_is_shown() {
        let read = |settings: &[(&str, &str)]| {
            let lookup = |name: &str| {
                let found = settings.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            Config::from_lookup(&lookup).map_err(|error| error.to_string())
        };
        let (url, token) = (
            ("GRAFANA_URL", "https://grafana.example/sub/"),
            ("GRAFANA_TOKEN", "glsa_geheim"),
        );
        assert!(
            read(&[url])
                .unwrap_err()
                .contains("GRAFANA_TOKEN: is needed by GRAFANA_URL")
        );
        assert!(
            read(&[token])
                .unwrap_err()
                .contains("GRAFANA_URL: is needed by GRAFANA_TOKEN")
        );
        let config = read(&[url, token, ("PUBLIC_URL", "https://t.example/x/")]).unwrap();
        assert_eq!(config.grafana.public_url, "https://t.example/x");
        assert!(!format!("{config:?}").contains("geheim"));
        assert!(
            read(&[("PUBLIC_URL", "t.example")])
                .unwrap_err()
                .contains("PUBLIC_URL: ")
        );
    }
}
