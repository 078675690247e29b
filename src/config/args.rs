//! The command line. Settings come from the environment; here are only the
//! questions one asks a program before it runs.

use clap::Parser;

/// What the program is asked.
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

    /// Ask the server that runs on PORT of this machine whether it lives; the
    /// exit code is 0 if it does. For container health checks.
    #[arg(long)]
    pub health_check: bool,
}
