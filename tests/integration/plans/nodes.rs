//! Statements about nodes and their status.

use super::Statement;

const NODE_LIST: &str = include_str!("../../../src/query/node_list/list.sql");
const NODE_LIST_TYPES: &str = "text, text, boolean, text, text[], boolean, boolean, text, text, timestamptz, bigint, text, bigint, bigint, timestamptz, text, text[]";
const RECENT_NODES: &str = concat!(
    "SELECT * FROM ",
    include_str!("../../../src/query/node_list/recent.sql"),
    " n"
);

pub(super) fn about_nodes() -> Vec<Statement> {
    vec![
        (
            "nodes",
            include_str!("../../../src/query/nodes.sql"),
            "text, text, boolean, bigint".to_owned(),
            "NULL, NULL, NULL, 100".to_owned(),
        ),
        (
            "nodes of a chain",
            include_str!("../../../src/query/nodes.sql"),
            "text, text, boolean, bigint".to_owned(),
            "'0x01', NULL, NULL, 100".to_owned(),
        ),
        (
            "a page of the list of nodes",
            NODE_LIST,
            NODE_LIST_TYPES.to_owned(),
            "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, now() - interval '9 days', 7, NULL, 100, NULL, NULL, NULL, NULL".to_owned(),
        ),
        (
            "addresses of nodes",
            include_str!("../../../src/query/node_list/addresses.sql"),
            "text, bigint".to_owned(),
            "'0x01', 100001".to_owned(),
        ),
        (
            "nodes in some states",
            RECENT_NODES,
            "int, int, int, int, int, int, int, int, int, int, int, int, int, int, timestamptz".to_owned(),
            "1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, now() + interval '1 day'".to_owned(),
        ),
        (
            "clocks",
            include_str!("../../../src/messages/clocks.sql"),
            "bigint[], timestamptz, timestamptz".to_owned(),
            "'{7,107}', now() - interval '1 hour', now()".to_owned(),
        ),
        (
            "nodes at a moment",
            include_str!("../../../src/query/node_list/at.sql"),
            "text, text, text[], timestamptz, timestamptz, bigint, bigint".to_owned(),
            "NULL, 'name', NULL, now() - interval '9 days', NULL, NULL, 100".to_owned(),
        ),
        (
            "nodes that are judged",
            include_str!("../../../src/status/nodes.sql"),
            "bigint[], text[], text[]".to_owned(),
            "'{7,107}', '{node 7}', '{chain}'".to_owned(),
        ),
        (
            "changes of status",
            include_str!("../../../src/query/status_changes.sql"),
            "text, text, text, boolean, timestamptz, timestamptz, bigint, bigint, bigint".to_owned(),
            "NULL, NULL, NULL, false, NULL, NULL, NULL, 19000, 100".to_owned(),
        ),
        (
            "nodes that flap",
            include_str!("../../../src/query/status_flapping.sql"),
            "timestamptz, bigint, text, bigint".to_owned(),
            "now() - interval '1 hour', 4, NULL, 100".to_owned(),
        ),
        (
            "telemetry of a node",
            include_str!("../../../src/query/node_telemetry.sql"),
            "text, timestamptz, timestamptz, bigint".to_owned(),
            "'node 7', now() - interval '1 day', now(), 100".to_owned(),
        ),
        (
            "errors of all nodes",
            include_str!("../../../src/messages/of_kinds.sql"),
            "smallint[], timestamptz, timestamptz, timestamptz, bigint, text, text, bigint".to_owned(),
            "'{101}', now() - interval '1 day', now(), NULL, NULL, NULL, NULL, 100".to_owned(),
        ),
        (
            "gaps of a node",
            include_str!("../../../src/query/node_gaps.sql"),
            "text, text, timestamptz, timestamptz, bigint".to_owned(),
            "'node 7', 'chain', now() - interval '1 day', now(), 100".to_owned(),
        ),
    ]
}
