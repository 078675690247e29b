//! Brings into the feed what other servers of the same database received, and what
//! the database has of all nodes.
//!
//! Each `CACHE_UPDATE_INTERVAL_MS` it reads the change stream from where it
//! stopped last; the messages of new batches are read only while a subscription wants
//! them. What it hands to the hub is bounded by [`follow`], part by part.

mod follow;
mod seed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Addr;
use diesel::PgConnection;
use diesel::prelude::*;
use tokio::sync::watch;

use super::hub::Hub;
use super::messages::Demand;
use crate::changes::{Awaited, Position};
use crate::config::Config;
use crate::database::{DatabaseError, Pools};
use crate::metrics::Metrics;
use follow::Follower;
use seed::Seeding;

/// A read is given up after so many times `CACHE_UPDATE_TIMEOUT_S`.
const GIVE_UP: u32 = 4;

/// Pause until the projection of the nodes is looked at again while it lags.
const PROJECTION_WAIT: Duration = Duration::from_millis(50);

/// What is needed from outside.
#[derive(Debug, Clone)]
pub struct RemoteParts {
    /// Name of this server.
    pub server_id: Arc<str>,
    /// Connections to the database.
    pub pools: Pools,
    /// Where everything goes.
    pub hub: Addr<Hub>,
    /// What is wanted.
    pub demand: watch::Receiver<Demand>,
    /// Whether a projection has all that was stored before.
    pub is_projected: fn(&mut PgConnection, &str, Position) -> QueryResult<bool>,
    /// Says for what the table waits.
    pub awaited: Arc<Awaited>,
    /// `CACHE_UPDATE_INTERVAL_MS` and `CACHE_UPDATE_TIMEOUT_S`.
    pub config: Arc<Config>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
}

/// What the feed gets from the database.
#[derive(Debug)]
struct Remote {
    parts: RemoteParts,
    follower: Follower,
}

/// The hub has ended.
#[derive(Debug)]
struct HubGone;

/// Follows the change stream from its end on, until the hub has ended. Histories may be
/// read once this has begun: what is stored later comes live.
pub async fn follow_others(parts: RemoteParts) {
    let mut follower = Follower::default();
    // If that fails it begins with the next look.
    follower.look(&parts, 0).await;
    actix_web::rt::spawn(Remote { parts, follower }.run());
}

impl Remote {
    /// Runs until the hub has ended.
    async fn run(mut self) {
        let mut seeding = Seeding::default();
        let mut demand = self.parts.demand.clone();
        let interval = self.parts.config.feed.update_interval;
        let slow_after = self.parts.config.feed.slow_after;
        loop {
            let asked_at = Instant::now();
            let wanted = demand.borrow_and_update().clone();
            let round = async {
                seeding = self
                    .parts
                    .seed(&wanted, std::mem::take(&mut seeding))
                    .await?;
                self.follower.look(&self.parts, wanted.generation).await;
                self.follower.hand_over(&self.parts).await
            };
            if let Err(HubGone) = round.await {
                return;
            }
            let took = asked_at.elapsed();
            if took > slow_after {
                let seconds = took.as_secs_f64();
                log::warn!("the database took {seconds:.1} s for an update of the live feed");
            }
            let pause = tokio::time::sleep(interval.saturating_sub(took));
            tokio::select! {
                () = pause => {}
                changed = demand.changed() => if changed.is_err() { return },
            }
        }
    }
}

impl RemoteParts {
    /// Fills the node table while it is shown, until it is complete.
    async fn seed(&self, wanted: &Demand, mut seeding: Seeding) -> Result<Seeding, HubGone> {
        if !wanted.nodes {
            return Ok(Seeding::default());
        }
        while !seeding.is_complete {
            let (is_projected, awaited) = (self.is_projected, self.awaited.clone());
            let (state, page) = (seeding.clone(), Seeding::next);
            let Some((next, seed)) = self
                .ask(move |conn| page(state, conn, is_projected, &awaited))
                .await
            else {
                break;
            };
            seeding = next;
            let waits = seed.nodes.is_empty() && !seed.is_complete;
            self.hub.send(seed).await.map_err(|_gone| HubGone)?;
            if waits {
                tokio::time::sleep(PROJECTION_WAIT).await;
            }
        }
        Ok(seeding)
    }

    /// Reads the database on a thread that may block, in one snapshot. None without
    /// an answer.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> Option<T> {
        let pools = self.pools.clone();
        let limit = self.config.feed.slow_after * GIVE_UP;
        let done = actix_web::web::block(move || {
            let mut conn = pools.control()?;
            let settings = format!(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
                 SET LOCAL statement_timeout = {}",
                limit.as_millis()
            );
            conn.transaction_with(&settings, work)
                .map_err(DatabaseError::from)
        });
        // It may be several statements; an answer that was lost never comes.
        match tokio::time::timeout(limit * 2, done).await {
            Ok(Ok(Ok(found))) => return Some(found),
            Ok(Ok(Err(error))) => {
                log::debug!("the live feed could not be brought up to date: {error}");
            }
            Ok(Err(cancelled)) => {
                log::error!("the live feed could not be brought up to date: {cancelled}");
            }
            Err(_late) => {
                log::warn!("the live feed could not be brought up to date: no answer");
            }
        }
        None
    }
}
