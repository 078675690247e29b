//! A receiver with its part of the outbox: what is due is claimed, sent, and confirmed or put off.

use std::sync::Arc;
use std::time::Duration;

use diesel::PgConnection;
use diesel::result::QueryResult;
use sha2::{Digest, Sha256};

use super::client::Client;
use super::receiver::{Receiver, Verdict};
use crate::config::TargetUrl;
use crate::database::{Connection, DatabaseError};
use crate::metrics::{DeliveryResult, Failure, FailureKind};
use crate::store::outbox::{self, Delivery};

/// A claim is longer than the attempts that it is for by this time.
const CLAIM_MARGIN: Duration = Duration::from_secs(15);

/// A receiver, and what reaches it.
pub(super) struct Outlet {
    /// Its name in the outbox.
    pub(super) name: String,
    /// What tells its address from the one that was gone.
    pub(super) address_hash: String,
    pub(super) receiver: Arc<dyn Receiver>,
    pub(super) client: Client,
    /// How long one attempt takes at most.
    pub(super) timeout: Duration,
}

/// What came of what was due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attempted {
    /// Deliveries that were attempted.
    pub(super) deliveries: usize,
    /// The receiver answered that it is gone.
    pub(super) is_gone: bool,
    /// It did not take all of them.
    pub(super) has_failed: bool,
}

/// The receiver did not take something.
#[derive(Debug)]
pub(super) struct NotTaken;

impl Attempted {
    /// Whether the receiver took everything.
    pub(super) fn taken(&self) -> Result<(), NotTaken> {
        match self.has_failed {
            false => Ok(()),
            true => Err(NotTaken),
        }
    }
}

impl Failure for NotTaken {
    fn kind(&self) -> FailureKind {
        FailureKind::Receiver
    }
}

impl Outlet {
    /// Whether the receiver answered under this address that it is gone; under another one it counts
    /// no more.
    pub(super) fn is_gone(&self, conn: &mut Connection) -> Result<bool, DatabaseError> {
        let is_gone = conn.transaction(|conn| {
            let Some(disabled) = outbox::disabled(conn, &self.name)? else {
                return QueryResult::Ok(false);
            };
            if disabled.address_hash == self.address_hash {
                return Ok(true);
            }
            outbox::enable(conn, &self.name)?;
            Ok(false)
        })?;
        Ok(is_gone)
    }

    /// The receiver is gone: nothing is sent to it any more.
    pub(super) fn disable(&self, conn: &mut PgConnection, error: &str) -> QueryResult<()> {
        log::warn!(
            "{} is gone, and nothing is sent to it any more: {error}",
            self.name
        );
        outbox::disable(conn, &self.name, &self.address_hash, error)
    }

    /// Attempts what is due; `attempted` gets each result, in the transaction that keeps it.
    pub(super) fn deliver_due(
        &self,
        conn: &mut Connection,
        attempted: impl Fn(&mut PgConnection, DeliveryResult) -> QueryResult<()>,
    ) -> Result<Attempted, DatabaseError> {
        let most = self.receiver.batch_max();
        // A receiver that takes many at once takes them in one attempt, or some of them at a time.
        let attempts = u32::try_from(most).unwrap_or(1).min(8);
        let claimed_for = self.timeout * attempts + CLAIM_MARGIN;
        let due = conn.transaction(|conn| outbox::claim(conn, &self.name, claimed_for, most))?;
        if due.is_empty() {
            return Ok(Attempted::default());
        }
        let verdicts = self.receiver.send(&self.client, &due);
        let delivered: Vec<&Delivery> = (due.iter().zip(&verdicts))
            .filter_map(|(delivery, verdict)| (*verdict == Verdict::Delivered).then_some(delivery))
            .collect();
        let done = conn.transaction(|conn| {
            outbox::finish(conn, &delivered, None)?;
            let mut done = Attempted {
                deliveries: due.len(),
                ..Attempted::default()
            };
            for (delivery, verdict) in due.iter().zip(&verdicts) {
                done.is_gone |= matches!(verdict, Verdict::Gone(_));
                let result = self.note(conn, delivery, verdict)?;
                done.has_failed |= result != DeliveryResult::Delivered;
                attempted(conn, result)?;
            }
            QueryResult::Ok(done)
        })?;
        Ok(done)
    }

    /// Puts off what failed, or gives it up; what was delivered is done already.
    fn note(
        &self,
        conn: &mut PgConnection,
        delivery: &Delivery,
        verdict: &Verdict,
    ) -> QueryResult<DeliveryResult> {
        match verdict {
            Verdict::Delivered => Ok(DeliveryResult::Delivered),
            Verdict::Retry { wait, error } => {
                log::info!(
                    "{} did not take {}: {error}; the next try is in {} s",
                    self.name,
                    delivery.message_id,
                    wait.as_secs()
                );
                outbox::put_off(conn, delivery, *wait, error)?;
                Ok(DeliveryResult::Failed)
            }
            Verdict::Dead(error) => {
                log::warn!(
                    "{} did not take {} in {} tries, and it is given up: {error}",
                    self.name,
                    delivery.message_id,
                    delivery.attempts
                );
                outbox::finish(conn, &[delivery], Some(error))?;
                Ok(DeliveryResult::Dead)
            }
            Verdict::Gone(error) => {
                self.disable(conn, error)?;
                outbox::finish(conn, &[delivery], Some(error))?;
                Ok(DeliveryResult::Dead)
            }
        }
    }
}

/// SHA-256 of an address, which may carry a secret.
pub(super) fn address_hash(url: &TargetUrl) -> String {
    let digest = Sha256::digest(url.url().as_str().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
