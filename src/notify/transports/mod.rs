//! Events on their way out.
//!
//! Each transport has a thread with a connection of its own and a durable cursor over the events, and
//! sends while this server holds its lease, so one that hangs delays no other. `sender` is that
//! thread, `gathered` the batch that it has in memory, `backlog` what waits behind it; `fate` says
//! what becomes of each event of a request. `webhook`, `console`, `otlp`, `loki` and `honeycomb` are the
//! kinds of transports; `replay` sends events of a time again, `server_log` the log of this server.

mod backlog;
mod console;
mod fate;
mod gathered;
mod honeycomb;
mod loki;
mod otlp;
mod replay;
mod request;
mod sender;
mod server_log;
mod sorted;
mod webhook;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::{Job, Leases};
use crate::config::{Endpoint, NotifyConfig, TransportConfig, TransportsConfig};
use crate::database::{Rounds, RoundsParts};
use crate::notify::client::Client;
use crate::notify::outlet::{Outlet, address_hash};
use crate::store::event_transports::Event;
pub use console::{Console, Written};
use fate::{Again, Sent};
use honeycomb::Honeycomb;
use loki::{Loki, LokiAccess};
use otlp::Otlp;
pub use replay::{Replay, ReplayError, Replayed};
use sender::{Sender, Sending};
pub use server_log::LogTransport;
use webhook::EventWebhook;

/// Limit of each statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for the end of the threads.
const STOP_MAX: Duration = Duration::from_secs(1);

/// A kind of transport, with where it sends.
trait Transport: Send + Sync {
    /// Sends events; what becomes of each.
    fn send(&self, client: &Client, events: &[Event]) -> Sent;
}

/// What the transports need from outside.
#[derive(Debug)]
pub struct TransportsParts {
    /// How to reach the database.
    pub rounds: RoundsParts,
    /// The leases of this server.
    pub leases: Leases,
    /// The transports.
    pub config: TransportsConfig,
    /// How they send.
    pub notify: NotifyConfig,
    /// Standard output.
    pub console: Console,
}

/// The running threads.
#[derive(Debug)]
pub struct Transports(Vec<Rounds>);

impl Transports {
    /// The jobs of the transports.
    pub fn jobs(config: &TransportsConfig) -> impl Iterator<Item = Job> {
        config.all.iter().map(|one| Job::Transport(one.name))
    }

    /// Starts a thread for each transport.
    ///
    /// # Errors
    /// If the system allows no more threads.
    pub fn start(parts: &TransportsParts) -> std::io::Result<Self> {
        let threads = parts.config.all.iter().map(|config| {
            let sender = Arc::new(sender(parts, config));
            parts.rounds.metrics.transports.begin(&sender.label);
            let job = Job::Transport(sender.name).name();
            parts.rounds.metrics.jobs.register(&job);
            let make = move |connector| Sending::new(sender.clone(), connector);
            Rounds::start(parts.rounds.clone(), "transport", STATEMENT_TIMEOUT, make)
        });
        Ok(Self(threads.collect::<std::io::Result<_>>()?))
    }

    /// Ends them, and waits for a moment; what is under way is sent again later.
    pub fn stop(self) {
        let until = Instant::now() + STOP_MAX;
        for thread in self.0 {
            thread.stop(until.saturating_duration_since(Instant::now()));
        }
    }
}

fn sender(parts: &TransportsParts, config: &TransportConfig) -> Sender {
    let transport = transport(&config.endpoint, &parts.console);
    let label = config.name.to_string();
    Sender {
        name: config.name,
        filter: config.filter.clone(),
        guarantee: config.guarantee,
        outlet: Outlet {
            name: outbox_name(&label),
            address_hash: config.endpoint.url().map(address_hash).unwrap_or_default(),
            receiver: Arc::new(Again(transport.clone())),
            client: Client::of(&parts.notify),
            timeout: parts.notify.timeout,
        },
        label,
        transport,
        batch: parts.config.batch,
        backlog_bytes_max: parts.config.backlog_bytes_max,
        leases: parts.leases.clone(),
        metrics: parts.rounds.metrics.clone(),
    }
}

/// The name of a transport in the outbox, where targets of alerts are too.
pub fn outbox_name(transport: &str) -> String {
    format!("events:{transport}")
}

fn transport(endpoint: &Endpoint, console: &Console) -> Arc<dyn Transport> {
    match endpoint {
        Endpoint::Console => Arc::new(console.apart()),
        Endpoint::Webhook { url, keys } => Arc::new(EventWebhook::new(url, keys)),
        Endpoint::Honeycomb { url, key, dataset } => {
            Arc::new(Honeycomb::new(url, key, dataset.as_deref()))
        }
        Endpoint::Otlp { url, headers } => Arc::new(Otlp::new(url, headers)),
        Endpoint::Loki {
            url,
            user,
            key,
            tenant,
            labels,
        } => {
            let access = LokiAccess {
                user: user.as_deref(),
                key: key.as_ref(),
                tenant: tenant.as_deref(),
            };
            Arc::new(Loki::new(url, access, labels))
        }
    }
}
