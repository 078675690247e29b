//! The requests of one feed connection, as a stream that reads no further than
//! it has to: while a request waits for its answer, the socket is not read, and
//! TCP holds the sender back. (The stream of actix-web-actors reads whatever
//! there is before each request.)

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::ws::{OpCode, Parser};
use actix_web::error::PayloadError;
use actix_web_actors::ws::{Message, ProtocolError};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use futures::Stream;

use super::feed_deflate;

/// Longest request, bytes.
const REQUEST_BYTES_MAX: usize = 65_536;

/// Longest header of a frame, bytes.
const HEADER_BYTES_MAX: usize = 14;

/// What a subscriber sends, frame by frame. Holds at most one request and one
/// read of the socket.
#[derive(Debug)]
pub(super) struct FeedRequests<S> {
    socket: S,
    buffer: BytesMut,
    /// Requests may be compressed.
    deflates: bool,
    /// The frame at the start of the buffer is.
    is_deflated: bool,
}

impl<S> FeedRequests<S> {
    /// Of what `socket` reads; `deflates` if compression was agreed upon.
    pub(super) fn new(socket: S, deflates: bool) -> Self {
        Self {
            socket,
            buffer: BytesMut::new(),
            deflates,
            is_deflated: false,
        }
    }

    /// The next frame that is in the buffer.
    fn buffered(&mut self) -> Result<Option<Message>, ProtocolError> {
        self.is_deflated |= self.deflates && feed_deflate::unmark(&mut self.buffer);
        let parsed = Parser::parse(&mut self.buffer, true, REQUEST_BYTES_MAX)?;
        let Some((is_last, opcode, payload)) = parsed else {
            // The parser would wait for the end of a frame of any length.
            let is_too_long = self.buffer.len() > REQUEST_BYTES_MAX + HEADER_BYTES_MAX;
            return match is_too_long {
                true => Err(ProtocolError::Overflow),
                false => Ok(None),
            };
        };
        let mut payload = payload.unwrap_or_default().freeze();
        if mem::take(&mut self.is_deflated) && is_last {
            payload = feed_deflate::inflate(&payload, REQUEST_BYTES_MAX)?;
        }
        Ok(Some(match opcode {
            OpCode::Text if is_last => {
                let text = ByteString::try_from(payload);
                Message::Text(text.map_err(|error| invalid(error.to_string()))?)
            }
            OpCode::Ping => Message::Ping(payload),
            OpCode::Pong => Message::Pong(payload),
            OpCode::Close => Message::Close(Parser::try_parse_close_payload(&payload)?),
            OpCode::Text | OpCode::Binary | OpCode::Continue => Message::Binary(payload),
            OpCode::Bad => return Err(ProtocolError::BadOpCode),
        }))
    }
}

impl<S> Stream for FeedRequests<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Message, ProtocolError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let requests = self.get_mut();
        loop {
            if let Some(next) = requests.buffered().transpose() {
                return Poll::Ready(Some(next));
            }
            match ready!(Pin::new(&mut requests.socket).poll_next(cx)) {
                Some(Ok(bytes)) => requests.buffer.extend_from_slice(&bytes),
                Some(Err(error)) => return Poll::Ready(Some(Err(invalid(error.to_string())))),
                None => return Poll::Ready(None),
            }
        }
    }
}

fn invalid(why: String) -> ProtocolError {
    ProtocolError::Io(io::Error::new(io::ErrorKind::InvalidData, why))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    /// A masked frame.
    fn frame(first: u8, length: u64, payload: &str) -> Vec<u8> {
        let mut frame = vec![first, 0x80 | 127];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload.as_bytes());
        frame
    }

    /// The requests in endless repetitions of `bytes`, and how often they were read.
    fn requests(
        bytes: Vec<u8>,
    ) -> (
        impl Stream<Item = Result<Message, ProtocolError>>,
        Arc<AtomicUsize>,
    ) {
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = reads.clone();
        let socket = stream::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from(bytes.clone()))
        });
        (FeedRequests::new(socket, true), reads)
    }

    #[test]
    fn nothing_is_read_while_there_is_a_request() {
        let (mut requests, reads) = requests(frame(0x81, 2, "{}").repeat(3));
        for number in 0..6 {
            let request = requests.next().now_or_never().unwrap();
            assert!(matches!(request, Some(Ok(Message::Text(text))) if text == "{}"));
            assert_eq!(reads.load(Ordering::Relaxed), 1 + number / 3);
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_its_end() {
        let (mut requests, reads) = requests(frame(0x81, 1 << 40, &"x".repeat(1_000)));
        let refused = requests.next().now_or_never().unwrap();
        assert!(matches!(refused, Some(Err(ProtocolError::Overflow))));
        assert!(reads.load(Ordering::Relaxed) * 1_000 < 2 * REQUEST_BYTES_MAX);
    }

    #[test]
    fn a_compressed_request_is_read_byte_by_byte() {
        // `{}` and an empty block, as a browser writes it.
        let bytes = [0xc1, 0x84, 0, 0, 0, 0, 0xaa, 0xae, 0x05, 0x00];
        let bytes = bytes.repeat(2).into_iter();
        let socket = stream::iter(bytes.map(|byte| Ok(Bytes::copy_from_slice(&[byte]))));
        let mut requests = FeedRequests::new(socket, true);
        for _ in 0..2 {
            let request = requests.next().now_or_never().unwrap();
            assert!(matches!(request, Some(Ok(Message::Text(text))) if text == "{}"));
        }
        assert!(requests.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn compression_that_was_not_agreed_upon_is_refused() {
        let socket = stream::iter([Ok(frame(0xc1, 2, "{}").into())]);
        let request = FeedRequests::new(socket, false).next().now_or_never();
        assert!(matches!(request.unwrap(), Some(Err(ProtocolError::Io(_)))));
    }

    #[test]
    fn fragments_are_no_requests() {
        let (mut requests, _) = requests(frame(0x01, 2, "{}"));
        let fragment = requests.next().now_or_never().unwrap();
        assert!(matches!(fragment, Some(Ok(Message::Binary(_)))));
    }
}
