//! Families that are read from the database when they are asked for: what chains and nodes do.

use super::families::{Kind, StoredFamily};

const CHAIN: (&str, &str) = (
    "chain",
    "METRIC_CHAINS_MAX chains, those with the most nodes",
);
const GENESIS: (&str, &str) = ("genesis_hash", "as `chain`");
const STATE: (&str, &str) = ("state", "the states of docs/STATUS.md");

const OF_CHAIN: &[(&str, &str)] = &[CHAIN, GENESIS];
const OF_NODE: &[(&str, &str)] = &[
    ("chain", "the chains of these nodes"),
    ("name", "the names of these nodes"),
    (
        "peer_id",
        "METRICS_NODES_MAX nodes, those that are there first",
    ),
];

const fn of_chain(name: &'static str, help: &'static str) -> StoredFamily {
    StoredFamily {
        name,
        kind: Kind::Gauge,
        help,
        labels: OF_CHAIN,
        path: "/metrics",
    }
}

const fn of_node(name: &'static str, help: &'static str) -> StoredFamily {
    StoredFamily {
        name,
        kind: Kind::Gauge,
        help,
        labels: OF_NODE,
        path: "/metrics/nodes",
    }
}

const fn of_blocks(name: &'static str, help: &'static str) -> StoredFamily {
    StoredFamily {
        name,
        kind: Kind::Histogram,
        help,
        labels: &[CHAIN],
        path: "/metrics/nodes",
    }
}

/// Nodes by status.
pub const CHAIN_NODES: StoredFamily = StoredFamily {
    labels: &[CHAIN, GENESIS, STATE],
    ..of_chain(
        "tetcore_analytics_chain_nodes",
        "Nodes of a chain by status, those that are there or were within a day; METRIC_CHAINS_MAX chains with the most nodes are told.",
    )
};
/// Best block.
pub const CHAIN_BEST_HEIGHT: StoredFamily = of_chain(
    "tetcore_analytics_chain_best_height",
    "Best block of a chain, as a fair part of its nodes reports it.",
);
/// Finalized block.
pub const CHAIN_FINALIZED_HEIGHT: StoredFamily = of_chain(
    "tetcore_analytics_chain_finalized_height",
    "Finalized block of a chain, as a fair part of its nodes reports it.",
);
/// Finality lag.
pub const CHAIN_FINALITY_LAG: StoredFamily = of_chain(
    "tetcore_analytics_chain_largest_finality_lag_blocks",
    "The most blocks that one node of a chain has between its best and its finalized block.",
);
/// Time without a block.
pub const CHAIN_SINCE_LAST_BLOCK: StoredFamily = of_chain(
    "tetcore_analytics_chain_since_last_block_seconds",
    "Time since the last block of a chain was seen first.",
);
/// Time between blocks.
pub const CHAIN_BLOCK_TIME: StoredFamily = of_chain(
    "tetcore_analytics_chain_block_time_seconds",
    "Mean time between two blocks of the last 50 of a chain.",
);
/// Nodes that are not told.
pub const NODES_LEFT_OUT: StoredFamily = StoredFamily {
    labels: &[],
    ..of_node(
        "tetcore_analytics_nodes_left_out",
        "Nodes beyond METRICS_NODES_MAX that this answer leaves out.",
    )
};
/// Whether a node is there.
pub const NODE_UP: StoredFamily = of_node(
    "tetcore_analytics_node_up",
    "Whether a node is there: 1, or 0 if it is missing, offline, lost or out of service.",
);
/// Whether a node is an authority.
pub const NODE_AUTHORITY: StoredFamily = of_node(
    "tetcore_analytics_node_authority",
    "Whether a node said that it has an authority: 1, else 0.",
);
/// Last message.
pub const NODE_LAST_SEEN: StoredFamily = of_node(
    "tetcore_analytics_node_last_seen_timestamp_seconds",
    "Arrival of the last message of a node.",
);
/// Best block.
pub const NODE_BEST_HEIGHT: StoredFamily = of_node(
    "tetcore_analytics_node_best_height",
    "Best block of a node.",
);
/// Finalized block.
pub const NODE_FINALIZED_HEIGHT: StoredFamily = of_node(
    "tetcore_analytics_node_finalized_height",
    "Finalized block of a node.",
);
/// Blocks behind.
pub const NODE_BEHIND: StoredFamily = of_node(
    "tetcore_analytics_node_behind_blocks",
    "Blocks that a node is behind its chain.",
);
/// Finality lag.
pub const NODE_FINALITY_LAG: StoredFamily = of_node(
    "tetcore_analytics_node_finality_lag_blocks",
    "Blocks between the best and the finalized block of a node.",
);
/// Peers.
pub const NODE_PEERS: StoredFamily =
    of_node("tetcore_analytics_node_peers", "Connected peers of a node.");
/// Download.
pub const NODE_DOWNLOAD: StoredFamily = of_node(
    "tetcore_analytics_node_download_bytes_per_second",
    "Download of a node.",
);
/// Upload.
pub const NODE_UPLOAD: StoredFamily = of_node(
    "tetcore_analytics_node_upload_bytes_per_second",
    "Upload of a node.",
);
/// Delay of blocks.
pub const NODE_PROPAGATION: StoredFamily = of_node(
    "tetcore_analytics_node_propagation_seconds",
    "Mean time after the first node at which a node had the last ten blocks.",
);
/// How blocks spread.
pub const BLOCK_PROPAGATION: StoredFamily = of_blocks(
    "tetcore_analytics_block_propagation_seconds",
    "Time from the first report of a block to that of each other node, since midnight UTC. The sum takes each as the middle of its bucket.",
);
/// How blocks become final.
pub const BLOCK_FINALITY: StoredFamily = of_blocks(
    "tetcore_analytics_block_finality_seconds",
    "Time from the first report of a block to the first one that it is finalized, since midnight UTC. The sum takes each as the middle of its bucket.",
);

/// All of them.
pub const STORED: &[&StoredFamily] = &[
    &CHAIN_NODES,
    &CHAIN_BEST_HEIGHT,
    &CHAIN_FINALIZED_HEIGHT,
    &CHAIN_FINALITY_LAG,
    &CHAIN_SINCE_LAST_BLOCK,
    &CHAIN_BLOCK_TIME,
    &NODES_LEFT_OUT,
    &NODE_UP,
    &NODE_AUTHORITY,
    &NODE_LAST_SEEN,
    &NODE_BEST_HEIGHT,
    &NODE_FINALIZED_HEIGHT,
    &NODE_BEHIND,
    &NODE_FINALITY_LAG,
    &NODE_PEERS,
    &NODE_DOWNLOAD,
    &NODE_UPLOAD,
    &NODE_PROPAGATION,
    &BLOCK_PROPAGATION,
    &BLOCK_FINALITY,
];
