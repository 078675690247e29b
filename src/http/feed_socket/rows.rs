//! Topics whose rows have numbers: changes of status, and events.

use actix::{ActorFuture, ActorFutureExt, AsyncContext, SpawnHandle, WrapFuture};

use super::{Context, FeedSocket};
use crate::feed::{EventsRequest, RequestId, StatusRequest};
use crate::http::feed_rows::{FeedRow, RowPart, RowView};
use crate::query::events::{Event, EventFilter, FilterParams};
use crate::query::status::Change;

impl FeedSocket {
    /// Begins with changes of status.
    pub(super) fn subscribe_status(&mut self, request: StatusRequest, ctx: &mut Context) {
        let StatusRequest { chain, since } = request;
        let view = RowView::open(&self.state, since, move |change: &Change| {
            change.is_on(chain.as_deref())
        });
        self.follow_status(view, ctx);
    }

    /// Sends the changes of status, part by part, in place of those that it sent before.
    fn follow_status(&mut self, view: RowView<Change>, ctx: &mut Context) {
        leave(&mut self.status, ctx);
        let next = self.next_part(view);
        self.status = Some(ctx.spawn(next.map(|(view, part), socket, ctx| {
            ctx.text(socket.dialect.status(&part));
            socket.status = None;
            socket.follow_status(view, ctx);
        })));
    }

    pub(super) fn subscribe_events(
        &mut self,
        request: EventsRequest,
        id: Option<&RequestId>,
        ctx: &mut Context,
    ) {
        let filter = EventFilter::new(FilterParams {
            source: request.source,
            peer_id: request.peer_id,
            name: request.name,
            severity: request.severity,
            r#where: request.r#where,
            text: request.text,
        });
        let filter = match filter {
            Ok(filter) => filter,
            Err(error) => return self.refuse(&error.to_string(), id, ctx),
        };
        self.acknowledge(id, ctx);
        let view = RowView::open(&self.state, request.since, move |event: &Event| {
            filter.admits(event)
        });
        self.follow_events(view, ctx);
    }

    /// Sends events, as changes of status.
    fn follow_events(&mut self, view: RowView<Event>, ctx: &mut Context) {
        leave(&mut self.events, ctx);
        let next = self.next_part(view);
        self.events = Some(ctx.spawn(next.map(|(view, part), socket, ctx| {
            ctx.text(socket.dialect.events(&part));
            socket.events = None;
            socket.follow_events(view, ctx);
        })));
    }

    fn next_part<T: FeedRow>(
        &self,
        view: RowView<T>,
    ) -> impl ActorFuture<Self, Output = (RowView<T>, RowPart<T>)> + 'static {
        let state = self.state.clone();
        async move { view.next(&state).await }.into_actor(self)
    }
}

/// Ends a topic.
pub(super) fn leave(following: &mut Option<SpawnHandle>, ctx: &mut Context) {
    if let Some(following) = following.take() {
        ctx.cancel_future(following);
    }
}
