//! Tells that the database is away, without it: targets are told directly from memory, and what
//! came of it is kept when the database is back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::result::QueryResult;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::alerts::outage::{DatabaseWatch, Outage, alert};
use crate::alerts::{DATABASE_AWAY, payload};
use crate::config::NotifyConfig;
use crate::database::Pools;
use crate::notify::{Direct, Next, target_names};
use crate::server_state::ServerState;
use crate::store::alerts::{AlertRow, keep_past, silenced_until};
use crate::store::outbox::{NewDelivery, enter};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often silences are read, for they cannot be while the database is away.
const SILENCES_INTERVAL: Duration = Duration::from_secs(30);

/// Longest wait for an answer of the database.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What it needs from outside.
pub(super) struct OutageParts {
    pub(super) notify: NotifyConfig,
    pub(super) server: Arc<ServerState>,
    pub(super) pools: Pools,
    pub(super) server_id: Arc<str>,
    /// Name of this machine.
    pub(super) name: String,
}

/// Targets that are being told, until the database is back.
struct Telling {
    over: watch::Sender<bool>,
    /// Gives the name of its target, if that has heard.
    targets: Vec<JoinHandle<Option<String>>>,
}

/// Watches, until the server ends.
pub(super) async fn watch(parts: OutageParts) {
    let parts = Arc::new(parts);
    let mut database = DatabaseWatch::new(&parts.notify.rules);
    let (mut telling, mut silenced, mut silences_in) = (None, None, Duration::ZERO);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = Utc::now();
        if let Some(outage) = database.look(now, parts.server.database_answered_ago()) {
            let row = alert(&outage, database.severity(), &parts.server_id, &parts.name);
            match outage.ended_at {
                None => {
                    let is_told = database.severity() >= parts.notify.severity_min
                        && silenced.is_none_or(|until: DateTime<Utc>| until <= now);
                    telling = is_told.then(|| tell(&parts.notify, &row, &outage));
                }
                Some(_) => {
                    let kept = keep(parts.clone(), row, outage, telling.take());
                    actix_web::rt::spawn(kept);
                }
            }
        }
        silences_in = silences_in.saturating_sub(INTERVAL);
        let answered_ago = parts.server.database_answered_ago();
        if silences_in.is_zero() && answered_ago.is_some_and(|ago| ago <= INTERVAL * 2) {
            let read = |conn: &mut PgConnection| silenced_until(conn, DATABASE_AWAY);
            if let Ok(until) = parts.pools.housekeep(ANSWER_MAX, read).await {
                silenced = until;
            }
            silences_in = SILENCES_INTERVAL;
        }
    }
}

/// The same in each attempt, before and after the database is back.
fn message_id(row: &AlertRow, outage: &Outage, phase: &str) -> String {
    let began_ms = outage.began_at.timestamp_millis();
    format!("{}_{}_{began_ms}_{phase}", row.rule, row.key)
}

/// Tells all targets, each in its own time.
fn tell(config: &NotifyConfig, row: &AlertRow, outage: &Outage) -> Telling {
    let (over, is_over) = watch::channel(false);
    let id = message_id(row, outage, "fired");
    let targets = Direct::all(config).into_iter().map(|target| {
        let payload = body(config, &target.name, row);
        tokio::spawn(tell_one(target, id.clone(), payload, is_over.clone()))
    });
    Telling {
        targets: targets.collect(),
        over,
    }
}

async fn tell_one(
    target: Direct,
    id: String,
    payload: String,
    mut is_over: watch::Receiver<bool>,
) -> Option<String> {
    let mut has_heard = None;
    for attempt in 1.. {
        let (sender, id, payload) = (target.clone(), id.clone(), payload.clone());
        let sent = tokio::task::spawn_blocking(move || sender.send(&id, &payload, attempt)).await;
        let wait = match sent {
            Ok(Next::Done) => return Some(target.name),
            Ok(Next::Repeat(wait)) => {
                has_heard = Some(target.name.clone());
                wait
            }
            Ok(Next::Retry(wait)) => wait,
            Err(error) => {
                log::error!("{} could not be told: {error}", target.name);
                break;
            }
        };
        let ended = is_over.wait_for(|is_over| *is_over);
        if tokio::time::timeout(wait, ended).await.is_ok() {
            break;
        }
    }
    has_heard
}

fn body(config: &NotifyConfig, target: &str, row: &AlertRow) -> String {
    let (webhooks, _) = target_names(config);
    let body = match webhooks.iter().any(|name| name == target) {
        true => payload::webhook(row, row.resolved_at.unwrap_or(row.fired_at)),
        false => payload::alertmanager(row),
    };
    body.to_string()
}

/// Keeps the alert, and enters what is still to be delivered: to each target the end, and before it the
/// beginning, if it has not heard of that.
async fn keep(parts: Arc<OutageParts>, row: AlertRow, outage: Outage, telling: Option<Telling>) {
    let is_told = telling.is_some();
    let mut heard = HashSet::new();
    if let Some(Telling { over, targets }) = telling {
        // Nobody listens where all have heard.
        over.send(true).ok();
        for target in targets {
            heard.extend(target.await.ok().flatten());
        }
    }
    let begun = AlertRow {
        resolved_at: None,
        ..row.clone()
    };
    let row = AlertRow {
        delivered: is_told,
        ..row
    };
    let (webhooks, alertmanagers) = target_names(&parts.notify);
    let mut deliveries = Vec::new();
    for target in webhooks
        .into_iter()
        .chain(alertmanagers)
        .filter(|_| is_told)
    {
        if !heard.contains(&target) {
            deliveries.push((
                target.clone(),
                "fired",
                body(&parts.notify, &target, &begun),
            ));
        }
        let payload = body(&parts.notify, &target, &row);
        deliveries.push((target, "resolved", payload));
    }
    let deliveries: Vec<NewDelivery> = deliveries
        .into_iter()
        .map(|(target, phase, payload)| NewDelivery {
            target,
            message_id: message_id(&row, &outage, phase),
            alert_id: None,
            payload,
        })
        .collect();
    loop {
        let (row, deliveries) = (row.clone(), deliveries.clone());
        let kept = parts
            .pools
            .housekeep(ANSWER_MAX, move |conn| keep_all(conn, &row, deliveries));
        match kept.await {
            Ok(()) => return,
            Err(error) => log::debug!("the outage of the database could not be kept: {error}"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn keep_all(
    conn: &mut PgConnection,
    row: &AlertRow,
    mut deliveries: Vec<NewDelivery>,
) -> QueryResult<()> {
    let Some(id) = keep_past(conn, row)? else {
        return Ok(());
    };
    for delivery in &mut deliveries {
        delivery.alert_id = Some(id);
    }
    enter(conn, &deliveries)
}
