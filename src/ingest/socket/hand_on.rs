//! From a socket to the batcher: what was read takes its part of the memory budget, is
//! held back for it, or dropped.

use std::time::Instant;

use actix::{ActorContext, ActorFutureExt, AsyncContext, WrapFuture};

use super::{Context, NodeSocket};
use crate::ingest::batcher::{Append, MemoryPressure};
use crate::ingest::memory_budget::Reservation;
use crate::ingest::socket_read::SocketRead;
use crate::metrics::DropReason;
use crate::store::Group;

impl NodeSocket {
    /// Hands on what was read together; waits while the memory budget is exhausted.
    pub(super) fn hand_on(&mut self, received_at: Instant, ctx: &mut Context) {
        self.show_sessions();
        let Some(read) = self.take_read(received_at) else {
            return self.stop_if_ending(ctx);
        };
        let ingest = self.ingest.clone();
        let reservation = read.reservation();
        if ingest.budget.try_reserve(reservation) {
            self.append(read.group, reservation);
            return self.stop_if_ending(ctx);
        }
        self.held_back = Some(read);
        // Nothing else of this socket is read meanwhile.
        let timeout = ingest.config.ingest.hold_back;
        let taken = async move {
            let report_pressure = || {
                if ingest.batcher.try_send(MemoryPressure).is_err() {
                    log::debug!("the batcher's mailbox is full, or it has ended");
                }
            };
            ingest
                .budget
                .reserve(reservation, timeout, report_pressure)
                .await
        };
        let paused_at = Instant::now();
        ctx.wait(taken.into_actor(self).map(move |taken, socket, ctx| {
            socket.intake.paused(paused_at.elapsed());
            match socket.held_back.take() {
                Some(read) if taken => socket.append(read.group, reservation),
                Some(read) => socket.shed(read),
                None => {}
            }
            socket.stop_if_ending(ctx);
        }));
    }

    fn stop_if_ending(&self, ctx: &mut Context) {
        if self.ending.is_some() {
            ctx.stop();
        }
    }

    pub(super) fn take_read(&mut self, received_at: Instant) -> Option<SocketRead> {
        let sessions = self.nodes.take_changes();
        let introductions = std::mem::take(&mut self.introductions);
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() && sessions.is_empty() {
            return None;
        }
        Some(SocketRead {
            group: Group {
                rows,
                sessions,
                audit: self.audit,
                received_at,
                kept: None,
            },
            introductions,
        })
    }

    pub(super) fn append_or_shed(&mut self, read: SocketRead) {
        let reservation = read.reservation();
        if self.ingest.budget.try_reserve(reservation) {
            self.append(read.group, reservation);
        } else {
            self.shed(read);
        }
    }

    /// The budget is exhausted: only sessions and introductions may take its priority part.
    fn shed(&mut self, mut read: SocketRead) {
        let all = read.group.rows.count();
        read.group.rows.keep(&read.introductions);
        let kept = read.group.rows.count();
        self.dropped(DropReason::QueueFull, all - kept);
        match self.ingest.budget.try_reserve_priority(read.reservation()) {
            Some(reservation) => self.append(read.group, reservation),
            None => {
                self.dropped(DropReason::QueueFull, kept);
                self.nodes.put_back(read.group.sessions);
            }
        }
    }

    /// Sends to the batcher; its memory is reserved.
    fn append(&mut self, group: Group, reservation: Reservation) {
        // The mailbox holds all of the memory budget, so this fails only when
        // the batcher is gone: then the process ends.
        let pending = i64::try_from(reservation.rows).unwrap_or(i64::MAX);
        self.ingest.metrics.pending.add(pending);
        if self
            .ingest
            .batcher
            .try_send(Append { group, reservation })
            .is_err()
        {
            self.ingest.metrics.pending.sub(pending);
            self.ingest.budget.release(reservation);
            self.dropped(DropReason::Shutdown, reservation.rows);
        }
    }
}
