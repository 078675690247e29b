//! *Node*: one node, now and over time.

use super::dashboard::Dashboard;
use super::panel::{Panel, sql};
use super::variable::{Annotation, CHAINS, NODES, Variable};
use super::{field, link};

pub(super) fn dashboard(server_url: &str) -> Dashboard {
    Dashboard {
        uid: "tetcore-node".to_owned(),
        title: "Node".to_owned(),
        description: "One node: whether it is alive and well, where it is, and what it said. Up to half a day is read from its messages, more from hours.",
        range: "6h",
        refresh: "30s",
        variables: vec![
            Variable::one("chain", "Chain", CHAINS),
            Variable::one("node", "Node", NODES),
            Variable::server(server_url),
        ],
        annotations: vec![
            status_changes(),
            restarts(),
            Annotation::benchmark_phases(),
            Annotation::own_outages(),
        ],
        panels: vec![
            now(),
            states(),
            heights(),
            lag(),
            peers(),
            bandwidth(),
            transactions(),
            telemetry(),
            ends(),
            blocks(),
            authored(),
            sessions(),
            messages(),
        ],
    }
}

fn status_changes() -> Annotation {
    Annotation {
        name: "Changes of status",
        color: "yellow",
        sql: sql("SELECT changed_at AS time, concat_ws(' ', from_state, 'to', to_state || ':', reason) AS text, to_state AS tags
FROM status_changes WHERE @node AND $__timeFilter(changed_at) ORDER BY 1 LIMIT 1000"),
    }
}

fn restarts() -> Annotation {
    Annotation {
        name: "Restarts",
        color: "blue",
        sql: sql("SELECT created_at AS time, concat_ws(' ', 'started', version) AS text, 'restart' AS tags
FROM (SELECT created_at, version, startup_time, lag(startup_time) OVER (ORDER BY created_at, id) AS before
      FROM peer_connections WHERE peer_id = ${node:sqlstring}) s
WHERE startup_time IS DISTINCT FROM before AND $__timeFilter(created_at) ORDER BY 1 LIMIT 1000"),
    }
}

fn now() -> Panel {
    Panel::stat("Now", "What the node is and says now; behind: blocks behind its chain, finality lag: blocks between its best and its last finalized block.")
        .sql(
            "SELECT state, since, best_height AS height, behind_blocks AS behind, finality_lag_blocks AS \"finality lag\", peers, version,
       (SELECT uptime FROM node_uptime(${node:sqlstring}, ${chain:sqlstring}, @from, @to)) AS \"uptime in the range\"
FROM node_state WHERE @node",
        )
        .column("state", vec![("mappings", field::state_mappings())])
        .column("since", vec![field::unit("dateTimeFromNow")])
        .column("height", vec![field::unit("locale")])
        .column("behind", field::bad_from(10.0, "orange"))
        .column("uptime in the range", vec![field::unit("percentunit"), ("decimals", serde_json::json!(3))])
        .all(vec![field::links(link::page(
            "Page of this node",
            "node?peer_id=${node}",
        ))])
}

fn states() -> Panel {
    Panel::timeline("Status", "Its states over time, see docs/STATUS.md.").sql(
        "(SELECT @from AS time, to_state AS status FROM status_changes WHERE @node AND changed_at < $__timeFrom() ORDER BY id DESC LIMIT 1)
UNION ALL
(SELECT changed_at AS time, to_state AS status FROM status_changes WHERE @node AND $__timeFilter(changed_at) ORDER BY id LIMIT 5000)
ORDER BY 1",
    )
}

/// Values over time: those that it reported, or of more than half a day those of hours.
fn reported(panel: Panel, raw: &str, hours: &str) -> Panel {
    panel.sql(&format!(
        "SELECT $__timeGroupAlias(created_at, $__interval), {raw}
FROM telemetry_logs WHERE $__timeFilter(created_at) AND msg = 'system.interval' AND @sessions AND @short GROUP BY 1
UNION ALL
SELECT extract(epoch FROM hour), {hours}
FROM node_hours WHERE $__timeFilter(hour) AND @node AND @hours
ORDER BY 1"
    ))
}

fn heights() -> Panel {
    reported(
        Panel::lines("Height", "Its best and its last finalized block.").unit("locale"),
        "max(telemetry_integer(logs, 'height')) AS \"best block\", max(telemetry_integer(logs, 'finalized_height')) AS \"finalized block\"",
        "best_height, finalized_height",
    )
}

fn lag() -> Panel {
    reported(
        Panel::lines(
            "Finality lag",
            "Blocks between its best and its last finalized block: the mean, and the most.",
        ),
        "avg(telemetry_integer(logs, 'height') - telemetry_integer(logs, 'finalized_height')) AS mean, max(telemetry_integer(logs, 'height') - telemetry_integer(logs, 'finalized_height'))::numeric AS most",
        "lag_sum::numeric / nullif(lag_count, 0), lag_max",
    )
}

fn peers() -> Panel {
    reported(
        Panel::lines("Peers", "Connected peers: the mean, and the least."),
        "avg(telemetry_integer(logs, 'peers')) AS mean, min(telemetry_integer(logs, 'peers'))::numeric AS least",
        "peers_sum::numeric / nullif(peers_count, 0), peers_min",
    )
}

fn bandwidth() -> Panel {
    reported(
        Panel::lines(
            "Bandwidth",
            "What it receives and sends, as it says: the mean.",
        )
        .unit("Bps"),
        "avg(telemetry_number(logs, 'bandwidth_download')) AS download, avg(telemetry_number(logs, 'bandwidth_upload')) AS upload",
        "download_sum::numeric / nullif(download_count, 0), upload_sum::numeric / nullif(upload_count, 0)",
    )
}

fn transactions() -> Panel {
    reported(
        Panel::lines(
            "Transaction pool",
            "Transactions in its pool: the mean, and the most.",
        ),
        "avg(telemetry_integer(logs, 'txcount')) AS mean, max(telemetry_integer(logs, 'txcount'))::numeric AS most",
        "transactions_sum::numeric / nullif(transactions_count, 0), transactions_max",
    )
}

fn telemetry() -> Panel {
    Panel::lines("Telemetry that arrived", "Of the reports that are due while it is connected, one in 2.5 s, the share that arrived, by hour.")
        .hourly()
        .unit("percentunit")
        .sql(
            "SELECT hour AS time, least(1, intervals * 2.5 / nullif(seconds_online, 0)) AS share
FROM node_hours WHERE $__timeFilter(hour) AND @node ORDER BY 1",
        )
}

fn ends() -> Panel {
    Panel::bars("Sessions that ended", "How many of its sessions ended in each hour, by reason.")
        .hourly()
        .sql(
            "SELECT h.hour AS time, g.key AS metric, g.value::bigint AS sessions
FROM node_hours h CROSS JOIN LATERAL jsonb_each_text(h.gaps) AS g (key, value)
WHERE $__timeFilter(h.hour) AND h.peer_id = ${node:sqlstring} AND h.genesis_hash = ${chain:sqlstring} ORDER BY 1",
        )
}

fn blocks() -> Panel {
    Panel::bars("Blocks imported", "Blocks that became its best, by how they came; of a range of up to half a day.").sql(
        "SELECT $__timeGroupAlias(created_at, $__interval), coalesce(logs ->> 'origin', '(unknown)') AS metric, count(*) AS blocks
FROM telemetry_logs WHERE $__timeFilter(created_at) AND msg = 'block.import' AND @sessions AND @short GROUP BY 1, 2 ORDER BY 1",
    )
}

fn authored() -> Panel {
    Panel::table("Blocks that it built, or missed", "By outcome, see docs/CHAINS.md; the newest 200.")
        .size(12, 8)
        .sql(
            "SELECT height, outcome, coalesce(first_at, sealed_at, prepared_at) AS at, finalized_at AS finalized, hash
FROM block_authoring(@from, @to, ${chain:sqlstring}, ${node:sqlstring}) ORDER BY height DESC LIMIT 200",
        )
        .column("height", vec![field::unit("locale")])
}

fn sessions() -> Panel {
    Panel::table("Sessions", "Its newest connections: what it ran, on which machine, and how they ended.")
        .size(12, 8)
        .sql(
            "SELECT created_at AS began, disconnected_at AS ended, disconnect_reason AS reason, version, target_os AS os, target_arch AS arch, cpu,
       core_count AS cores, memory_bytes AS memory
FROM peer_connections WHERE peer_id = ${node:sqlstring} ORDER BY created_at DESC, id DESC LIMIT 50",
        )
        .column("memory", vec![field::unit("bytes")])
}

fn messages() -> Panel {
    Panel::table("Newest messages", "The last 100 of its latest session in the range; the page of the node has all.")
        .size(24, 10)
        .sql(
            // The latest session alone, so that PostgreSQL stops at the last of them.
            "SELECT m.created_at AS time, k.msg AS kind, m.logs::text AS fields
FROM (SELECT created_at, kind_id, logs FROM telemetry_rows
      WHERE peer_connection_id = (SELECT session_id FROM nodes WHERE @node) AND $__timeFilter(created_at)
      ORDER BY created_at DESC LIMIT 100) m
JOIN message_kinds k ON k.id = m.kind_id ORDER BY m.created_at DESC",
        )
        .column("kind", vec![field::width(200)])
        .column("fields", vec![field::links(link::page("Page of this node", "node?peer_id=${node}"))])
}
