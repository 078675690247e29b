//! The transports by which events leave, and the log of this server.

use super::{number, secret, text};
use crate::config::settings::{DefaultValue, Setting};

const FILTER: &str = "conditions between commas";
const DELIVERY: &str = "at_least_once or at_most_once";

const fn filter(name: &'static str) -> Setting {
    text(
        name,
        DefaultValue::Unset,
        FILTER,
        "Which events this transport sends: those that fit all conditions. severity=warn for that severity and graver ones, name=job.*|transfer, name!=PATTERN, source=PATTERN, source!=PATTERN; * stands for anything. Not set: all.",
    )
}

const fn delivery(name: &'static str) -> Setting {
    text(
        name,
        DefaultValue::Text("at_least_once"),
        DELIVERY,
        "at_least_once loses nothing, and what is under way when a server dies comes twice; at_most_once sends nothing twice, and what is under way when a server dies, or is refused by a receiver that is down, is lost and counted.",
    )
}

pub(super) const SETTINGS: &[Setting] = &[
    text(
        "EVENT_TRANSPORTS",
        DefaultValue::Unset,
        "console, webhook, honeycomb, otlp, loki, separated by commas, up to 8",
        "Events are sent on by these, see docs/TRANSPORTS.md. Further ones of a kind have a number, up to 8, also in the names of their settings: webhook-2 has EVENT_WEBHOOK_2_URL. Not set: none.",
    ),
    number(
        "EVENT_BATCH_EVENTS",
        "1000",
        (1, 10_000),
        "events",
        "Most events of one request of a transport. Low: more requests; high: one that fails repeats more.",
    ),
    number(
        "EVENT_BATCH_BYTES",
        "1000000",
        (10_000, 4_000_000),
        "bytes",
        "Size of the events of one request, before compression; one that is larger goes alone. High: receivers refuse it.",
    ),
    number(
        "EVENT_BATCH_AGE_MS",
        "1000",
        (0, 60_000),
        "ms",
        "Longest wait of an event for others of its request.",
    ),
    number(
        "EVENT_BACKLOG_MAX_BYTES",
        "1073741824",
        (1_048_576, 1_099_511_627_776),
        "bytes",
        "What may wait for one transport, as it lies in the database. Over it the oldest are not sent, which is counted and logged; they stay in the database.",
    ),
    filter("EVENT_CONSOLE_FILTER"),
    delivery("EVENT_CONSOLE_DELIVERY"),
    secret(
        "EVENT_WEBHOOK_URL",
        "an address with http or https",
        "Transport webhook: events are posted there as Standard Webhooks. Needs EVENT_WEBHOOK_SECRET.",
    ),
    secret(
        "EVENT_WEBHOOK_SECRET",
        "as NOTIFY_WEBHOOK_SECRET",
        "Transport webhook: keys by which requests are signed.",
    ),
    filter("EVENT_WEBHOOK_FILTER"),
    delivery("EVENT_WEBHOOK_DELIVERY"),
    text(
        "EVENT_HONEYCOMB_URL",
        DefaultValue::Text("https://api.honeycomb.io"),
        "an address with http or https",
        "Transport honeycomb: its address; that of Europe is https://api.eu1.honeycomb.io.",
    ),
    secret(
        "EVENT_HONEYCOMB_KEY",
        "a key that may send events",
        "Transport honeycomb: the key of the team (X-Honeycomb-Team).",
    ),
    text(
        "EVENT_HONEYCOMB_DATASET",
        DefaultValue::Unset,
        "a name",
        "Transport honeycomb: the dataset of all events. Not set: one for each service_id of events, up to 100, and tetcore-analytics for the others.",
    ),
    filter("EVENT_HONEYCOMB_FILTER"),
    delivery("EVENT_HONEYCOMB_DELIVERY"),
    secret(
        "EVENT_OTLP_URL",
        "an address with http or https",
        "Transport otlp: where logs are posted; /v1/logs is added unless it ends so.",
    ),
    secret(
        "EVENT_OTLP_HEADERS",
        "NAME=VALUE between commas",
        "Transport otlp: headers of each request, such as authorization=Bearer KEY.",
    ),
    filter("EVENT_OTLP_FILTER"),
    delivery("EVENT_OTLP_DELIVERY"),
    secret(
        "EVENT_LOKI_URL",
        "an address with http or https",
        "Transport loki: its address; /loki/api/v1/push is added unless it ends so.",
    ),
    text(
        "EVENT_LOKI_USER",
        DefaultValue::Unset,
        "a name",
        "Transport loki: user for basic authorization, with EVENT_LOKI_KEY as its password. Not set: EVENT_LOKI_KEY is a bearer token.",
    ),
    secret(
        "EVENT_LOKI_KEY",
        "a password or a token",
        "Transport loki: password or token. Not set: no authorization.",
    ),
    text(
        "EVENT_LOKI_TENANT",
        DefaultValue::Unset,
        "a name",
        "Transport loki: the tenant (X-Scope-OrgID).",
    ),
    text(
        "EVENT_LOKI_LABELS",
        DefaultValue::Unset,
        "up to 8 labels NAME=VALUE between commas",
        "Transport loki: labels of all streams beside job, severity and origin.",
    ),
    filter("EVENT_LOKI_FILTER"),
    delivery("EVENT_LOKI_DELIVERY"),
    text(
        "LOG_TRANSPORT",
        DefaultValue::Unset,
        "loki or otlp, or one of them with a number",
        "The log of this server is sent by that transport too, with its address, keys and labels; it need not be in EVENT_TRANSPORTS. Not set: it is not.",
    ),
];
