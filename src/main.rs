//! The program: reads its settings, runs the application, and maps what comes
//! of it to an exit code.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "answers to the command line, and faults from before there is a log"
)]

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::Utc;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use log::LevelFilter;
use tetcore_analytics::alerts;
use tetcore_analytics::application::log_line::LogLine;
use tetcore_analytics::application::log_output::{self, LogOutput};
use tetcore_analytics::application::{self, health_check, log_transport};
use tetcore_analytics::config::args::{
    Args, Command, DatabaseCommand, EventsCommand, GrafanaCommand, StackCommand,
};
use tetcore_analytics::config::{Config, Place, effective, first_token, misspelt};
use tetcore_analytics::demo;
use tetcore_analytics::ids::RequestId;
use tetcore_analytics::locations::Locations;
use tetcore_analytics::notify::Replayed;

fn main() -> ExitCode {
    let args = Args::parse();
    // Before the file is read into the environment.
    let in_file: Vec<_> = dotenvy::dotenv_iter()
        .into_iter()
        .flatten()
        .filter_map(|line| line.ok().map(|(name, _value)| name))
        .collect();
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        eprintln!("{}", unreadable(&error));
        return ExitCode::FAILURE;
    }
    let lookup = |name: &str| std::env::var(name).ok();
    let config = match Config::from_lookup(&lookup) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut rules = config.notify.rules.names();
    if let Some(name) = rules.find(|name| alerts::find(name).is_none()) {
        eprintln!("ALERT_RULES_PATH: [{name}] is no rule of alerts; docs/ALERTS.md lists them");
        return ExitCode::FAILURE;
    }
    drop(rules);
    let misspelt = misspelt_names(&in_file);
    if args.check_config {
        for line in effective(&config, &lookup) {
            println!("{line}");
        }
        return check_rest(&config, misspelt);
    }
    if args.health_check {
        return match health_check(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("not healthy: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if let Some(command) = &args.command {
        return match run_command(command, &config, &lookup) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let log_format = config.log_format;
    let log_output = match LogOutput::start(log_format) {
        Ok(log_output) => log_output,
        Err(error) => {
            eprintln!("no thread for the log: {error}");
            return ExitCode::FAILURE;
        }
    };
    env_logger::Builder::new()
        .target(env_logger::Target::Pipe(Box::new(log_output)))
        // It logs each request that is no HTTP, which any client can send.
        .filter_module("actix_http::h1::dispatcher", LevelFilter::Off)
        .parse_filters(&config.log_filter)
        .format(move |line, record| {
            let logged = LogLine {
                time: Utc::now(),
                level: record.level(),
                target: record.target(),
                message: &record.args().to_string(),
                request_id: RequestId::current(),
            };
            log_transport::offer(&logged);
            line.write_all(logged.write(log_format).as_bytes())
        })
        .init();
    for line in &misspelt {
        log::warn!("{line}");
    }
    for line in effective(&config, &lookup) {
        log::debug!("{line}");
    }
    let ended = application::run(config);
    if let Err(error) = &ended {
        log::error!("{error}");
    }
    log_transport::finish();
    log_output::finish();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(_logged) => ExitCode::FAILURE,
    }
}

/// Says what else is wrong with the settings: names, and files that are read at the start.
fn check_rest(config: &Config, misspelt: Vec<String>) -> ExitCode {
    let locations = Locations::open(&config.locations).err();
    let wrong = misspelt
        .into_iter()
        .chain(locations.map(|error| error.to_string()));
    wrong.fold(ExitCode::SUCCESS, |_, line| {
        eprintln!("{line}");
        ExitCode::FAILURE
    })
}

/// Does what is done beside a server.
fn run_command(
    command: &Command,
    config: &Config,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Box<dyn Error>> {
    let show = |line: &str| println!("{line}");
    match command {
        Command::Rebuild { name, from } => application::rebuild(config, name, *from, show)?,
        Command::Kinds { merge } => application::kinds(config, merge, show)?,
        Command::Database {
            command:
                DatabaseCommand::GrantRead {
                    role,
                    password_stdin,
                },
        } => {
            let mut stdin = std::io::stdin();
            let password: Option<&mut dyn std::io::Read> = match password_stdin {
                true => Some(&mut stdin),
                false => None,
            };
            application::grant_read(config, role, password, show)?;
        }
        Command::Grafana {
            command: GrafanaCommand::Provision { dry_run },
        } => application::provision_grafana(config, *dry_run, show)?,
        Command::Grafana {
            command: GrafanaCommand::Dashboard { name, print },
        } => application::dashboard(config, name, *print, show)?,
        Command::Events {
            command:
                EventsCommand::Replay {
                    transport,
                    from,
                    to,
                    after,
                },
        } => {
            let mut progress = ReplayProgress::new();
            let to = to.unwrap_or_else(Utc::now);
            application::replay(config, *transport, (*from, to), *after, |replayed| {
                progress.show(replayed);
            })?;
            progress.end();
        }
        Command::Stack {
            command: StackCommand::Check(addresses),
        } => {
            let tokens = lookup("READ_TOKENS").unwrap_or_default();
            application::stack_check(config, addresses, first_token(&tokens), show)?;
        }
        Command::Demo {
            url,
            nodes,
            seconds,
        } => {
            let here = || format!("ws://127.0.0.1:{}/submit", config.http.port);
            let url = url.clone().unwrap_or_else(here);
            demo::run(&url, *nodes, seconds.map(Duration::from_secs), show)?;
        }
    }
    Ok(())
}

/// Shows the progress of a replay on standard error: a bar on a terminal, elsewhere a line now and then.
struct ReplayProgress {
    bar: ProgressBar,
    said_at: Option<Instant>,
    last: Replayed,
}

impl ReplayProgress {
    const SAY_INTERVAL: Duration = Duration::from_secs(5);

    fn new() -> Self {
        let style = ProgressStyle::with_template(
            "{wide_bar} {pos}/{len} events, {per_sec}, {eta} left {msg}",
        );
        // The template is right, and without it the bar has its own.
        let bar = ProgressBar::new(0);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self {
            bar,
            said_at: None,
            last: Replayed::default(),
        }
    }

    fn show(&mut self, replayed: &Replayed) {
        let count = |events: i64| u64::try_from(events).unwrap_or(0);
        self.bar.set_length(count(replayed.all));
        self.bar
            .set_position(count(replayed.sent + replayed.refused));
        self.bar
            .set_message(replayed.error.clone().unwrap_or_default());
        self.last = replayed.clone();
        let is_due = self
            .said_at
            .is_none_or(|at| at.elapsed() >= Self::SAY_INTERVAL);
        if self.bar.is_hidden() && is_due {
            self.said_at = Some(Instant::now());
            self.say();
        }
    }

    fn say(&self) {
        let Replayed {
            all,
            sent,
            refused,
            error,
            ..
        } = &self.last;
        let error = error.as_ref().map(|error| format!(": {error}"));
        eprintln!(
            "{sent} of {all} events sent, {refused} refused{}",
            error.unwrap_or_default()
        );
    }

    fn end(&self) {
        self.bar.finish_and_clear();
        self.say();
    }
}

/// Warnings about names in `.env` and in the environment that are no settings.
fn misspelt_names(in_file: &[String]) -> Vec<String> {
    let in_environment: Vec<_> = std::env::vars_os()
        .filter_map(|(name, _value)| name.into_string().ok())
        .collect();
    let in_file = in_file.iter().map(|name| (Place::EnvFile, name.as_str()));
    let in_environment = in_environment.iter();
    misspelt(in_file.chain(in_environment.map(|name| (Place::Environment, name.as_str()))))
}

/// What is wrong with `.env`. Its lines are not repeated: they may hold a password.
fn unreadable(error: &dotenvy::Error) -> String {
    let dotenvy::Error::LineParse(line, _) = error else {
        return format!(".env cannot be read: {error}");
    };
    let name = line.split('=').next().unwrap_or_default().trim();
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let named = if !name.is_empty() && name.chars().all(is_name) {
        format!("the line of {name}")
    } else {
        "a line".to_owned()
    };
    format!(
        ".env cannot be read: {named} is not NAME=value; put a value with spaces, quotes, $ or # between single quotes"
    )
}
