//! The actor that owns the websocket of one connection: it makes rows of what it reads,
//! and hands them on (`hand_on`).
//!
//! Nodes since 2021 write and never read: they see no close frame, so what counts
//! as life is that something arrives, and a connection is ended by closing TCP.

mod hand_on;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, StreamHandler, WrapFuture};
use actix_web_actors::ws;
use bytes::{Bytes, BytesMut};
use chrono::Utc;
use futures::stream::{LocalBoxStream, Stream, StreamExt};

use super::Ingest;
use super::addresses::ConnectionPermit;
use super::arrival::Arrivals;
use super::frames::Frame;
use super::intake::Intake;
use super::nodes::{ConnectionInfo, Moment, Nodes};
use super::pings::{Beat, Pings};
use super::socket_read::SocketRead;
use crate::metrics::{DisconnectReason, DropReason, ReadTally};
use crate::store::{NewRow, NodeTime, RowBuffer, RowKind, UNLISTED};
use crate::telemetry::{
    DecodeError, Format, HardwareBenchmark, Heartbeat, Message, NodeFacts, decode,
};

/// After the signal to stop: time for what the socket layer has read already
/// to reach the actor.
const STOP_GRACE: Duration = Duration::from_millis(100);

/// From a message of a refused chain to the end of its connection, unless a
/// node of an admitted chain is there: the nodes of one process (a parachain and
/// its relay chain) share a connection, and introduce themselves one by one.
const CHAIN_PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of a bad message that the log shows.
const SAMPLE_BYTES: usize = 120;

type Context = ws::WebsocketContext<NodeSocket>;

/// One connection.
pub struct NodeSocket {
    ingest: Arc<Ingest>,
    reads: Option<LocalBoxStream<'static, io::Result<Bytes>>>,
    intake: Intake,
    permit: ConnectionPermit,
    nodes: Nodes,
    audit: bool,
    ip: Option<IpAddr>,
    arrivals: Arrivals,
    rows: RowBuffer,
    tally: ReadTally,
    /// Places of rows by which nodes introduce themselves: lost last of all.
    introductions: Vec<usize>,
    /// What waits for memory; it is here so that it outlives the wait.
    held_back: Option<SocketRead>,
    shown_sessions: usize,
    pings: Pings,
    chain_refused: bool,
    ending: Option<DisconnectReason>,
}

impl NodeSocket {
    /// The actor for a connection from `ip_addr`; `reads` is what it sends, to its
    /// end, `permit` its right to be open.
    pub fn new(
        ingest: Arc<Ingest>,
        reads: impl Stream<Item = io::Result<Bytes>> + 'static,
        ip_addr: String,
        permit: ConnectionPermit,
        audit: bool,
    ) -> Self {
        let connection = ConnectionInfo {
            connection: ingest.next_connection(),
            ip_addr,
            audit,
            server_id: ingest.server_id.to_string(),
        };
        let ip = connection.ip_addr.parse().ok();
        let config = &ingest.config.ingest;
        Self {
            reads: Some(reads.boxed_local()),
            intake: Intake::new(config, ingest.metrics.clone(), Instant::now()),
            permit,
            nodes: Nodes::new(
                connection,
                config.nodes_per_connection_max,
                ingest.config.access.chains.clone(),
                ingest.chain_counts.clone(),
            ),
            audit,
            ip,
            arrivals: Arrivals::default(),
            rows: RowBuffer::default(),
            tally: ReadTally::default(),
            introductions: Vec::new(),
            held_back: None,
            shown_sessions: 0,
            pings: Pings::default(),
            chain_refused: false,
            ending: None,
            ingest,
        }
    }

    /// Takes one read of the socket: all messages in it, also when they are only
    /// counted because the connection is over a limit and ends.
    fn read(&mut self, bytes: &[u8], ctx: &mut Context) {
        let now = Moment::now();
        let charged = self.intake.push(bytes, now.steady);
        while self.has_messages() {
            match self.intake.next() {
                Ok(Some(Frame::Message(frame))) => self.message(&frame, now, ctx),
                Ok(Some(Frame::TooLarge)) => {
                    self.tally.message(0);
                    self.exceeded(DropReason::TooLarge, now.steady);
                }
                Ok(Some(Frame::Ping(payload))) => {
                    if self.pings.may_pong(now.steady) {
                        ctx.pong(&payload);
                    }
                }
                Ok(Some(Frame::Pong)) => self.pings.answered(),
                Ok(Some(Frame::Close)) => {
                    ctx.close(None);
                    self.end(DisconnectReason::CloseFrame);
                }
                Ok(None) => break,
                Err(reason) => {
                    self.end(reason);
                    break;
                }
            }
        }
        if let Err(reason) = charged {
            self.block(reason, now.steady);
        }
        (self.tally).show(&self.ingest.metrics, &self.ingest.kind_counts);
        self.hand_on(now.steady, ctx);
    }

