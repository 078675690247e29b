//! The status of nodes, its alerts, and where they are delivered.

use super::{number, secret, text};
use crate::config::settings::{DefaultValue, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    number(
        "NODE_HEARTBEAT_S",
        "10",
        (1, 3_600),
        "s",
        "Status: a node is late after this silence; any message counts as a heartbeat. Nodes send one each 5 s: below that all are late again and again.",
    ),
    number(
        "NODE_MISSED_BEATS",
        "3",
        (1, 1_000),
        "",
        "Status: a node is missing after so many times NODE_HEARTBEAT_S without a message. Low: false alarms with each short break of a network; high: late ones.",
    ),
    number(
        "NODE_OFFLINE_S",
        "300",
        (2, 604_800),
        "s",
        "Status: a node is offline after this silence. Must be longer than NODE_HEARTBEAT_S times NODE_MISSED_BEATS.",
    ),
    number(
        "NODE_STALLED_S",
        "120",
        (5, 604_800),
        "s",
        "Status: a node is stalled when its best block stands still for so long while that of its chain moves. It should be many times the block time of the chain.",
    ),
    number(
        "NODE_FINALITY_LAG",
        "20",
        (1, 1_000_000),
        "blocks",
        "Status: a node is lagging when its finalized block is so many behind that of its chain for NODE_HEARTBEAT_S times NODE_MISSED_BEATS.",
    ),
    text(
        "CHAIN_OVERRIDES_PATH",
        DefaultValue::Unset,
        "a TOML file",
        "Other values of the five NODE_ settings above for some chains: a section for each, named by its genesis hash or its name, for instance [Polkadot], and lines such as NODE_OFFLINE_S = 900; MINIMUM_VERSION = \"1.2.3\" there alerts of nodes with an older one. Read at the start. Not set: all chains have the same.",
    ),
    number(
        "NODE_SESSION_S",
        "3600",
        (60, 604_800),
        "seconds",
        "Alerts: length of a session of authorities, at whose end the chain looks which of them were there.",
    ),
    number(
        "NODE_SLASH_RISK_PCT",
        "50",
        (0, 100),
        "percent",
        "Alerts: silence of so much of NODE_SESSION_S is a risk for an authority. It counts a sliding session, the last NODE_SESSION_S up to now, for telemetry does not say when sessions begin. 0 never alerts of it.",
    ),
    text(
        "ALERT_RULES_PATH",
        DefaultValue::Unset,
        "a TOML file",
        "Changes to the rules of docs/ALERTS.md: a section for each, for instance [node_late], with enabled, for_s (seconds that it has to hold) and severity. Read at the start. Not set: the rules as they are there.",
    ),
    secret(
        "NOTIFY_WEBHOOK_URL",
        "up to 8 addresses with http or https, separated by commas",
        "Alerts are posted there as Standard Webhooks. Needs NOTIFY_WEBHOOK_SECRET.",
    ),
    secret(
        "NOTIFY_WEBHOOK_SECRET",
        "keys of 24 to 64 bytes in base64, with whsec_ in front, separated by commas",
        "Keys by which webhooks are signed: each message has a signature by each of them, so that a key can be replaced without a gap.",
    ),
    secret(
        "NOTIFY_ALERTMANAGER_URL",
        "up to 8 addresses with http or https, separated by commas",
        "Alerts go to these Alertmanagers, for instance http://127.0.0.1:9093, which sends them on to Slack, PagerDuty, Telegram or Matrix.",
    ),
    text(
        "NOTIFY_SEVERITY_MIN",
        DefaultValue::Text("warning"),
        "info, warning or critical",
        "Alerts below it are kept and shown, and not delivered.",
    ),
    number(
        "NOTIFY_TIMEOUT_S",
        "20",
        (1, 300),
        "seconds",
        "A receiver has to answer within it, else the delivery counts as failed and is tried again.",
    ),
    text(
        "NOTIFY_ALLOW_PRIVATE",
        DefaultValue::Text("false"),
        "true or false",
        "Whether receivers may have addresses of this machine or of a private network, by name too. They are refused otherwise, so that a name cannot lead inside.",
    ),
    text(
        "NOTIFY_CA_FILE",
        DefaultValue::Unset,
        "a PEM file",
        "Certificates of the authorities that vouch for receivers with https, for GRAFANA_URL and for DEADMAN_URL, for instance of one of your own; /etc/ssl/certs/ca-certificates.crt has all that the system trusts. Not set: those that Mozilla trusts, which are built in.",
    ),
    secret(
        "DEADMAN_URL",
        "an address with http or https",
        "A heartbeat of this server is posted there while it is well; a service behind that address alerts when it stops. Not set: none.",
    ),
    number(
        "DEADMAN_INTERVAL_S",
        "60",
        (1, 86_400),
        "seconds",
        "Time between heartbeats to DEADMAN_URL, up to a tenth of it more or less.",
    ),
];
