//! What is asked of each part of the stack.

use chrono::{DateTime, SecondsFormat, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::ask::Asker;
use super::{Found, Row, State};
use crate::config::Config;
use crate::config::args::{StackAddresses, StackPart};

/// The series by which a scraped server is found.
const SCRAPED: &str = "tetcore_analytics_build_info";

/// Lines of the servers' logs in Loki.
const LOG: &str = r#"{job="tetcore-analytics",origin="server"}"#;

/// How far back is looked for a line of the log, hours: a server that is well logs little.
const LOG_HOURS: i64 = 7 * 24;

/// In Grafana's metrics: what its data sources answered.
const ANSWERS: &str = "grafana_datasource_request_total{";

/// The parts, and where they are.
pub(super) struct Parts<'a> {
    config: &'a Config,
    addresses: &'a StackAddresses,
    server: String,
    asker: Asker,
}

impl<'a> Parts<'a> {
    pub(super) fn new(config: &'a Config, addresses: &'a StackAddresses, asker: Asker) -> Self {
        let tls = if config.access.tls.is_some() { "s" } else { "" };
        let here = || format!("http{tls}://127.0.0.1:{}", config.http.port);
        let server = addresses.server.clone().unwrap_or_else(here);
        Self {
            config,
            addresses,
            server,
            asker,
        }
    }

    /// Looks at each, in the order in which data flow.
    pub(super) fn look(&self) -> Vec<Row> {
        let parts = StackPart::ALL.into_iter();
        let there = parts.filter(|part| !self.addresses.without.contains(part));
        let row = |part| {
            let found = match part {
                StackPart::Server => self.server(),
                StackPart::Postgresql => self.postgresql(),
                StackPart::Prometheus => self.prometheus(),
                StackPart::Alertmanager => self.alertmanager(),
                StackPart::Loki => self.loki(),
                StackPart::Grafana => self.grafana(),
            };
            let (state, about) = found.unwrap_or_else(|wrong| (State::Wrong, wrong));
            Row { part, state, about }
        };
        there.map(row).collect()
    }

    fn server(&self) -> Found {
        self.asker.text(&self.server, "/health/ready")?;
        let servers = &self.asker.json_of_server(&self.server, "/api/v1/servers")?;
        let alive = || list(servers, "").filter(|server| server["alive"] == true);
        let sessions: i64 = alive()
            .filter_map(|server| server["sessions"].as_i64())
            .sum();
        let rate: f64 = alive()
            .filter_map(|server| server["messages_per_s"].as_f64())
            .sum();
        let (count, is_idle) = (alive().count(), sessions == 0);
        let about = match is_idle {
            true => format!("{count} alive; no node is connected yet"),
            false => format!("{count} alive; {sessions} sessions of nodes, {rate:.1} messages/s"),
        };
        Ok((idle_if(is_idle), about))
    }

    /// As the server sees it.
    fn postgresql(&self) -> Found {
        let health = &self.asker.json(&self.server, "/health")?;
        let checks = || list(health, "/checks");
        if let Some(wrong) = checks().find(|check| check["ok"] != true) {
            return Err(text(wrong, "/message").to_owned());
        }
        match checks().any(|check| check["name"] == "writers") {
            true => Ok((
                State::Ok,
                "it answers, has its schema, and stores messages".to_owned(),
            )),
            false => Err(format!("{} does not say how its database is", self.server)),
        }
    }

    fn prometheus(&self) -> Found {
        let base = &self.addresses.prometheus;
        self.asker.text(base, "/-/ready")?;
        let path = format!("/api/v1/query?query={SCRAPED}");
        let scraped = &self.asker.json(base, &path)?;
        let scraped: Vec<_> = list(scraped, "/data/result")
            .map(|series| text(series, "/metric/instance").to_owned())
            .collect();
        if scraped.is_empty() {
            return Err(format!("it scrapes no server: {}", self.scrape_errors()?));
        }
        let rules = &self.asker.json(base, "/api/v1/rules")?;
        let rules = || list(rules, "/data/groups").flat_map(|group| list(group, "/rules"));
        if let Some(failing) = rules().find(|rule| rule["health"] == "err") {
            let (name, error) = (text(failing, "/name"), text(failing, "/lastError"));
            return Err(format!("its rule {name} fails: {error}"));
        }
        let (count, scraped) = (rules().count(), scraped.join(", "));
        Ok((
            State::Ok,
            format!("it scrapes {scraped}, and has {count} rules"),
        ))
    }

