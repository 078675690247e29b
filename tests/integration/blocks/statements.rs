//! The statements about chains, for the tests of plans.

use crate::plans::Statement;

pub(crate) fn about_chains() -> Vec<Statement> {
    let spans = "integer, timestamptz, double precision, integer";
    vec![
        (
            "blocks of a chain",
            include_str!("../../../src/query/chains/blocks.sql"),
            "integer, bigint, timestamptz, timestamptz, timestamptz, bigint".to_owned(),
            "1, 5000, NULL, NULL, NULL, 101".to_owned(),
        ),
        (
            "forks",
            include_str!("../../../src/query/chains/forks.sql"),
            "integer, timestamptz, timestamptz, bigint".to_owned(),
            "1, now() - interval '1 day', now(), 100".to_owned(),
        ),
        (
            "authors of a chain",
            include_str!("../../../src/query/chains/authors.sql"),
            "text, timestamptz, timestamptz, bigint".to_owned(),
            "'chain 1', now() - interval '1 hour', now(), 100".to_owned(),
        ),
        (
            "blocks of an author",
            include_str!("../../../src/query/chains/authored.sql"),
            "text, timestamptz, timestamptz, bigint".to_owned(),
            "'node 7', now() - interval '1 hour', now(), 100".to_owned(),
        ),
        (
            "authored_blocks",
            // Of other blocks only those of the same heights.
            "SELECT * FROM authored_blocks($1, $2)\n-- Index: blocks_pkey.",
            "timestamptz, timestamptz".to_owned(),
            "now() - interval '2 hours', now()".to_owned(),
        ),
        (
            "a chain by blocks",
            include_str!("../../../src/query/chains/spans.sql"),
            spans.to_owned(),
            "1, now() - interval '1 hour', 60, 60".to_owned(),
        ),
        (
            "a chain by hours",
            include_str!("../../../src/query/chains/hours.sql"),
            spans.to_owned(),
            "1, now() - interval '2 days', 3600, 48".to_owned(),
        ),
        (
            "addresses of a chain",
            include_str!("../../../src/query/chains/locations.sql"),
            "text".to_owned(),
            "'chain 1'".to_owned(),
        ),
    ]
}
