//! Statements about services that are no nodes.

use super::Statement;

pub(super) fn about_services() -> Vec<Statement> {
    vec![
        (
            "a service",
            include_str!("../../../src/query/services.sql"),
            "text".to_owned(),
            "'service 7'".to_owned(),
        ),
        (
            "heartbeats of a service",
            include_str!("../../../src/query/service_heartbeats.sql"),
            "text, timestamptz, timestamptz, bigint".to_owned(),
            "'service 7', NULL, NULL, 100".to_owned(),
        ),
    ]
}