    /// Why the targets of Prometheus are not scraped.
    fn scrape_errors(&self) -> Result<String, String> {
        let path = "/api/v1/targets?state=active";
        let targets = &self.asker.json(&self.addresses.prometheus, path)?;
        let errors: Vec<_> = list(targets, "/data/activeTargets")
            .filter(|target| target["health"] != "up")
            .map(|target| {
                format!(
                    "{} ({})",
                    text(target, "/scrapeUrl"),
                    text(target, "/lastError")
                )
            })
            .collect();
        Ok(match errors.is_empty() {
            true => "its configuration names none".to_owned(),
            false => errors.join(", "),
        })
    }

    fn alertmanager(&self) -> Found {
        self.asker.text(&self.addresses.alertmanager, "/-/ready")?;
        let mut senders = Vec::new();
        // That Prometheus is away is said in its own row.
        let path = "/api/v1/alertmanagers";
        let known = self.asker.json(&self.addresses.prometheus, path);
        match known {
            Ok(known) if list(&known, "/data/activeAlertmanagers").next().is_some() => {
                senders.push("Prometheus");
            }
            Ok(_) if !self.addresses.without.contains(&StackPart::Prometheus) => {
                let wrong = "Prometheus sends it nothing: its configuration names no Alertmanager";
                return Err(wrong.to_owned());
            }
            Ok(_) | Err(_) => {}
        }
        let targets = &self
            .asker
            .json_of_server(&self.server, "/api/v1/alerts/targets")?;
        let is_alertmanager = |target: &&Value| text(target, "/name").starts_with("alertmanager");
        for target in list(targets, "").filter(is_alertmanager) {
            if let Some(error) = target["last_error"]
                .as_str()
                .filter(|_| target["pending"] != 0)
            {
                return Err(format!(
                    "alerts of the server wait, for the last try failed: {error}"
                ));
            }
            senders.push("the server");
        }
        Ok(match senders.is_empty() {
            true => (
                State::Idle,
                "nobody sends it alerts: NOTIFY_ALERTMANAGER_URL names it".to_owned(),
            ),
            false => (
                State::Ok,
                format!("it gets the alerts of {}", senders.join(" and ")),
            ),
        })
    }

    fn loki(&self) -> Found {
        let base = &self.addresses.loki;
        self.asker.text(base, "/ready")?;
        if self.config.transports.log.is_none() {
            let about = "no server sends it its log: LOG_TRANSPORT=loki does";
            return Ok((State::Idle, about.to_owned()));
        }
        let query = utf8_percent_encode(LOG, NON_ALPHANUMERIC);
        let path = format!("/loki/api/v1/query_range?query={query}&limit=1&since={LOG_HOURS}h");
        let lines = &self.asker.json(base, &path)?;
        let newest = list(lines, "/data/result")
            .flat_map(|stream| list(stream, "/values"))
            .filter_map(|line| line[0].as_str()?.parse::<i64>().ok())
            .max();
        let newest = newest
            .ok_or("it has no line of a server's log: see log_transport_lines_total in /metrics")?;
        let at = DateTime::<Utc>::from_timestamp_nanos(newest);
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        Ok((
            State::Ok,
            format!("it has the log of the server, up to {at}"),
        ))
    }

    fn grafana(&self) -> Found {
        let base = &self.addresses.grafana;
        let health = &self.asker.json(base, "/api/health")?;
        if health["database"] != "ok" {
            return Err(format!("its own database is {}", text(health, "/database")));
        }
        let version = text(health, "/version");
        let metrics = self.asker.text(base, "/metrics")?;
        let (well, all) = data_source_answers(&metrics);
        match (well, all) {
            (0.0, 0.0) => Ok((
                State::Idle,
                format!("version {version}; no dashboard was looked at yet"),
            )),
            (0.0, _) => Err(format!(
                "version {version}; its data sources answer with errors only"
            )),
            _ => Ok((
                State::Ok,
                format!("version {version}; {well} of {all} answers of data sources are well"),
            )),
        }
    }
}

/// How many answers of data sources are well, and how many there are.
fn data_source_answers(metrics: &str) -> (f64, f64) {
    let series = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(ANSWERS)?.rsplit_once(' '));
    series.fold((0.0, 0.0), |(well, all), (labels, count)| {
        let count = count.parse().unwrap_or(0.0);
        let is_well = labels.contains("code=\"200\"");
        (if is_well { well + count } else { well }, all + count)
    })
}

fn idle_if(is_idle: bool) -> State {
    if is_idle { State::Idle } else { State::Ok }
}

/// The list at a JSON pointer; "" is the value itself.
fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// The text at a JSON pointer.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or("not said")
}
