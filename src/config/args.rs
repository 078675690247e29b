//! The command line: checks and subcommands. Settings come from the environment.

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};

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
    /// Build a projection anew from the stored messages, beside running servers;
    /// answers that come from it are incomplete meanwhile.
    Rebuild {
        /// Name of the projection, for instance nodes.
        name: String,

        /// Leave out messages that arrived before this time (RFC 3339).
        #[arg(long, value_name = "TIME")]
        from: Option<DateTime<Utc>>,
    },

    /// What is done with stored events.
    Events {
        /// What to do.
        #[command(subcommand)]
        command: EventsCommand,
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
