//! *Chain*: how its blocks spread and become final, where it forks, and who builds it.

use serde_json::json;

use super::dashboard::Dashboard;
use super::fleet::{chain_changes, of_nodes};
use super::panel::Panel;
use super::variable::{Annotation, CHAINS, Variable};
use super::{field, link};

/// Digits of a genesis hash that tell chains apart.
const HASH_DIGITS: usize = 16;

pub(super) fn dashboard(server_url: &str) -> Dashboard {
    with(
        "tetcore-chain".to_owned(),
        "Chain".to_owned(),
        vec![
            Variable::one("chain", "Chain", CHAINS),
            Variable::server(server_url),
        ],
    )
}

/// For one chain, which is not to be chosen.
pub(super) fn of(server_url: &str, name: &str, genesis_hash: &str) -> Dashboard {
    let digits = genesis_hash.trim_start_matches("0x");
    let digits: String = digits.chars().take(HASH_DIGITS).collect();
    with(
        format!("tetcore-chain-{digits}"),
        format!("Chain {name}"),
        vec![
            Variable::constant("chain", genesis_hash),
            Variable::server(server_url),
        ],
    )
}

fn with(uid: String, title: String, variables: Vec<Variable>) -> Dashboard {
    Dashboard {
        uid,
        title,
        description: "One chain: block time, propagation, finality, forks, its nodes and authors. Up to a day is read from its blocks, more from hours.",
        range: "6h",
        refresh: "1m",
        variables,
        annotations: vec![
            chain_changes(),
            Annotation::own_outages(),
            Annotation::benchmark_phases(),
        ],
        panels: vec![
            now(),
            block_time(),
            propagation(),
            finality(),
            forks(),
            delays(),
            first_reporters(),
            forked_heights(),
            authors(),
            versions(),
            nodes(),
        ],
    }
}

fn now() -> Panel {
    Panel::stat("Now", "Where the chain is, as a fair part of its nodes says.")
        .sql(
            "SELECT count(*) FILTER (WHERE online) AS \"nodes online\", count(*) AS nodes,
       chain_height(array_agg(best_height) FILTER (WHERE online)) AS height,
       chain_height(array_agg(finalized_height) FILTER (WHERE online)) AS finalized,
       chain_height(array_agg(best_height) FILTER (WHERE online)) - chain_height(array_agg(finalized_height) FILTER (WHERE online)) AS \"finality lag\",
       (SELECT first_at FROM blocks WHERE chain_id = (SELECT id FROM chains WHERE genesis_hash = ${chain:sqlstring}) ORDER BY first_at DESC LIMIT 1) AS \"last block\"
FROM nodes WHERE genesis_hash = ${chain:sqlstring}",
        )
        .column("height", vec![field::unit("locale")])
        .column("finalized", vec![field::unit("locale")])
        .column("last block", vec![field::unit("dateTimeFromNow")])
        .all(vec![field::links(link::page("Page of this chain", "chain?chain=${chain}"))])
}

fn block_time() -> Panel {
    Panel::lines("Block time", "Time from one height to the next, by the first reports of both: the mean, and the longest.")
        .unit("s")
        .sql(
            "SELECT $__timeGroupAlias(first_at, $__interval), avg(extract(epoch FROM first_at - before)) AS mean, max(extract(epoch FROM first_at - before)) AS longest
FROM (SELECT height, first_at, lag(first_at) OVER (ORDER BY height) AS before
      FROM (SELECT b.height, min(b.first_at) AS first_at FROM blocks b JOIN chains c ON c.id = b.chain_id
            WHERE c.genesis_hash = ${chain:sqlstring} AND $__timeFilter(b.first_at) AND @day GROUP BY 1) h) d
GROUP BY 1
UNION ALL
SELECT extract(epoch FROM h.hour), 3600.0 / nullif(h.heights, 0), NULL
FROM @chain_hours AND h.hour < date_trunc('hour', now()) AND @long
ORDER BY 1",
        )
}

fn propagation() -> Panel {
    Panel::lines(
        "Propagation",
        "How long after the first node half, 90 % and 99 % of the reports of the others came, of all blocks of an interval together.",
    )
    .unit("s")
    .points(150)
    .sql(
        "SELECT s.time, block_delay_quantile(array_agg(s.n ORDER BY s.i), 0.5) AS \"half\", block_delay_quantile(array_agg(s.n ORDER BY s.i), 0.9) AS \"90 %\",
       block_delay_quantile(array_agg(s.n ORDER BY s.i), 0.99) AS \"99 %\"
FROM (SELECT $__timeGroupAlias(b.first_at, $__interval), d.i, sum(d.n)::bigint AS n
      FROM blocks b JOIN chains c ON c.id = b.chain_id CROSS JOIN LATERAL unnest(b.delays) WITH ORDINALITY AS d (n, i)
      WHERE c.genesis_hash = ${chain:sqlstring} AND $__timeFilter(b.first_at) AND @day GROUP BY 1, 2) s
GROUP BY 1
UNION ALL
SELECT extract(epoch FROM h.hour), block_delay_quantile(h.delays, 0.5), block_delay_quantile(h.delays, 0.9), block_delay_quantile(h.delays, 0.99)
FROM @chain_hours AND @long
ORDER BY 1",
    )
}

