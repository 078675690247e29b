//! Requests of subscribers to the hub. A semaphore lets few of them into its mailbox at
//! once, which leaves room for batches; the others wait for their turn.

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::{Addr, Handler, MailboxError, Message};
use tokio::sync::Semaphore;

use super::hub::Hub;

/// Requests in the mailbox of the hub; batches have the rest of it.
const TURNS: usize = 8;

/// Sends requests of subscribers to the hub.
#[derive(Debug, Clone)]
pub struct HubRequests {
    hub: Addr<Hub>,
    turns: Arc<Semaphore>,
}

impl HubRequests {
    /// Of this hub.
    pub fn new(hub: Addr<Hub>) -> Self {
        Self {
            hub,
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    /// Sends a request as soon as it is its turn; requests are answered in their order.
    ///
    /// # Errors
    /// If the hub has ended.
    pub async fn send<M>(&self, message: M) -> Result<M::Result, MailboxError>
    where
        Hub: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
        <Hub as actix::Actor>::Context: ToEnvelope<Hub, M>,
    {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_closed| MailboxError::Closed)?;
        self.hub.send(message).await
    }
}
