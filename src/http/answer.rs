//! Answers that may be large. They become JSON on the thread of their query, and
//! go to their connection in pieces: the threads of connections read nodes too.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Responder};
use bytes::Bytes;
use serde::Serialize;

use crate::query::QueryError;

/// Bytes that are copied to a connection at a time.
const PIECE_BYTES: usize = 65_536;

/// An answer as JSON.
#[derive(Debug)]
pub(super) struct Answer(Bytes);

impl Answer {
    /// Writes `value` as JSON; for threads that may block.
    ///
    /// # Errors
    /// [`QueryError::Internal`] if it cannot be written, which is a mistake of ours.
    pub(super) fn of<T: Serialize>(value: &T) -> Result<Self, QueryError> {
        let json = serde_json::to_vec(value);
        let json = json.map_err(|error| QueryError::Internal(error.to_string()))?;
        Ok(Self(json.into()))
    }

    /// The response with the headers that are in `response`.
    pub(super) fn with(self, mut response: HttpResponseBuilder) -> HttpResponse {
        response
            .content_type(ContentType::json())
            .body(Pieces(self.0))
    }
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        self.with(HttpResponse::Ok())
    }
}

/// What of an answer is still to be sent.
struct Pieces(Bytes);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(u64::try_from(self.0.len()).unwrap_or(u64::MAX))
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.0.len().min(PIECE_BYTES);
        let piece = self.0.split_to(length);
        Poll::Ready((length > 0).then_some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[actix_web::test]
    async fn an_answer_goes_out_in_pieces_and_whole() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * PIECE_BYTES + 1).collect();
        let mut pieces = Pieces(bytes.clone().into());
        assert_eq!(pieces.size(), BodySize::Sized(3 * 65_536 + 1));
        let mut sent = Vec::new();
        while let Some(Ok(piece)) =
            poll_fn(|context| Pin::new(&mut pieces).poll_next(context)).await
        {
            assert!(piece.len() <= PIECE_BYTES);
            sent.extend_from_slice(&piece);
        }
        assert_eq!(sent, bytes);
    }
}
