//! Topics of the feed whose rows have numbers and stand in the database: changes of status, and
//! events, whichever server kept them.
//!
//! One task for each topic looks for new rows while there are subscribers. Each of them has a
//! place of its own, the number of the last row that it was sent: what it missed while it read
//! slowly it reads from the database, so nothing waits for it in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::web;
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use tokio::sync::watch;

use super::{AppError, AppState};
use crate::feed::RowsSince;
use crate::query::status::{self, Change};
use crate::query::{QueryError, events};

/// Pause after the database could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// Rows that are kept for subscribers that keep up, and read at once.
const KEPT_MAX: usize = 1_000;

/// A row of a topic.
pub(super) trait FeedRow: Clone + Send + Sync + Sized + 'static {
    /// What the topic has, for the log.
    const WHAT: &'static str;

    /// Its number.
    fn number(&self) -> i64;

    /// When it was noticed.
    fn at(&self) -> DateTime<Utc>;

    /// Its topic.
    fn feed(state: &AppState) -> &RowFeed<Self>;

    /// The number of the newest row, the rows after a number, and the number before a time.
    fn newest(conn: &mut PgConnection) -> Result<i64, QueryError>;
    fn after(conn: &mut PgConnection, number: i64) -> Result<Vec<Self>, QueryError>;
    fn before(conn: &mut PgConnection, time: DateTime<Utc>) -> Result<i64, QueryError>;
}

impl FeedRow for Change {
    const WHAT: &'static str = "changes of status";

    fn number(&self) -> i64 {
        self.id
    }

    fn at(&self) -> DateTime<Utc> {
        self.changed_at
    }

    fn feed(state: &AppState) -> &RowFeed<Self> {
        &state.statuses
    }

    fn newest(conn: &mut PgConnection) -> Result<i64, QueryError> {
        status::newest_change(conn)
    }

    fn after(conn: &mut PgConnection, number: i64) -> Result<Vec<Self>, QueryError> {
        status::changes_after(conn, number)
    }

    fn before(conn: &mut PgConnection, time: DateTime<Utc>) -> Result<i64, QueryError> {
        status::change_before(conn, time)
    }
}

impl FeedRow for events::Event {
    const WHAT: &'static str = "events";

    fn number(&self) -> i64 {
        self.id
    }

    fn at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn feed(state: &AppState) -> &RowFeed<Self> {
        &state.events
    }

    fn newest(conn: &mut PgConnection) -> Result<i64, QueryError> {
        events::newest(conn)
    }

    fn after(conn: &mut PgConnection, number: i64) -> Result<Vec<Self>, QueryError> {
        events::after(conn, number, events::FOLLOWED_MAX)
    }

    fn before(conn: &mut PgConnection, time: DateTime<Utc>) -> Result<i64, QueryError> {
        events::before(conn, time)
    }
}

/// The newest rows.
#[derive(Debug, Clone)]
struct Newest<T> {
    /// All after the number `after`, the oldest first.
    rows: Arc<Vec<T>>,
    after: i64,
    /// The number of the last; none until the database was read.
    last: Option<i64>,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self {
            rows: Arc::default(),
            after: 0,
            last: None,
        }
    }
}

/// The rows of one topic that the subscribers of this server get.
#[derive(Debug)]
pub(super) struct RowFeed<T> {
    newest: watch::Sender<Newest<T>>,
    is_followed: AtomicBool,
}

impl<T> Default for RowFeed<T> {
    fn default() -> Self {
        Self {
            newest: watch::Sender::new(Newest::default()),
            is_followed: AtomicBool::new(false),
        }
    }
}

/// Which rows a subscription wants.
type Wanted<T> = Box<dyn Fn(&T) -> bool>;

/// A subscription.
pub(super) struct RowView<T> {
    since: RowsSince,
    wanted: Wanted<T>,
    newest: watch::Receiver<Newest<T>>,
    /// The number of the last row that it was sent; none at the beginning.
    sent: Option<i64>,
}

/// What a subscriber gets.
#[derive(Debug)]
pub(super) struct RowPart<T> {
    pub(super) rows: Vec<T>,
    /// The number after which the next part begins.
    pub(super) number: i64,
}

