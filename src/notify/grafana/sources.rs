//! The data sources of the dashboards.

use serde_json::{Value, json};
use url::Url;

use super::api::{Api, GrafanaError, Sent};
use super::report::{Report, differences};
use crate::config::{DatabaseUrl, GrafanaConfig, TargetUrl};
use crate::grafana::{SOURCES, Sources};

/// How often it is tried when somebody else saves the same data source meanwhile.
const TRIES: usize = 3;

/// Connections that Grafana may open to the database; its own default is 100.
const CONNECTIONS_MAX: u32 = 8;

/// From this version on Grafana calls the type of PostgreSQL otherwise; the one before knows both names.
const RENAMED_SINCE: u32 = 11;

/// Uids of the data sources.
pub(super) struct Uids {
    postgresql: String,
    prometheus: String,
    loki: String,
}

impl Uids {
    pub(super) fn as_sources(&self) -> Sources<'_> {
        Sources {
            postgresql: &self.postgresql,
            prometheus: &self.prometheus,
            loki: &self.loki,
        }
    }
}

/// A data source that dashboards need.
struct Wanted {
    what: &'static str,
    uid: &'static str,
    /// Names that its type has or had.
    types: &'static [&'static str],
    /// The setting that says where it is.
    setting: &'static str,
    /// What it is to be, without secrets; `None` if the settings do not say.
    body: Option<Value>,
    secrets: Value,
}

/// Makes the data sources that the settings name, or brings them up to date, and finds the others.
pub(super) fn take(
    api: &Api,
    config: &GrafanaConfig,
    report: &mut Report<'_>,
) -> Result<Uids, GrafanaError> {
    let [postgresql, prometheus, loki] = wanted(config, major_version(api)?);
    Ok(Uids {
        postgresql: one(api, &postgresql, report)?,
        prometheus: one(api, &prometheus, report)?,
        loki: one(api, &loki, report)?,
    })
}

/// Finds the data sources.
pub(super) fn find(api: &Api, report: &mut Report<'_>) -> Result<Uids, GrafanaError> {
    let nothing = GrafanaConfig {
        target: None,
        database: None,
        prometheus: None,
        loki: None,
        public_url: String::new(),
    };
    take(api, &nothing, report)
}

fn major_version(api: &Api) -> Result<u32, GrafanaError> {
    let health = api.get("health", "say its version")?;
    let version = health
        .as_ref()
        .and_then(|health| health.get("version")?.as_str());
    let major = version.and_then(|version| version.split('.').next()?.parse().ok());
    // Where it does not say, it is a new one.
    Ok(major.unwrap_or(RENAMED_SINCE))
}

fn wanted(config: &GrafanaConfig, major_version: u32) -> [Wanted; 3] {
    let database = config.database.as_ref().and_then(database);
    let (body, secrets) = database.unzip();
    let postgresql_type = match major_version {
        ..RENAMED_SINCE => "postgres",
        _ => "grafana-postgresql-datasource",
    };
    let body = body.map(|mut body: Value| {
        if let Some(body) = body.as_object_mut() {
            body.insert("type".to_owned(), json!(postgresql_type));
        }
        body
    });
    [
        Wanted {
            what: "data source PostgreSQL",
            uid: SOURCES.postgresql,
            types: &["grafana-postgresql-datasource", "postgres"],
            setting: "GRAFANA_DATABASE_URL",
            body,
            secrets: secrets.unwrap_or_default(),
        },
        Wanted {
            what: "data source Prometheus",
            uid: SOURCES.prometheus,
            types: &["prometheus"],
            setting: "GRAFANA_PROMETHEUS_URL",
            body: config.prometheus.as_ref().map(|url| {
                let options = json!({"httpMethod": "POST"});
                by_http("tetcore-analytics Prometheus", "prometheus", url, &options)
            }),
            secrets: Value::Null,
        },
        Wanted {
            what: "data source Loki",
            uid: SOURCES.loki,
            types: &["loki"],
            setting: "GRAFANA_LOKI_URL",
            body: config
                .loki
                .as_ref()
                .map(|url| by_http("tetcore-analytics Loki", "loki", url, &json!({}))),
            secrets: Value::Null,
        },
    ]
}

fn by_http(name: &str, kind: &str, url: &TargetUrl, options: &Value) -> Value {
    json!({
        "name": name, "type": kind, "access": "proxy", "url": url.url().as_str().trim_end_matches('/'),
        "jsonData": options,
    })
}

/// The data source of a database, and its password.
fn database(url: &DatabaseUrl) -> Option<(Value, Value)> {
    let url = Url::parse(url.expose()).ok()?;
    let decoded = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text);
        decoded.decode_utf8_lossy().into_owned()
    };
    let mode = url.query_pairs().find(|(name, _)| name == "sslmode");
    let is_near = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let mode = mode.map_or_else(
        || if is_near { "disable" } else { "require" }.to_owned(),
        |(_, mode)| mode.into_owned(),
    );
    let body = json!({
        "name": "tetcore-analytics PostgreSQL", "access": "proxy",
        "url": format!("{}:{}", url.host_str().unwrap_or("localhost"), url.port().unwrap_or(5432)),
        "user": decoded(url.username()),
        // Where versions before 10 look for it.
        "database": decoded(url.path().trim_start_matches('/')),
        "jsonData": {
            "database": decoded(url.path().trim_start_matches('/')), "sslmode": mode, "postgresVersion": 1500,
            "timescaledb": false, "maxOpenConns": CONNECTIONS_MAX, "maxIdleConns": 2, "connMaxLifetime": 3600,
        },
    });
    let password = json!({"password": decoded(url.password().unwrap_or_default())});
    Some((body, password))
}

