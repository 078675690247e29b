//! Who lives: this server says so once a minute, and ends the sessions of
//! servers that no longer do.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use chrono::{DateTime, Utc};

use crate::database::{DatabaseError, Pools};
use crate::store::{close_left_open, heartbeat};

/// Time between two signs of life; the others wait for five of them.
const INTERVAL: Duration = Duration::from_secs(60);

/// Says that this server lives.
#[derive(Debug)]
pub struct Heartbeat {
    server_id: Arc<str>,
    started_at: DateTime<Utc>,
    pools: Pools,
}

impl Heartbeat {
    /// For the server of that name.
    pub fn new(server_id: Arc<str>, started_at: DateTime<Utc>, pools: Pools) -> Self {
        Self {
            server_id,
            started_at,
            pools,
        }
    }

    fn beat(&self, ctx: &mut Context<Self>) {
        let (server_id, started_at, pools) =
            (self.server_id.clone(), self.started_at, self.pools.clone());
        let done = actix_web::web::block(move || -> Result<usize, DatabaseError> {
            let mut conn = pools.control()?;
            heartbeat(&mut conn, &server_id, started_at)?;
            Ok(close_left_open(&mut conn, &server_id, false)?)
        });
        ctx.spawn(
            done.into_actor(self)
                .map(|done, _heartbeat, _ctx| match done {
                    Ok(Ok(0)) => {}
                    Ok(Ok(sessions)) => {
                        log::warn!("ended {sessions} sessions of a server that is gone")
                    }
                    Ok(Err(error)) => log::debug!("no sign of life could be given: {error}"),
                    Err(cancelled) => log::debug!("no sign of life could be given: {cancelled}"),
                }),
        );
    }
}

impl Actor for Heartbeat {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(INTERVAL, |heartbeat, ctx| heartbeat.beat(ctx));
    }
}
