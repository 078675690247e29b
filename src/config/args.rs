//! The command line: checks and subcommands. Settings come from the environment.

use chrono::{DateTime, Utc};
use clap::{Args as Flags, Parser, Subcommand, ValueEnum};

use super::TransportName;

/// Command line of the program.
#[derive(Debug, Parser)]
#[command(
    version,
    about = "Keeps and explains the telemetry of Tetcore, Substrate and Polkadot-SDK nodes",
    after_help = "Settings are environment variables, also read from a file .env; .env.example describes each.\n\
                  Nodes connect with --telemetry-url 'ws://HOST:8080/submit 1'."
)]
pub struct Args {
    /// Check the settings, print those in force with secrets masked, and end.
    #[arg(long)]
    pub check_config: bool,

    /// Check the health of the server on PORT of this machine; the exit code is 0
    /// if it is healthy. For container health checks.
    #[arg(long)]
    pub health_check: bool,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What is done beside a server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a projection anew from the stored messages, beside running servers: readers see
    /// the old rows until the new ones replace them. Its tables take their room twice meanwhile.
    Rebuild {
        /// Name of the projection, for instance nodes.
        name: String,

        /// Leave out messages that arrived before this time (RFC 3339), and keep what they made.
        #[arg(long, value_name = "TIME")]
        from: Option<DateTime<Utc>>,
    },

    /// What is done with the database itself.
    Database {
        /// What to do.
        #[command(subcommand)]
        command: DatabaseCommand,
    },

    /// Dashboards in a Grafana (`GRAFANA_URL`, `GRAFANA_TOKEN`).
    Grafana {
        /// What to do.
        #[command(subcommand)]
        command: GrafanaCommand,
    },

    /// What is done with stored events.
    Events {
        /// What to do.
        #[command(subcommand)]
        command: EventsCommand,
    },

    /// The server together with the programs around it, as deploy/compose.yml starts them.
    Stack {
        /// What to do.
        #[command(subcommand)]
        command: StackCommand,
    },

    /// Send telemetry of a small fleet of made-up nodes to a running server, until
    /// Ctrl-C: to try it without nodes.
    Demo {
        /// Where nodes connect; on PORT of this machine if it is not given.
        #[arg(long)]
        url: Option<String>,

        /// Number of nodes.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
        nodes: u16,

        /// End by itself after so many seconds.
        #[arg(long)]
        seconds: Option<u64>,
    },

    /// List the kinds of messages in the dictionary, or merge invented ones, so that others
    /// get their places; what is stored stays as it is.
    Kinds {
        /// Merge these kinds: their new messages are stored as (unlisted), with msg among
        /// their fields. A name that ends in * stands for all that begin like it. Known
        /// kinds are never merged.
        #[arg(long, value_name = "NAME", num_args = 1..)]
        merge: Vec<String>,
    },
}

/// What is done with the database itself.
#[derive(Debug, Subcommand)]
pub enum DatabaseCommand {
    /// Make a role that can read what is there for people, and nothing else, for Grafana, psql and
    /// notebooks; one that exists is brought up to date. Run it again after an upgrade.
    GrantRead {
        /// Name of the role, for instance grafana.
        role: String,

        /// Read its password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
}

/// Dashboards in a Grafana.
#[derive(Debug, Subcommand)]
pub enum GrafanaCommand {
    /// Make folder, data sources and all dashboards there, or bring them up to date. What exists
    /// already is taken over; what Grafana reads from files stays as it is.
    Provision {
        /// Only show what would be made or changed.
        #[arg(long)]
        dry_run: bool,
    },

    /// Make a dashboard for one service or chain, and upload it.
    Dashboard {
        /// Name of a service that has jobs or sends heartbeats, or name or genesis hash of a chain.
        name: String,

        /// Print it as JSON instead, for a file.
        #[arg(long)]
        print: bool,
    },
}

/// What is done with stored events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Send events again by a transport, with the identities that they had, beside running
    /// servers, whose own sending goes on unchanged. The filter of the transport counts.
    Replay {
        /// Name of the transport in `EVENT_TRANSPORTS`, for instance webhook.
        #[arg(long, value_name = "NAME")]
        transport: TransportName,

        /// Events that arrived from this time on (RFC 3339).
        #[arg(long, value_name = "TIME")]
        from: DateTime<Utc>,

        /// Events that arrived before this time; now if it is not given.
        #[arg(long, value_name = "TIME")]
        to: Option<DateTime<Utc>>,

        /// Leave out events up to this number: where an earlier replay was broken off.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: i64,
    },
}

/// What is done with the stack.
#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Ask each part whether it is well and whether data flow through it, and print a table.
    /// The exit code is 1 if something is wrong. With `READ_TOKENS` the first of them is shown
    /// to the server.
    Check(StackAddresses),
}

/// Where the parts of the stack are.
#[derive(Debug, Flags)]
pub struct StackAddresses {
    /// The server; on PORT of this machine if it is not given.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,

    /// Prometheus.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub prometheus: String,

    /// Alertmanager.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9093")]
    pub alertmanager: String,

    /// Loki.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3100")]
    pub loki: String,

    /// Grafana.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    pub grafana: String,

    /// Parts that are not there, separated by commas.
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub without: Vec<StackPart>,

    /// Ask again until all is well, for at most so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
}

/// A part of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StackPart {
    /// This program.
    Server,
    /// Its database, as the server sees it.
    Postgresql,
    /// Prometheus.
    Prometheus,
    /// Alertmanager.
    Alertmanager,
    /// Loki.
    Loki,
    /// Grafana.
    Grafana,
}

impl StackPart {
    /// All parts, in the order in which data flow.
    pub const ALL: [Self; 6] = [
        Self::Server,
        Self::Postgresql,
        Self::Prometheus,
        Self::Alertmanager,
        Self::Loki,
        Self::Grafana,
    ];

    /// As it is called on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Postgresql => "postgresql",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
            Self::Loki => "loki",
            Self::Grafana => "grafana",
        }
    }
}