impl<T: FeedRow> RowView<T> {
    /// Begins a subscription.
    pub(super) fn open(
        state: &web::Data<AppState>,
        since: RowsSince,
        wanted: impl Fn(&T) -> bool + 'static,
    ) -> Self {
        let feed = T::feed(state);
        let view = Self {
            since,
            wanted: Box::new(wanted),
            newest: feed.newest.subscribe(),
            sent: None,
        };
        if !feed.is_followed.swap(true, Ordering::AcqRel) {
            actix_web::rt::spawn(follow::<T>(state.clone()));
        }
        view
    }

    /// The next part, as soon as there is one; at the beginning one without rows that says
    /// where that is.
    pub(super) async fn next(mut self, state: &AppState) -> (Self, RowPart<T>) {
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
                    log::debug!("{} could not be read for the feed: {error}", T::WHAT);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn try_next(&mut self, state: &AppState) -> Result<Option<RowPart<T>>, AppError> {
        let Some(sent) = self.sent else {
            let since = self.since;
            let number = state.ask(move |conn| match since {
                RowsSince::Now => T::newest(conn),
                RowsSince::Time(time) => T::before(conn, time),
                RowsSince::Number(number) => Ok(number),
            });
            let number = number.await?;
            self.sent = Some(number);
            let rows = Vec::new();
            return Ok(Some(RowPart { rows, number }));
        };
        let newest = self.newest.borrow_and_update().clone();
        let Some(_) = newest.last.filter(|last| *last > sent) else {
            return Ok(None);
        };
        let rows = match newest.after <= sent {
            true => {
                let fresh = newest.rows.iter().filter(|row| row.number() > sent);
                fresh.cloned().collect()
            }
            false => {
                // There may be more of them.
                self.newest.mark_changed();
                state.ask(move |conn| T::after(conn, sent)).await?
            }
        };
        let number = rows.last().map_or(sent, T::number);
        self.sent = Some(number);
        let rows: Vec<T> = rows.into_iter().filter(|row| self.is_wanted(row)).collect();
        Ok((!rows.is_empty()).then_some(RowPart { rows, number }))
    }

    fn is_wanted(&self, row: &T) -> bool {
        let is_since = match self.since {
            RowsSince::Time(time) => row.at() >= time,
            RowsSince::Now | RowsSince::Number(_) => true,
        };
        is_since && (self.wanted)(row)
    }
}

/// Looks for new rows each `CACHE_UPDATE_INTERVAL_MS`, while there are subscribers; while there
/// are more than it reads at once, without a pause.
async fn follow<T: FeedRow>(state: web::Data<AppState>) {
    let feed = T::feed(&state);
    // What was found before the last subscriber left may be long ago.
    feed.newest.send_replace(Newest::default());
    loop {
        let last = feed.newest.borrow().last;
        let found = state.ask(move |conn| match last {
            Some(last) => Ok((last, T::after(conn, last)?)),
            None => Ok((T::newest(conn)?, Vec::new())),
        });
        let mut has_more = false;
        match found.await {
            Ok((from, rows)) => {
                has_more = rows.len() >= KEPT_MAX;
                feed.newest
                    .send_if_modified(|newest| newest.take(from, rows));
            }
            Err(error) => log::debug!("{} could not be read for the feed: {error}", T::WHAT),
        }
        if !has_more {
            tokio::time::sleep(state.config.feed.update_interval).await;
        }
        if feed.newest.receiver_count() == 0 {
            feed.is_followed.store(false, Ordering::Release);
            let has_new = feed.newest.receiver_count() > 0;
            if !has_new || feed.is_followed.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}

impl<T: FeedRow> Newest<T> {
    /// Takes over rows that came after the number `from`; whether that is news.
    fn take(&mut self, from: i64, rows: Vec<T>) -> bool {
        let is_first = self.last.is_none();
        if is_first {
            self.after = from;
            self.last = Some(from);
        }
        let Some(last) = rows.last().map(T::number) else {
            return is_first;
        };
        self.last = Some(last);
        let mut kept = Arc::unwrap_or_clone(std::mem::take(&mut self.rows));
        kept.extend(rows);
        if let Some(more) = kept.len().checked_sub(KEPT_MAX).filter(|more| *more > 0) {
            let dropped = kept.drain(..more).next_back();
            self.after = dropped.map_or(self.after, |row| row.number());
        }
        self.rows = Arc::new(kept);
        true
    }
}