/// Makes one, or brings it up to date; its uid.
fn one(api: &Api, wanted: &Wanted, report: &mut Report<'_>) -> Result<String, GrafanaError> {
    let looked = "look at data sources";
    for _ in 0..TRIES {
        let found = match api.get(&format!("datasources/uid/{}", wanted.uid), looked)? {
            Some(ours) => Some(ours),
            // The list does not have the version.
            None => match alike(&api.get("datasources", looked)?.unwrap_or_default(), wanted) {
                Some(uid) => api.get(&format!("datasources/uid/{uid}"), looked)?,
                None => None,
            },
        };
        let uid = found
            .as_ref()
            .and_then(|found| found.get("uid")?.as_str())
            .unwrap_or(wanted.uid)
            .to_owned();
        let Some(body) = &wanted.body else {
            match found {
                Some(found) => report.unchanged(&format!("{}, {}", wanted.what, name_of(&found))),
                None => report.warn(&format!(
                    "there is no {}: its panels stay empty; set {}, or make one in Grafana with the uid {}",
                    wanted.what, wanted.setting, wanted.uid
                )),
            }
            return Ok(uid);
        };
        if found
            .as_ref()
            .is_some_and(|found| found.get("readOnly") == Some(&Value::Bool(true)))
        {
            report.warn(&format!(
                "{} is read from a file by Grafana, and stays as it is",
                wanted.what
            ));
            return Ok(uid);
        }
        let mut changed = found
            .as_ref()
            .map(|found| differences(&over(body, found), found));
        if let Some(changed) = &mut changed {
            // Grafana shows no secret, so it may be another one.
            if !wanted.secrets.is_null() && changed.is_empty() && !report.is_dry_run() {
                changed.push("password: set again".to_owned());
            }
            if changed.is_empty() {
                report.unchanged(wanted.what);
                return Ok(uid);
            }
        }
        if report.is_dry_run() {
            tell(report, wanted.what, changed.as_deref());
            return Ok(uid);
        }
        let sent = match &found {
            Some(found) => {
                let body = sent(&over(body, found), wanted, &uid);
                api.put(
                    &format!("datasources/uid/{uid}"),
                    &body,
                    "change data sources",
                )?
            }
            None => {
                let body = sent(body, wanted, &uid);
                api.post("datasources", &body, "make data sources")?
            }
        };
        if let Sent::Done(_) = sent {
            tell(report, wanted.what, changed.as_deref());
            return Ok(uid);
        }
    }
    Err(GrafanaError::Changing {
        what: wanted.what.to_owned(),
    })
}

fn tell(report: &mut Report<'_>, what: &str, changed: Option<&[String]>) {
    match changed {
        None => report.made(what),
        Some([only]) if only == "password: set again" => {
            report.unchanged(&format!("{what}, its password set again"));
        }
        Some(changed) => report.changed(what, changed),
    }
}

fn name_of(source: &Value) -> &str {
    source
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// One that is the same under another uid: of the type, and by our name or at the same place. Where the settings do not
/// say which it is, the only one of the type, or the default one. Its uid.
fn alike(listed: &Value, wanted: &Wanted) -> Option<String> {
    let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    let of_type: Vec<&Value> = listed
        .iter()
        .filter(|source| {
            let kind = source.get("type").and_then(Value::as_str);
            kind.is_some_and(|kind| wanted.types.contains(&kind))
        })
        .collect();
    let found = match &wanted.body {
        Some(body) => of_type.into_iter().find(|source| {
            let place = |value: &Value| {
                let database = value.get("jsonData").and_then(|json| json.get("database"));
                let database = database.or_else(|| value.get("database"));
                let database = database
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                let url = value.get("url").and_then(Value::as_str).unwrap_or_default();
                (url.trim_end_matches('/').to_owned(), database)
            };
            name_of(source) == name_of(body) || place(source) == place(body)
        }),
        None => match of_type.as_slice() {
            [only] => Some(*only),
            of_type => of_type
                .iter()
                .find(|source| source.get("isDefault") == Some(&Value::Bool(true)))
                .copied(),
        },
    };
    found?.get("uid")?.as_str().map(str::to_owned)
}

/// What is sent: of one that is there all stays that the settings do not say, its name above all.
fn over(body: &Value, found: &Value) -> Value {
    let mut whole = found.clone();
    let (Some(whole_fields), Some(body)) = (whole.as_object_mut(), body.as_object()) else {
        return body.clone();
    };
    whole_fields.remove("id");
    for (name, value) in body {
        match (whole_fields.get_mut(name), value) {
            // Its type may have an older name, which is the same plugin.
            (Some(_), _) if ["name", "type"].contains(&name.as_str()) => {}
            (Some(Value::Object(options)), Value::Object(ours)) => {
                options.extend(ours.clone());
            }
            _ => {
                whole_fields.insert(name.clone(), value.clone());
            }
        }
    }
    whole
}

/// With its uid and its secrets.
fn sent(body: &Value, wanted: &Wanted, uid: &str) -> Value {
    let mut body = body.clone();
    if let Some(body) = body.as_object_mut() {
        body.insert("uid".to_owned(), json!(uid));
        if !wanted.secrets.is_null() {
            body.insert("secureJsonData".to_owned(), wanted.secrets.clone());
        }
    }
    body
}