fn finality() -> Panel {
    Panel::lines("Time to finality", "From the first report of a block to the first that its height is final: the mean (of hours the median), and 99 %.")
        .unit("s")
        .sql(
            "SELECT $__timeGroupAlias(first_at, $__interval), avg(finality_s) AS middle, percentile_cont(0.99) WITHIN GROUP (ORDER BY finality_s) AS \"99 %\"
FROM finality_lag(@from, @to) WHERE genesis_hash = ${chain:sqlstring} AND finality_s IS NOT NULL AND @day GROUP BY 1
UNION ALL
SELECT extract(epoch FROM h.hour), block_delay_quantile(h.finality, 0.5), block_delay_quantile(h.finality, 0.99)
FROM @chain_hours AND @long
ORDER BY 1",
        )
}

fn forks() -> Panel {
    Panel::bars(
        "Forks",
        "Blocks of each hour that compete with another of their height that was seen before.",
    )
    .hourly()
    .sql(
        "SELECT h.hour AS time, h.forks
FROM @chain_hours ORDER BY 1",
    )
}

fn delays() -> Panel {
    Panel::bar_chart("How late nodes had blocks", "Reports of blocks by their delay after the first one, of the hours of the range.").sql(
        "SELECT coalesce((block_delay_bounds())[d.i - 1]::text || ' ms', '0') AS delay, sum(d.n)::bigint AS reports
FROM chain_hours h JOIN chains c ON c.id = h.chain_id CROSS JOIN LATERAL unnest(h.delays) WITH ORDINALITY AS d (n, i)
WHERE c.genesis_hash = ${chain:sqlstring} AND h.hour BETWEEN date_trunc('hour', @from) AND $__timeTo()
GROUP BY d.i ORDER BY d.i",
    )
}

fn first_reporters() -> Panel {
    Panel::table("Who sees blocks first", "Nodes by how many blocks of the range they reported first.")
        .size(12, 8)
        .sql(
            "SELECT n.name AS node, r.peer_id, r.blocks, r.share, n.genesis_hash
FROM (SELECT first_peer_id AS peer_id, count(*) AS blocks, count(*) / sum(count(*)) OVER () AS share
      FROM block_propagation(@from, @to) WHERE genesis_hash = ${chain:sqlstring} GROUP BY 1 ORDER BY 2 DESC LIMIT 50) r
LEFT JOIN nodes n ON n.peer_id = r.peer_id AND n.genesis_hash = ${chain:sqlstring} ORDER BY r.blocks DESC",
        )
        .column("node", vec![field::links(link::node())])
        .column("share", vec![field::unit("percentunit")])
        .column("genesis_hash", vec![field::hidden()])
}

fn forked_heights() -> Panel {
    Panel::table("Heights with several blocks", "Where the chain forked in the range, and whether it is decided; the newest 100.")
        .size(12, 8)
        .sql(
            "SELECT height, count(*) AS blocks, min(first_at) AS \"first seen\", bool_or(is_final) AS decided,
       string_agg(left(hash, 10), ' ' ORDER BY first_at) AS hashes
FROM finality_lag(@from, @to)
WHERE genesis_hash = ${chain:sqlstring} GROUP BY height HAVING count(*) > 1 ORDER BY height DESC LIMIT 100",
        )
        .column("height", vec![field::unit("locale"), field::links(link::page("Page of this chain", "chain?chain=${chain}"))])
}

fn authors() -> Panel {
    Panel::table("Authors", "Blocks of the range that nodes reported as their own, and those of them that were lost to a fork.")
        .size(12, 8)
        .sql(
            "SELECT n.name AS node, a.peer_id, a.blocks, a.lost, a.newest, n.genesis_hash
FROM (SELECT peer_id, count(*) AS blocks, count(*) FILTER (WHERE is_lost) AS lost, max(first_at) AS newest
      FROM authored_blocks(@from, @to) WHERE genesis_hash = ${chain:sqlstring} GROUP BY 1 ORDER BY 2 DESC LIMIT 200) a
LEFT JOIN nodes n ON n.peer_id = a.peer_id AND n.genesis_hash = ${chain:sqlstring} ORDER BY a.blocks DESC",
        )
        .column("node", vec![field::links(link::node())])
        .column("lost", field::bad_from(1.0, "orange"))
        .column("genesis_hash", vec![field::hidden()])
}

fn versions() -> Panel {
    Panel::stack("Versions", "How many nodes ran which version in each hour.")
        .hourly()
        .sql(
            "SELECT hour AS time, concat_ws(' ', nullif(implementation, ''), coalesce(nullif(version, ''), '(unknown)')) AS metric, sum(nodes) AS nodes
FROM software_hours WHERE $__timeFilter(hour) AND genesis_hash = ${chain:sqlstring} GROUP BY 1, 2 ORDER BY 1",
        )
}

fn nodes() -> Panel {
    of_nodes(
        Panel::table("Nodes", "Its nodes, those that are furthest behind first; at most 1,000.")
            .size(24, 12)
            .sql(
                "SELECT state, name AS node, chain, since, best_height AS height, behind_blocks AS behind, finality_lag_blocks AS \"finality lag\", peers, version, authority, peer_id, genesis_hash
FROM node_state WHERE genesis_hash = ${chain:sqlstring} ORDER BY online DESC, behind_blocks DESC NULLS LAST, name LIMIT 1000",
            ),
    )
    .column("behind", vec![("custom.cellOptions", json!({"type": "color-text"}))])
}
