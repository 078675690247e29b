//! `/feed`: the websocket of a subscriber.
//!
//! One actor for each subscriber. It is only awake while its peer reads, so it
//! never decides what a slow one misses: the hub does, by its bounded mailbox.
//! Once it took a request it takes no other until the hub knows of it.

mod outgoing;
mod rows;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Handler, SpawnHandle, StreamHandler,
    WrapFuture,
};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use chrono::Utc;
use futures::stream;

use super::access::Caller;
use super::feed_deflate::{self, Deflated};
use super::feed_dialect::{FeedDialect, Words};
use super::feed_requests::FeedRequests;
use super::subscription::Subscription;
use super::{AppError, AppState, feed_history};
use crate::database::ReadFrom;
use crate::feed::{
    Ask, Delivery, Interest, Item, Join, MessagesRequest, Origin, RequestId, Since, SubscriberId,
    Topic, Update, Wish, read_request,
};
use crate::metrics::MissReason;
use crate::query::history::History;
use crate::server_state::Permit;
use outgoing::Outgoing;

/// Updates that wait for a subscriber, whatever their bytes: those of 100 subscriptions
/// for ten seconds.
const MAILBOX: usize = 4_096;

/// Subscriptions of one connection; a page needs a few.
const SUBSCRIPTIONS_MAX: usize = 100;

/// How often is looked whether windows are over.
const WINDOWS_INTERVAL: Duration = Duration::from_millis(500);

type Context = ws::WebsocketContext<FeedSocket>;

