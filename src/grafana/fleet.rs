//! *Fleet*: how all nodes are, which versions they run, and who needs attention.

use super::dashboard::Dashboard;
use super::panel::{Panel, sql};
use super::variable::{Annotation, CHAINS, Variable};
use super::{field, link};

pub(super) fn dashboard(server_url: &str) -> Dashboard {
    Dashboard {
        uid: "tetcore-fleet".to_owned(),
        title: "Fleet".to_owned(),
        description: "Which nodes there are, how they are, which versions they run, and who needs attention.",
        range: "24h",
        refresh: "30s",
        variables: vec![
            Variable::several("chain", "Chain", CHAINS),
            Variable::server(server_url),
        ],
        annotations: vec![chain_changes(), Annotation::own_outages()],
        panels: vec![
            by_state(),
            open_alerts(),
            attention(),
            alerts(),
            chains(),
            changes(),
            messages(),
            versions(),
            versions_over_time(),
            down(),
            nodes(),
        ],
    }
}

/// Changes of whole chains.
pub(super) fn chain_changes() -> Annotation {
    Annotation {
        name: "Telemetry of a chain lost",
        color: "red",
        sql: sql("SELECT changed_at AS time, concat_ws(' ', chain, from_state, 'to', to_state, nodes, 'nodes') AS text, to_state AS tags
FROM status_changes WHERE $__timeFilter(changed_at) AND subject = 'chain' AND @chains ORDER BY 1 LIMIT 1000"),
    }
}

fn by_state() -> Panel {
    Panel::stat(
        "Nodes by status",
        "How many nodes are in which state now; docs/STATUS.md says what each means.",
    )
    .size(18, 4)
    .sql(
        "SELECT count(*) FILTER (WHERE state = 'online') AS online,
       count(*) FILTER (WHERE state = 'syncing') AS syncing,
       count(*) FILTER (WHERE state = 'lagging') AS lagging,
       count(*) FILTER (WHERE state = 'stalled') AS stalled,
       count(*) FILTER (WHERE state = 'conflict') AS conflict,
       count(*) FILTER (WHERE state = 'late') AS late,
       count(*) FILTER (WHERE state = 'missing') AS missing,
       count(*) FILTER (WHERE state = 'telemetry_lost') AS \"telemetry lost\",
       count(*) FILTER (WHERE state = 'offline') AS offline
FROM node_status WHERE @chains",
    )
    .column("online", vec![field::color("green")])
    .column("syncing", vec![field::color("blue")])
    .column("offline", vec![field::color("text")])
    .column("late", field::bad_from(1.0, "yellow"))
    .column("lagging", field::bad_from(1.0, "yellow"))
    .column("stalled", field::bad_from(1.0, "orange"))
    .column("conflict", field::bad_from(1.0, "purple"))
    .column("missing", field::bad_from(1.0, "red"))
    .column("telemetry lost", field::bad_from(1.0, "red"))
    .all(vec![field::links(link::page("Nodes page", ""))])
}

fn open_alerts() -> Panel {
    Panel::stat(
        "Open alerts",
        "Alerts of the server that are not resolved, by severity.",
    )
    .size(6, 4)
    .sql(
        "SELECT count(*) FILTER (WHERE severity = 'critical') AS critical,
       count(*) FILTER (WHERE severity = 'warning') AS warning,
       count(*) FILTER (WHERE severity = 'info') AS info
FROM alerts WHERE resolved_at IS NULL AND (genesis_hash IS NULL OR @chains)",
    )
    .column("critical", field::bad_from(1.0, "red"))
    .column("warning", field::bad_from(1.0, "orange"))
    .all(vec![field::links(link::page("Alerts page", "alerts"))])
}

/// Columns of a table of nodes.
pub(super) fn of_nodes(panel: Panel) -> Panel {
    panel
        .column("state", field::states())
        .column("node", vec![field::links(link::node()), field::width(220)])
        .column("chain", vec![field::links(link::chain())])
        .column("height", vec![field::unit("locale")])
        .column("download", vec![field::unit("Bps")])
        .column("upload", vec![field::unit("Bps")])
        .column("uptime", vec![field::unit("percentunit")])
        .column("down", vec![field::unit("s")])
        .column("genesis_hash", vec![field::hidden()])
}

fn attention() -> Panel {
    of_nodes(
        Panel::table(
            "Who needs attention",
            "Nodes that are not well, the worst first; those that are offline for a week are left out.",
        )
        .sql(
            "SELECT state, name AS node, chain, reason, since, last_seen_at AS \"last seen\", best_height AS height, behind_blocks AS behind,
       finality_lag_blocks AS \"finality lag\", peers, version, peer_id, genesis_hash
FROM node_state
WHERE state <> 'online' AND (state <> 'offline' OR since > now() - interval '7 days') AND @chains
ORDER BY array_position('{conflict,missing,telemetry_lost,stalled,lagging,late,offline,syncing}'::text[], state), since LIMIT 200",
        ),
    )
}

fn alerts() -> Panel {
    Panel::table("Alerts", "Open alerts, the gravest first; docs/ALERTS.md says what each rule means and what to do.")
        .size(24, 7)
        .sql(
            "SELECT severity, rule, summary, coalesce(name, '') AS name, chain, fired_at AS fired, began_at AS began, flaps
FROM alerts WHERE resolved_at IS NULL AND (genesis_hash IS NULL OR @chains)
ORDER BY array_position('{critical,warning,info}'::text[], severity), fired_at LIMIT 200",
        )
        .column("severity", field::severities())
        .column("rule", vec![field::links(link::page("Alerts page", "alerts"))])
        .column("summary", vec![field::width(600)])
}

fn chains() -> Panel {
    Panel::table("Chains", "Where each chain is, as a fair part of its nodes says.")
        .size(24, 6)
        .sql(
            "SELECT max(chain) AS chain, count(*) AS nodes, count(*) FILTER (WHERE online) AS online,
       chain_height(array_agg(best_height) FILTER (WHERE online)) AS height,
       chain_height(array_agg(finalized_height) FILTER (WHERE online)) AS finalized, max(last_seen_at) AS \"last seen\", genesis_hash
FROM nodes WHERE @chains GROUP BY genesis_hash ORDER BY nodes DESC LIMIT 100",
        )
        .column("chain", vec![field::links(link::chain())])
        .column("height", vec![field::unit("locale")])
        .column("finalized", vec![field::unit("locale")])
}

fn changes() -> Panel {
    Panel::bars("Changes of status", "How many nodes changed into which state; parts of an event of a whole chain count too.").sql(
        "SELECT $__timeGroupAlias(changed_at, $__interval), to_state AS metric, count(*) AS changes
FROM status_changes WHERE $__timeFilter(changed_at) AND subject = 'node' AND @chains GROUP BY 1, 2 ORDER BY 1",
    )
}

fn messages() -> Panel {
    Panel::stack("Messages", "Messages of the nodes in each hour, by chain, per second.")
        .hourly()
        .unit("cps")
        .sql(
            "SELECT h.hour AS time, c.chain AS metric, sum(h.messages) / 3600.0 AS messages
FROM node_hours h JOIN (SELECT genesis_hash, max(chain) AS chain FROM nodes GROUP BY 1) c USING (genesis_hash)
WHERE $__timeFilter(h.hour) AND @chains GROUP BY 1, 2 ORDER BY 1",
        )
}

fn versions() -> Panel {
    Panel::table("Versions now", "What the nodes run that are online, or were within a day.")
        .size(12, 8)
        .sql(
            "SELECT chain, implementation, version, nodes, online, share, first_started_at AS \"first started\", genesis_hash
FROM version_adoption WHERE @chains ORDER BY nodes DESC LIMIT 200",
        )
        .column("share", vec![field::unit("percentunit")])
        .column("chain", vec![field::links(link::chain())])
        .column("genesis_hash", vec![field::hidden()])
}

fn versions_over_time() -> Panel {
    Panel::stack("Versions over time", "How many nodes ran which version in each hour; relay chain nodes within parachain nodes are left out.")
        .hourly()
        .sql(
            "SELECT hour AS time, concat_ws(' ', nullif(implementation, ''), coalesce(nullif(version, ''), '(unknown)')) AS metric, sum(nodes) AS nodes
FROM software_hours WHERE $__timeFilter(hour) AND NOT shares_process AND @chains GROUP BY 1, 2 ORDER BY 1",
        )
}

fn down() -> Panel {
    of_nodes(
        Panel::table(
            "Nodes that went down",
            "Nodes that became missing or offline in the range, by uptime; outages of our own are left out of it. At most 100 nodes are looked at.",
        )
        .size(24, 7)
        .sql(
            "SELECT n.name AS node, n.chain, u.uptime, u.down_s AS down, u.own_outage_s AS \"our own outage\", n.peer_id, n.genesis_hash
FROM (SELECT DISTINCT peer_id, genesis_hash FROM status_changes
      WHERE $__timeFilter(changed_at) AND subject = 'node' AND to_state IN ('missing', 'offline', 'telemetry_lost') AND @chains LIMIT 100) c
JOIN nodes n USING (peer_id, genesis_hash)
CROSS JOIN LATERAL node_uptime(n.peer_id, n.genesis_hash, @from, @to) u
ORDER BY u.uptime LIMIT 100",
        )
        .column("our own outage", vec![field::unit("s")]),
    )
}

fn nodes() -> Panel {
    of_nodes(
        Panel::table("Nodes", "All nodes, those that are online first; at most 1,000, the Nodes page has more.")
            .size(24, 12)
            .sql(
                "SELECT state, name AS node, chain, since, best_height AS height, behind_blocks AS behind, finality_lag_blocks AS \"finality lag\", peers,
       download_bytes_per_s AS download, upload_bytes_per_s AS upload, version, authority, peer_id, genesis_hash
FROM node_state WHERE @chains ORDER BY online DESC, name LIMIT 1000",
            ),
    )
}
