//! Statements about events.

use std::sync::LazyLock;

use super::Statement;

const FILTER: &str = include_str!("../../../src/query/events/filter.sql");
const FILTER_TYPES: &str = "text, text, text, text[], text[], text[], text";

static LIST: LazyLock<String> = LazyLock::new(|| {
    include_str!("../../../src/query/events/list.sql").replace("{filter}", FILTER.trim_end())
});
static STATS: LazyLock<String> = LazyLock::new(|| {
    include_str!("../../../src/query/events/stats.sql")
        .replace("{filter}", FILTER.trim_end())
        .replace("{group}", "name")
        .replace("{measure}", "count(*)")
});

pub(super) fn about_events() -> Vec<Statement> {
    let list_types =
        format!("{FILTER_TYPES}, timestamptz, timestamptz, timestamptz, bigint, bigint");
    let window = "now() - interval '9 days', now() + interval '1 day', NULL, 0, 100";
    let filter = |source: &str, name: &str| {
        format!("{source}, NULL, {name}, '{{info,error}}', '{{}}', '{{}}', NULL")
    };
    vec![
        (
            "a page of events",
            LIST.as_str(),
            list_types.clone(),
            format!("{}, {window}", filter("NULL", "NULL")),
        ),
        (
            "events of a source",
            LIST.as_str(),
            list_types.clone(),
            format!("{}, {window}", filter("'source 7'", "NULL")),
        ),
        (
            "events of a name",
            LIST.as_str(),
            list_types,
            format!("{}, {window}", filter("NULL", "'name 7'")),
        ),
        (
            "events after a number",
            include_str!("../../../src/query/events/after.sql"),
            "bigint, bigint, timestamptz, timestamptz".to_owned(),
            "19000, 100, now() - interval '9 days', now()".to_owned(),
        ),
        (
            "events measured",
            STATS.as_str(),
            format!("{FILTER_TYPES}, timestamptz, timestamptz, text, text, bigint, bigint"),
            format!(
                "{}, now() - interval '10 minutes', now(), NULL, NULL, 60, 20",
                filter("NULL", "NULL")
            ),
        ),
    ]
}