/// Lets a subscriber in.
///
/// # Errors
/// [`AppError::Unavailable`] while the server stops, or if all places are taken;
/// [`AppError::BadRequest`] if this is no proper upgrade.
pub(super) async fn connect(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> Result<HttpResponse, AppError> {
    open(&request, payload, state, Words::First)
}

/// As [`connect`], for one who reads these words.
pub(super) fn open(
    request: &HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
    words: Words,
) -> Result<HttpResponse, AppError> {
    if state.is_stopping() {
        return Err(AppError::Unavailable("the server stops".to_owned()));
    }
    let Some(permit) = state.server.feed.acquire() else {
        let problem = "FEED_CONNECTIONS_MAX connections to the live feed are open";
        return Err(AppError::Unavailable(problem.to_owned()));
    };
    let mut response = ws::handshake(request)
        .map_err(|error| AppError::bad_request(format!("this is no websocket upgrade: {error}")))?;
    let deflates = feed_deflate::is_offered(request.headers());
    if deflates {
        response.insert_header((header::SEC_WEBSOCKET_EXTENSIONS, feed_deflate::AGREED));
    }
    let caller = request.extensions().get::<Caller>().copied();
    let with_addresses = caller.is_some_and(|caller| caller.sees_addresses);
    let taken_at = Rc::new(Cell::new(Instant::now()));
    let socket = FeedSocket {
        state,
        requests: Some(FeedRequests::new(payload, deflates)),
        _permit: permit,
        dialect: FeedDialect {
            with_addresses,
            words,
        },
        id: None,
        subscriptions: HashMap::new(),
        next: 0,
        status: None,
        events: None,
        histories: Rc::new(()),
        heard_at: Instant::now(),
        taken_at: taken_at.clone(),
    };
    // The actor reads its payload itself, one request at a time.
    let nothing = stream::pending::<Result<web::Bytes, PayloadError>>();
    let frames = ws::WebsocketContext::create(socket, nothing);
    Ok(match deflates {
        true => response.streaming(Outgoing::new(Deflated::new(frames), taken_at)),
        false => response.streaming(Outgoing::new(frames, taken_at)),
    })
}

/// One subscriber.
struct FeedSocket {
    state: web::Data<AppState>,
    requests: Option<FeedRequests<web::Payload>>,
    _permit: Permit,
    dialect: FeedDialect,
    id: Option<SubscriberId>,
    subscriptions: HashMap<u64, Subscription>,
    next: u64,
    /// The next part of the changes of status, while they are wanted.
    status: Option<SpawnHandle>,
    /// The next part of the events, while they are wanted.
    events: Option<SpawnHandle>,
    /// Shared by the histories that are being read, also those of subscriptions
    /// that have ended since.
    histories: Rc<()>,
    heard_at: Instant,
    /// When its connection last took data.
    taken_at: Rc<Cell<Instant>>,
}

/// A history that is being read, counted in [`FeedSocket::histories`].
struct OpenHistory {
    history: History,
    from: ReadFrom,
    counted: Rc<()>,
}

impl FeedSocket {
    fn request(&mut self, text: &str, ctx: &mut Context) {
        let (id, request) = read_request(text);
        let request = match request {
            Ok(request) => request,
            Err(error) => return self.refuse(&error.to_string(), id.as_ref(), ctx),
        };
        let wish = match (request.interest, request.topic) {
            (Interest::Subscribe, Topic::Messages(request)) => {
                return self.subscribe(request, id.as_ref(), ctx);
            }
            (Interest::Unsubscribe, Topic::Messages(request)) => {
                return self.unsubscribe(&request, id.as_ref(), ctx);
            }
            (Interest::Subscribe, Topic::Status(request)) => {
                self.acknowledge(id.as_ref(), ctx);
                return self.subscribe_status(request, ctx);
            }
            (Interest::Unsubscribe, Topic::Status(_)) => {
                self.acknowledge(id.as_ref(), ctx);
                return rows::leave(&mut self.status, ctx);
            }
            (Interest::Subscribe, Topic::Events(request)) => {
                return self.subscribe_events(request, id.as_ref(), ctx);
            }
            (Interest::Unsubscribe, Topic::Events(_)) => {
                self.acknowledge(id.as_ref(), ctx);
                return rows::leave(&mut self.events, ctx);
            }
            (Interest::Subscribe, Topic::Nodes(chain)) => Wish::Nodes(chain),
            (Interest::Unsubscribe, Topic::Nodes(_)) => Wish::NoNodes,
            (Interest::Subscribe, Topic::Presence(chain)) => Wish::Presence(chain),
            (Interest::Unsubscribe, Topic::Presence(_)) => Wish::NoPresence,
        };
        self.acknowledge(id.as_ref(), ctx);
        self.ask(wish, ctx);
    }

    fn subscribe(&mut self, request: MessagesRequest, id: Option<&RequestId>, ctx: &mut Context) {
        let same = |known: &Subscription| known.is_of(&request);
        if self.subscriptions.values().any(same) {
            return self.refuse("this subscription is there already", id, ctx);
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            let problem = format!("a connection has at most {SUBSCRIPTIONS_MAX} subscriptions");
            return self.refuse(&problem, id, ctx);
        }
        let reading = Rc::strong_count(&self.histories) - 1;
        if request.since != Since::Now && reading >= SUBSCRIPTIONS_MAX {
            let problem = format!("{SUBSCRIPTIONS_MAX} histories are being read: wait for one");
            return self.refuse(&problem, id, ctx);
        }
        self.acknowledge(id, ctx);
        self.next += 1;
        let subscription = self.next;
        let filter = request.filter.clone();
        let made = Subscription::new(request, Utc::now(), self.state.config.feed.update_interval);
        let since = made.history_since();
        self.subscriptions.insert(subscription, made);
        let wish = Wish::Messages {
            subscription,
            filter,
            early: since.is_some(),
        };
        self.ask_then(wish, ctx, move |socket, sessions, ctx| {
            if let Some(since) = since {
                socket.read_history(subscription, since, sessions, ctx);
            }
        });
    }

    fn unsubscribe(
        &mut self,
        request: &MessagesRequest,
        id: Option<&RequestId>,
        ctx: &mut Context,
    ) {
        let mut known = self.subscriptions.iter();
        let found = known.find(|(_, known)| known.is_of(request));
        let Some(subscription) = found.map(|(subscription, _)| *subscription) else {
            return self.refuse("there is no such subscription", id, ctx);
        };
        self.subscriptions.remove(&subscription);
        self.acknowledge(id, ctx);
        self.ask(Wish::NoMessages { subscription }, ctx);
    }

    /// Sends a request to the hub; the actor waits until it is answered.
    fn ask(&self, what: Wish, ctx: &mut Context) {
        self.ask_then(what, ctx, |_socket, _sessions, _ctx| {});
    }

    /// Sends a request to the hub, and goes on with its answer.
    fn ask_then(
        &self,
        what: Wish,
        ctx: &mut Context,
        then: impl FnOnce(&mut Self, Vec<Arc<Origin>>, &mut Context) + 'static,
    ) {
        let Some(subscriber) = self.id else {
            return;
        };
        let feed = self.state.feed();
        let heard = async move { feed.send(Ask { subscriber, what }).await };
        let heard = heard.into_actor(self);
        ctx.wait(heard.map(|heard, socket, ctx| match heard {
            Ok(sessions) => then(socket, sessions, ctx),
            Err(_gone) => ctx.stop(),
        }));
    }

    /// Begins with the history of a subscription, once all that came before is
    /// stored: what waits on disk is in no database. `sessions` are those that
    /// the hub knows.
    fn read_history(
        &self,
        subscription: u64,
        since: Since,
        sessions: Vec<Arc<Origin>>,
        ctx: &mut Context,
    ) {
        let Some(filter) = self
            .subscriptions
            .get(&subscription)
            .map(|one| one.filter.clone())
        else {
            return;
        };
        let state = self.state.clone();
        let counted = self.histories.clone();
        let begun = async move {
            let from = feed_history::wait(&state).await?;
            let limits = state.query_limits();
            let begin =
                move |conn: &mut _| History::begin(conn, &filter, &since, sessions, &limits);
            let history = state.ask_from(from, begin).await?;
            Ok(OpenHistory {
                history,
                from,
                counted,
            })
        };
        let begun = begun.into_actor(self);
        ctx.spawn(begun.map(move |begun, socket, ctx| match begun {
            Ok(open) => socket.go_on(subscription, open, ctx),
            Err(error) => socket.without_history(subscription, &error, ctx),
        }));
    }

    /// Reads the next part of a history. As this actor sleeps while its peer
    /// does not read, no more is read than the peer takes.
    fn go_on(&self, subscription: u64, open: OpenHistory, ctx: &mut Context) {
        if !self.subscriptions.contains_key(&subscription) {
            return;
        }
        let state = self.state.clone();
        let OpenHistory {
            mut history,
            from,
            counted,
        } = open;
        let step = async move {
            let step = move |conn: &mut _| {
                let items = history.next(conn)?;
                Ok((history, items))
            };
            state.ask_from(from, step).await
        };
        let step = step.into_actor(self);
        ctx.spawn(step.map(move |step, socket, ctx| match step {
            Ok((history, Some(items))) => {
                socket.show_history(subscription, &items, ctx);
                let open = OpenHistory {
                    history,
                    from,
                    counted,
                };
                socket.go_on(subscription, open, ctx);
            }
            Ok((_, None)) => socket.ask(Wish::Sync { subscription }, ctx),
            Err(error) => socket.without_history(subscription, &error, ctx),
        }));
    }

    fn show_history(&mut self, subscription: u64, items: &[Item], ctx: &mut Context) {
        let dialect = self.dialect;
        if let Some(known) = self.subscriptions.get_mut(&subscription) {
            for text in known.history(items, dialect) {
                ctx.text(text);
            }
        }
    }

    /// There is no history, or no more of it: what comes now is shown all the same.
    fn without_history(&mut self, subscription: u64, error: &AppError, ctx: &mut Context) {
        if let Some(known) = self.subscriptions.get(&subscription) {
            ctx.text(self.dialect.without_history(error, &known.filter));
        }
        self.ask(Wish::Sync { subscription }, ctx);
    }

    fn update(&mut self, update: Update, ctx: &mut Context) {
        let dialect = self.dialect;
        match update {
            Update::Nodes { rows, is_complete } => ctx.text(dialect.nodes(&rows, is_complete)),
            Update::Presence(presences) => ctx.text(dialect.presence(&presences)),
            Update::Messages {
                subscription,
                items,
                early,
            } => {
                if let Some(known) = self.subscriptions.get_mut(&subscription) {
                    let shown = known.live(&items, early, dialect);
                    shown.into_iter().for_each(|text| ctx.text(text));
                }
            }
            Update::Lagged {
                subscription,
                missed,
            } => {
                if let Some(known) = self.subscriptions.get(&subscription) {
                    ctx.text(dialect.lagged(&known.filter, missed));
                }
            }
            Update::Synced {
                subscription,
                cursor,
            } => {
                if let Some(known) = self.subscriptions.get_mut(&subscription) {
                    let (texts, missed) = known.synced(&cursor, dialect);
                    texts.into_iter().for_each(|text| ctx.text(text));
                    if missed > 0 {
                        let metrics = &self.state.metrics.feed;
                        metrics.missed(MissReason::LongHistory, missed);
                        ctx.text(dialect.lagged(&known.filter, missed));
                    }
                }
            }
        }
    }

    /// Shows the windows that are over.
    fn close_windows(&mut self, ctx: &mut Context) {
        let (now, dialect) = (Utc::now(), self.dialect);
        for known in self.subscriptions.values_mut() {
            let (text, late) = known.close_windows(now, dialect);
            if let Some(text) = text {
                ctx.text(text);
            }
            if late > 0 {
                self.state.metrics.feed.missed(MissReason::Late, late);
                ctx.text(dialect.lagged(&known.filter, late));
            }
        }
    }

    fn acknowledge(&self, id: Option<&RequestId>, ctx: &mut Context) {
        if let Some(id) = id {
            ctx.text(self.dialect.acknowledged(id));
        }
    }

    fn refuse(&self, problem: &str, id: Option<&RequestId>, ctx: &mut Context) {
        ctx.text(self.dialect.refused(problem, id));
    }

    /// Pings the client, and closes a connection without an answer.
    fn heartbeat(&self, ctx: &mut Context) {
        // A ping waits behind the data that were taken before it, which TCP's user timeout
        // bounds.
        let heard_at = self.heard_at.max(self.taken_at.get());
        if heard_at.elapsed() >= self.state.config.ingest.client_timeout {
            log::debug!("a subscriber of the live feed does not answer");
            ctx.stop();
        } else {
            ctx.ping(b"");
        }
    }
}

impl Actor for FeedSocket {
    type Context = Context;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        let (feed, recipient) = (self.state.feed(), ctx.address().recipient());
        let joined = async move { feed.send(Join(recipient)).await };
        ctx.wait(joined.into_actor(self).map(|joined, socket, ctx| {
            let Ok((id, given_up)) = joined else {
                return ctx.stop();
            };
            socket.id = Some(id);
            ctx.spawn(given_up.into_actor(socket).map(|_given_up, _socket, ctx| {
                let reason = (ws::CloseCode::Again, "too slow: nothing was read for long");
                ctx.close(Some(reason.into()));
                ctx.stop();
            }));
        }));
        let interval = self.state.config.ingest.heartbeat_interval;
        ctx.run_interval(interval, |socket, ctx| socket.heartbeat(ctx));
        ctx.run_interval(WINDOWS_INTERVAL, |socket, ctx| socket.close_windows(ctx));
        if let Some(requests) = self.requests.take() {
            ctx.add_stream(requests);
        }
    }
}

impl Handler<Delivery> for FeedSocket {
    type Result = ();

    fn handle(&mut self, delivery: Delivery, ctx: &mut Self::Context) {
        self.update(delivery.update, ctx);
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for FeedSocket {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        self.heard_at = Instant::now();
        match message {
            Ok(ws::Message::Text(text)) => self.request(&text, ctx),
            Ok(ws::Message::Ping(payload)) => ctx.pong(&payload),
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Ok(ws::Message::Binary(_) | ws::Message::Continuation(_)) => {
                self.refuse("a request is one text, unfragmented", None, ctx);
            }
            Err(ws::ProtocolError::Overflow) => {
                let reason = (ws::CloseCode::Size, "a request has at most 64 KiB");
                ctx.close(Some(reason.into()));
                ctx.stop();
            }
            Err(error) => {
                log::debug!("a subscriber of the live feed: {error}");
                ctx.stop();
            }
        }
    }
}