    /// Whether what comes are messages: after a close frame, or what is no
    /// websocket, they are not.
    fn has_messages(&self) -> bool {
        matches!(self.ending, None | Some(DisconnectReason::OverLimit))
    }

    /// Ends a connection that stayed over a limit, and refuses its address.
    fn block(&mut self, reason: DropReason, now: Instant) {
        self.intake.block(reason);
        if self.ending.is_some() {
            return;
        }
        let ingest = &self.ingest;
        if self.permit.block(now) {
            ingest.metrics.addresses_blocked.inc();
        }
        if let Some(left_out) = ingest.over_limit.admit(now) {
            log::warn!(
                "a connection stayed over its limit ({}): closed, its address is refused for {} s ({left_out} such since the last such line)",
                reason.label(),
                ingest.config.ingest.block.as_secs()
            );
        }
        log::debug!("over its limit: {:?}", self.permit.address);
        self.refused(DisconnectReason::OverLimit, Some(reason.label()));
        self.end(DisconnectReason::OverLimit);
    }

    /// Remembers why nodes of this address are missing.
    fn refused(&self, reason: DisconnectReason, detail: Option<&str>) {
        let refusals = self.ingest.refusals();
        refusals.add(self.ip, reason.label(), detail, Utc::now());
    }

    fn message(&mut self, frame: &BytesMut, now: Moment, ctx: &mut Context) {
        self.tally.message(frame.len());
        if let Some(reason) = self.intake.over() {
            return self.dropped(reason, 1);
        }
        let message = match decode(frame) {
            Ok(message) => message,
            Err(error) => return self.undecodable(error, frame),
        };
        self.tally.format(message.format);
        if message.format == Format::V1 && self.pings.ask_first() {
            // Old nodes read, so a vanished one can be noticed sooner.
            ctx.ping(b"");
            let interval = self.ingest.config.ingest.heartbeat_interval;
            ctx.run_interval(interval, |socket, ctx| socket.heartbeat(ctx));
        }
        match self.record(&message, now) {
            Ok(()) => {}
            Err(reason @ DropReason::ChainRefused) => {
                self.dropped(reason, 1);
                if !self.chain_refused {
                    self.chain_refused = true;
                    let facts = NodeFacts::from_fields(&message.fields.to_vec());
                    let chain = facts.chain.or(facts.genesis_hash);
                    self.refused(DisconnectReason::ChainRefused, chain.as_deref());
                    ctx.run_later(CHAIN_PATIENCE, Self::end_if_chain_refused);
                }
            }
            Err(reason) => self.exceeded(reason, now.steady),
        }
    }

    /// Drops a message that is over a limit.
    fn exceeded(&mut self, reason: DropReason, now: Instant) {
        self.dropped(reason, 1);
        if self.intake.exceed(now) {
            self.block(reason, now);
        }
    }

    /// Ends a connection whose nodes are all refused.
    fn end_if_chain_refused(&mut self, ctx: &mut Context) {
        self.chain_refused = false;
        if self.nodes.count() == 0 {
            self.end(DisconnectReason::ChainRefused);
            self.hand_on(Instant::now(), ctx);
        }
    }

    /// Makes a row of a message.
    fn record(&mut self, message: &Message<'_>, now: Moment) -> Result<(), DropReason> {
        let ingest = self.ingest.clone();
        let session = match &*message.kind {
            NodeFacts::KIND => {
                let facts = NodeFacts::from_fields(&message.fields.to_vec());
                self.nodes.facts(message.node, facts, now, &ingest.ids)?
            }
            kind => {
                let session = self.nodes.session(message.node, now, &ingest.ids)?;
                if kind == HardwareBenchmark::KIND {
                    let hardware = HardwareBenchmark::from_fields(&message.fields.to_vec());
                    self.nodes.hardware(session, hardware, now);
                } else if kind == Heartbeat::KIND
                    && let Some(beat) = Heartbeat::from_fields(&message.fields.to_vec())
                {
                    ingest.heartbeats.add(beat, now.steady);
                }
                session
            }
        };
        if self.rows.is_empty()
            && let Some(claimed) = message.ts
        {
            let skew_s = (claimed - now.wall).abs().as_seconds_f64();
            ingest.metrics.clock_skew_seconds.observe(skew_s);
            if skew_s > ingest.config.ingest.clock_skew_max.as_secs_f64() {
                ingest.metrics.clock_skew_exceeded.inc();
            }
        }
        let kind = ingest.kinds.find(&message.kind);
        let number = match kind {
            RowKind::Stored(number) => Some(number),
            RowKind::Pending(_) => None,
        };
        (self.tally).kind(number, &message.kind, &ingest.kind_counts);
        let created_at = self.arrivals.next(now.wall);
        let row = NewRow {
            created_at,
            session,
            kind,
            node_time: NodeTime::of(message.ts, created_at),
            target: message.target.as_deref(),
        };
        if message.kind == NodeFacts::KIND {
            self.introductions.push(self.rows.count());
        }
        self.rows.push(&row, |out| match kind {
            RowKind::Stored(UNLISTED) => message.fields.write_with_kind(&message.kind, out),
            _ => message.fields.write(out),
        });
        Ok(())
    }

