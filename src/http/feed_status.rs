//! `topic: "status"` of the feed: changes of status as they are kept, whichever server kept them.
//!
//! One task looks for new changes while there are subscribers. Each of them has a place of its
//! own, the number of the last change that it was sent: what it missed while it read slowly it
//! reads from the database, so nothing waits for it in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::web;
use tokio::sync::watch;

use super::{AppError, AppState};
use crate::feed::{StatusRequest, StatusSince};
use crate::query::status::{Change, FOLLOWED_MAX, change_before, changes_after, newest_change};

/// Pause after the database could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// The newest changes.
#[derive(Debug, Clone, Default)]
struct Newest {
    /// All after the number `after`, the oldest first.
    changes: Arc<Vec<Change>>,
    after: i64,
    /// The number of the last; none until the database was read.
    last: Option<i64>,
}

/// The changes of status that the subscribers of this server get.
#[derive(Debug, Default)]
pub(super) struct StatusFeed {
    newest: watch::Sender<Newest>,
    is_followed: AtomicBool,
}

/// A subscription.
#[derive(Debug)]
pub(super) struct StatusView {
    request: StatusRequest,
    newest: watch::Receiver<Newest>,
    /// The number of the last change that it was sent; none at the beginning.
    sent: Option<i64>,
}

/// What a subscriber gets.
#[derive(Debug)]
pub(super) struct StatusPart {
    pub(super) changes: Vec<Change>,
    /// The number after which the next part begins.
    pub(super) number: i64,
}

impl StatusView {
    /// Begins a subscription.
    pub(super) fn open(state: &web::Data<AppState>, request: StatusRequest) -> Self {
        let view = Self {
            request,
            newest: state.statuses.newest.subscribe(),
            sent: None,
        };
        if !state.statuses.is_followed.swap(true, Ordering::AcqRel) {
            actix_web::rt::spawn(follow(state.clone()));
        }
        view
    }

    /// The next part, as soon as there is one; at the beginning one without changes that says
    /// where that is.
    pub(super) async fn next(mut self, state: &AppState) -> (Self, StatusPart) {
        loop {
            match self.try_next(state).await {
                Ok(Some(part)) => return (self, part),
                Ok(None) => {
                    // Its sender lives as long as the server.
                    if self.newest.changed().await.is_err() {
                        futures::future::pending::<()>().await;
                    }
                }
                Err(error) => {
                    log::debug!("changes of status could not be read for the feed: {error}");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn try_next(&mut self, state: &AppState) -> Result<Option<StatusPart>, AppError> {
        let Some(sent) = self.sent else {
            let since = self.request.since;
            let number = state.ask(move |conn| match since {
                StatusSince::Now => newest_change(conn),
                StatusSince::Time(time) => change_before(conn, time),
                StatusSince::Number(number) => Ok(number),
            });
            let number = number.await?;
            self.sent = Some(number);
            return Ok(Some(StatusPart {
                changes: Vec::new(),
                number,
            }));
        };
        let newest = self.newest.borrow_and_update().clone();
        let Some(_) = newest.last.filter(|last| *last > sent) else {
            return Ok(None);
        };
        let changes = match newest.after <= sent {
            true => {
                let fresh = newest.changes.iter().filter(|change| change.id > sent);
                fresh.cloned().collect()
            }
            false => {
                // There may be more of them.
                self.newest.mark_changed();
                state.ask(move |conn| changes_after(conn, sent)).await?
            }
        };
        let number = changes.last().map_or(sent, |change: &Change| change.id);
        self.sent = Some(number);
        let is_wanted = |change: &Change| self.is_wanted(change);
        let changes: Vec<Change> = changes.into_iter().filter(is_wanted).collect();
        Ok((!changes.is_empty()).then_some(StatusPart { changes, number }))
    }

    fn is_wanted(&self, change: &Change) -> bool {
        let is_on = |chain: &str| {
            [&change.chain, &change.genesis_hash]
                .into_iter()
                .any(|name| name.as_deref() == Some(chain))
        };
        let is_since = match self.request.since {
            StatusSince::Time(time) => change.changed_at >= time,
            StatusSince::Now | StatusSince::Number(_) => true,
        };
        is_since && self.request.chain.as_deref().is_none_or(is_on)
    }
}

/// Looks for new changes each `CACHE_UPDATE_INTERVAL_MS`, while there are subscribers.
async fn follow(state: web::Data<AppState>) {
    let feed = &state.statuses;
    // What was found before the last subscriber left may be long ago.
    feed.newest.send_replace(Newest::default());
    loop {
        let last = feed.newest.borrow().last;
        let found = state.ask(move |conn| match last {
            Some(last) => Ok((last, changes_after(conn, last)?)),
            None => Ok((newest_change(conn)?, Vec::new())),
        });
        match found.await {
            Ok((from, changes)) => {
                feed.newest
                    .send_if_modified(|newest| newest.take(from, changes));
            }
            Err(error) => log::debug!("changes of status could not be read for the feed: {error}"),
        }
        tokio::time::sleep(state.config.feed.update_interval).await;
        if feed.newest.receiver_count() == 0 {
            feed.is_followed.store(false, Ordering::Release);
            let has_new = feed.newest.receiver_count() > 0;
            if !has_new || feed.is_followed.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}

impl Newest {
    /// Takes over changes that came after the number `from`; whether that is news.
    fn take(&mut self, from: i64, changes: Vec<Change>) -> bool {
        let is_first = self.last.is_none();
        if is_first {
            self.after = from;
            self.last = Some(from);
        }
        let Some(last) = changes.last().map(|change| change.id) else {
            return is_first;
        };
        self.last = Some(last);
        let mut kept = Arc::unwrap_or_clone(std::mem::take(&mut self.changes));
        kept.extend(changes);
        if let Some(more) = kept
            .len()
            .checked_sub(FOLLOWED_MAX)
            .filter(|more| *more > 0)
        {
            let dropped = kept.drain(..more).next_back();
            self.after = dropped.map_or(self.after, |change| change.id);
        }
        self.changes = Arc::new(kept);
        true
    }
}
