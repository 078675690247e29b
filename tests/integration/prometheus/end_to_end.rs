//! The real Prometheus and the real Alertmanager with the files of `deploy/prometheus`; their
//! times are shortened, and nothing else.

use serde_json::Value;

use super::{blocks, shipped};
use crate::projections::introduce;
use crate::status::Beating;
use crate::support::{
    Alertmanager, FakeNode, Prometheus, Receiver, TestApp, free_port, wait_until,
};

/// A text with each time behind one of these keys replaced.
fn with_times(text: &str, times: &[(&str, &str)]) -> String {
    let line = |line: &str| {
        let (key, _) = line.split_once(": ")?;
        let (_, time) = times.iter().find(|(name, _)| key.trim() == *name)?;
        Some(format!("{key}: {time}"))
    };
    let lines = text
        .lines()
        .map(|one| line(one).unwrap_or_else(|| one.to_owned()));
    lines.map(|line| line + "\n").collect()
}

/// A node whose finality is well: it reports half of its height as finalized.
fn go_on(node: FakeNode) -> Beating {
    Beating::follow(node, || 20)
}

fn start(app: &TestApp, peer_id: &str) -> Beating {
    let mut node = app.node("/submit");
    introduce(&mut node, peer_id);
    go_on(node)
}

/// The alerts that arrived, in order: their state, name, and which node.
fn told(team: &Receiver) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let received = team.received();
    let bodies = received.iter().map(|one| one.json());
    bodies
        .flat_map(|body| body["alerts"].as_array().unwrap().clone())
        .map(|alert| {
            let labels = &alert["labels"];
            (
                text(&alert["status"]),
                text(&labels["alertname"]),
                text(&labels["peer_id"]),
            )
        })
        .collect()
}

/// Alertmanager, server and Prometheus, by the files that are shipped. None where one is not installed.
fn start_all(team: &Receiver) -> Option<(Alertmanager, TestApp, Prometheus)> {
    let alertmanager = with_times(
        &shipped("alertmanager.yml"),
        &[("group_wait", "1s"), ("group_interval", "1s")],
    );
    let hook = format!(
        "  - name: team\n    webhook_configs:\n      - url: {}\n",
        team.url()
    );
    let alertmanager = alertmanager.replace("  - name: team\n", &hook);
    let alertmanager = Alertmanager::with(&alertmanager)?;
    let port = free_port();
    let app = crate::status::builder()
        .env("PORT", port)
        .env("NODE_OFFLINE_S", 600)
        .start();
    let config = with_times(
        &shipped("prometheus.yml"),
        &[
            ("scrape_interval", "1s"),
            ("evaluation_interval", "1s"),
            ("scrape_timeout", "1s"),
        ],
    );
    let config = config
        .replace("server:9100", &format!("127.0.0.1:{port}"))
        .replace("alertmanager:9093", &alertmanager.address());
    let rules = with_times(
        &shipped("rules.yml"),
        &[("for", "2s"), ("keep_firing_for", "25s")],
    );
    // The first two are about servers that do not answer: a busy machine is slow with some scrapes.
    let rules = rules.replacen("for: 2s", "for: 15s", 2);
    let prometheus = Prometheus::start(&config, &rules)?;
    Some((alertmanager, app, prometheus))
}

#[test]
fn a_node_that_dies_is_told_and_its_return_and_of_a_server_that_dies_one_alert() {
    let team = Receiver::start();
    let Some((_alertmanager, app, prometheus)) = start_all(&team) else {
        return;
    };
    crate::status::wait_judged(&app.db);
    let nodes: Vec<Beating> = (0..6)
        .map(|n| start(&app, &format!("12D3KooWwell{n}")))
        .collect();
    let dying = start(&app, "12D3KooWdying");
    wait_until("Prometheus knows all nodes", || {
        let up = prometheus
            .query("sum(tetcore_analytics_node_up)")
            .unwrap_or_default();
        up.first().is_some_and(|up| up["value"][1] == "7")
    });
    for query in blocks(include_str!("../../../docs/OPERATIONS.md"), "promql")
        .iter()
        .flat_map(|block| block.lines())
    {
        assert!(
            prometheus.query(query).is_ok(),
            "{query}: {:?}",
            prometheus.query(query)
        );
    }
    assert_eq!(told(&team), Vec::new(), "all is well");

    let silent = dying.stop();
    let of_node = |state: &str| {
        (
            state.to_owned(),
            "TetcoreAnalyticsNodeMissing".to_owned(),
            "12D3KooWdying".to_owned(),
        )
    };
    wait_until("the team is told", || {
        told(&team).contains(&of_node("firing"))
    });
    let firing = team.received()[0].json();
    let alert = &firing["alerts"][0]["annotations"];
    assert!(
        alert["summary"].as_str().unwrap().ends_with("is silent"),
        "{alert}"
    );
    assert!(
        alert["runbook_url"]
            .as_str()
            .unwrap()
            .ends_with("#tetcoreanalyticsnodemissing")
    );
    let dying = go_on(silent);
    wait_until("the team is told of its return", || {
        told(&team).contains(&of_node("resolved"))
    });
    assert_eq!(told(&team), [of_node("firing"), of_node("resolved")]);

    // Several nodes are missing, and an alert of each is open when the server dies.
    let silent: Vec<_> = nodes.into_iter().take(2).map(Beating::stop).collect();
    wait_until("the team is told of both", || {
        let told = told(&team);
        let of = |node: &str| {
            let mut all = told.iter();
            all.any(|(state, _, peer_id)| state == "firing" && peer_id == node)
        };
        of("12D3KooWwell0") && of("12D3KooWwell1")
    });
    one_alert_of_a_server(app, &team, &prometheus);
    drop((silent, dying));
}

/// The server dies while alerts of its nodes are open, and comes back.
#[track_caller]
fn one_alert_of_a_server(mut app: TestApp, team: &Receiver, prometheus: &Prometheus) {
    app.kill();
    let is_down = |state: &str| {
        let down = (
            state.to_owned(),
            "TetcoreAnalyticsDown".to_owned(),
            String::new(),
        );
        told(team).contains(&down)
    };
    wait_until("the team is told that no server is there", || {
        is_down("firing")
    });
    wait_until(
        "the rules of the server and of its nodes would alert too",
        || {
            let firing = r#"ALERTS{alertname="TetcoreAnalyticsServerDown", alertstate="firing"}"#;
            let missing = r#"ALERTS{alertname="TetcoreAnalyticsNodeMissing"}"#;
            // Those of nodes go on for a while, and end.
            !prometheus.query(firing).unwrap().is_empty()
                && prometheus.query(missing).unwrap().is_empty()
        },
    );
    let app = app.start_again();
    wait_until("its end is told", || is_down("resolved"));
    let down = |state: &str| {
        let told = told(team);
        let is_it =
            |one: &(String, String, String)| one.0 == state && one.1 == "TetcoreAnalyticsDown";
        told.iter().position(is_it).unwrap()
    };
    let meanwhile = &told(team)[down("firing")..=down("resolved")];
    let is_of_another = |one: &&(String, String, String)| one.2 == "12D3KooWdying";
    // On a busy machine it may have been silent once more, and be back before the server died.
    let others = meanwhile.iter().filter(is_of_another).count();
    assert!(
        meanwhile
            .iter()
            .filter(is_of_another)
            .all(|one| one.0 == "resolved")
    );
    assert_eq!(
        meanwhile.len() - others,
        2,
        "one alert and its end: {meanwhile:?}\n{}",
        prometheus.log()
    );
    drop(app);
}