    fn undecodable(&self, error: DecodeError, frame: &[u8]) {
        self.ingest.metrics.message_undecodable(error);
        if let Some(left_out) = self.ingest.undecodable.admit(Instant::now()) {
            log::warn!("{error} ({left_out} like it since the last such line)");
            let sample = frame.get(..SAMPLE_BYTES).unwrap_or(frame);
            log::debug!("it begins with {:?}", String::from_utf8_lossy(sample));
        }
    }

    fn dropped(&self, reason: DropReason, count: usize) {
        if count == 0 {
            return;
        }
        let metrics = &self.ingest.metrics;
        metrics.messages_dropped(reason, u64::try_from(count).unwrap_or(0));
        if let Some(left_out) = self.ingest.dropped.admit(Instant::now()) {
            let reason = reason.label();
            log::warn!(
                "{count} messages were dropped: {reason} ({left_out} such losses since the last such line)"
            );
        }
    }

    /// Pings a peer that has answered before.
    fn heartbeat(&mut self, ctx: &mut Context) {
        let silence = self.intake.silence();
        let timeout = self.ingest.config.ingest.client_timeout;
        match self.pings.beat(silence, timeout) {
            Beat::Ask => ctx.ping(b""),
            Beat::GiveUp => {
                self.end(DisconnectReason::PingTimeout);
                self.hand_on(Instant::now(), ctx);
            }
            Beat::Rest => {}
        }
    }

    fn check_idle(&mut self, ctx: &mut Context) {
        if self.intake.since_frame() >= self.ingest.config.ingest.idle_timeout {
            self.end(DisconnectReason::Idle);
            self.hand_on(Instant::now(), ctx);
        }
    }

    /// Ends all sessions; the caller hands on, and stops the actor.
    fn end(&mut self, reason: DisconnectReason) {
        if self.ending.is_none() {
            self.ending = Some(reason);
            self.nodes.end(reason, Moment::now());
        }
    }

    fn show_sessions(&mut self) {
        let open = self.nodes.count();
        let change =
            i64::try_from(open).unwrap_or(0) - i64::try_from(self.shown_sessions).unwrap_or(0);
        self.ingest.metrics.sessions.add(change);
        self.shown_sessions = open;
    }
}

impl Actor for NodeSocket {
    type Context = Context;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.ingest.metrics.connections.inc();
        self.ingest.metrics.connections_opened.inc();
        if let Some(reads) = self.reads.take() {
            ctx.add_stream(reads);
        }
        // Four looks in the time limit keep it to within a quarter.
        let check = self.ingest.config.ingest.idle_timeout / 4;
        ctx.run_interval(check, |socket, ctx| socket.check_idle(ctx));
        let mut stop = self.ingest.stop.subscribe();
        let stopped = async move { stop.wait_for(|stop| *stop).await.is_ok() };
        ctx.spawn(stopped.into_actor(self).map(|_stop, _socket, ctx| {
            ctx.run_later(STOP_GRACE, |socket, ctx| {
                socket.end(DisconnectReason::ServerStopped);
                socket.hand_on(Instant::now(), ctx);
            });
        }));
    }

    /// Also when the server has dropped the actor.
    fn stopped(&mut self, _ctx: &mut Self::Context) {
        self.end(DisconnectReason::ConnectionLost);
        self.show_sessions();
        if let Some(read) = self.held_back.take() {
            self.append_or_shed(read);
        }
        if let Some(read) = self.take_read(Instant::now()) {
            self.append_or_shed(read);
        }
        self.ingest
            .append_later(self.nodes.take_changes(), self.audit);
        let reason = self.ending.unwrap_or(DisconnectReason::ConnectionLost);
        self.ingest.metrics.connections.dec();
        self.ingest.metrics.connection_closed(reason);
        log::debug!("connection ended: {}", reason.label());
    }
}

impl StreamHandler<io::Result<Bytes>> for NodeSocket {
    fn handle(&mut self, read: io::Result<Bytes>, ctx: &mut Self::Context) {
        match read {
            Ok(bytes) if self.has_messages() => self.read(&bytes, ctx),
            Ok(_after_the_end) => {}
            Err(error) => {
                log::debug!("a connection is lost: {error}");
                self.end(DisconnectReason::ConnectionLost);
                self.hand_on(Instant::now(), ctx);
            }
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.end(DisconnectReason::ClosedByNode);
        self.hand_on(Instant::now(), ctx);
    }
}

/// What `WebsocketContext` would read itself: nothing, for the socket reads its
/// payload on its own, many frames at a time.
impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for NodeSocket {
    fn handle(
        &mut self,
        _message: Result<ws::Message, ws::ProtocolError>,
        _ctx: &mut Self::Context,
    ) {
    }

    fn finished(&mut self, _ctx: &mut Self::Context) {}
}
