//! Brings into the live feed what other servers of the same database received,
//! and what the database knows of all nodes. It asks only while somebody
//! listens, each `CACHE_UPDATE_INTERVAL_MS`.

mod board;
mod poll;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Addr;
use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tokio::sync::watch;

use crate::database::{DatabaseError, Pools};
use crate::feed::{Demand, Hub, Relayed, Seed};
use board::Seeding;
use poll::Poll;

/// A question is given up after so many times `CACHE_UPDATE_TIMEOUT_S`.
const GIVE_UP: u32 = 4;

/// Pause until the projection of the nodes is looked at again while it lags.
const PROJECTION_WAIT: Duration = Duration::from_millis(50);

/// What the relay needs from outside.
#[derive(Debug)]
pub struct RelayParts {
    /// Name of this server.
    pub server_id: Arc<str>,
    /// Ways to the database.
    pub pools: Pools,
    /// Where everything goes.
    pub hub: Addr<Hub>,
    /// What is wanted.
    pub demand: watch::Receiver<Demand>,
    /// `CACHE_UPDATE_INTERVAL_MS`.
    pub interval: Duration,
    /// `CACHE_UPDATE_TIMEOUT_S`.
    pub slow_after: Duration,
}

/// Asks until the feed is gone.
pub async fn run(parts: RelayParts) {
    let mut demand = parts.demand.clone();
    let mut poll = Poll::default();
    let mut seeding = Seeding::default();
    loop {
        let wanted = demand.borrow_and_update().clone();
        if wanted.is_empty() {
            // What comes now is not wanted; when somebody listens it begins afresh.
            poll = Poll::default();
        }
        if !wanted.board {
            seeding = Seeding::default();
        }
        let asked_at = Instant::now();
        while wanted.board && !seeding.is_complete {
            let (state, nodes) = parts.ask(seeding, Seeding::next).await;
            seeding = state;
            let Some(nodes) = nodes else { break };
            let is_complete = seeding.is_complete;
            let waits = nodes.is_empty() && !is_complete;
            if parts.hub.send(Seed { nodes, is_complete }).await.is_err() {
                return;
            }
            if waits {
                tokio::time::sleep(PROJECTION_WAIT).await;
            }
        }
        let generation = wanted.generation;
        let mut news = Vec::new();
        if !wanted.is_empty() {
            let found;
            let server_id = parts.server_id.clone();
            let ask =
                move |poll: &mut Poll, conn: &mut PgConnection| poll.ask(conn, &server_id, &wanted);
            (poll, found) = parts.ask(poll, ask).await;
            news = found.unwrap_or_default();
        }
        if news.is_empty() {
            news.push(Relayed::nothing(generation));
        }
        for relayed in news {
            if parts.hub.send(relayed).await.is_err() {
                return;
            }
        }
        let took = asked_at.elapsed();
        if took > parts.slow_after {
            let seconds = took.as_secs_f64();
            log::warn!("the database took {seconds:.1} s for an update of the live feed");
        }
        let pause = async {
            if demand.borrow().is_empty() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(parts.interval.saturating_sub(took)).await;
        };
        let changed = demand.clone();
        tokio::select! {
            () = pause => {}
            gone = wait_for_change(changed) => if gone { return },
        }
    }
}

/// Waits until something else is wanted; true if nobody can want anything any more.
async fn wait_for_change(mut demand: watch::Receiver<Demand>) -> bool {
    demand.changed().await.is_err()
}

impl RelayParts {
    /// Asks the database on a thread that may block. The state comes back, and
    /// what was found, if the database answered.
    async fn ask<S, T>(
        &self,
        mut state: S,
        work: impl FnOnce(&mut S, &mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> (S, Option<T>)
    where
        S: Default + Send + 'static,
        T: Send + 'static,
    {
        let pools = self.pools.clone();
        let limit = self.slow_after * GIVE_UP;
        let done = actix_web::web::block(move || {
            let found = pools.control().and_then(|mut conn| {
                conn.transaction(|conn| {
                    conn.batch_execute(&format!(
                        "SET LOCAL statement_timeout = {}",
                        limit.as_millis()
                    ))?;
                    work(&mut state, conn)
                })
                .map_err(DatabaseError::from)
            });
            (state, found)
        });
        // It may be several statements; an answer that was lost never comes.
        match tokio::time::timeout(limit * 2, done).await {
            Ok(Ok((state, Ok(found)))) => (state, Some(found)),
            Ok(Ok((state, Err(error)))) => {
                log::debug!("the live feed could not be brought up to date: {error}");
                (state, None)
            }
            Ok(Err(cancelled)) => {
                log::error!("the live feed could not be brought up to date: {cancelled}");
                (S::default(), None)
            }
            Err(_late) => {
                log::warn!("the live feed could not be brought up to date: no answer");
                (S::default(), None)
            }
        }
    }
}
