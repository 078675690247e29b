//! Bytes of a socket become whole messages: frames are cut out and unmasked by
//! the library, fragments are put together here, within one limit of size.
//!
//! Text and binary frames are treated alike: both hold JSON, and a text that is
//! not UTF-8 is a bad message, not a reason to lose the node.

use actix_http::ws::{OpCode, Parser, ProtocolError};
use bytes::BytesMut;

use crate::metrics::DisconnectReason;

/// Longest header of a frame: two bytes, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;

/// What a node sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole message.
    Message(BytesMut),
    /// A ping with its payload.
    Ping(BytesMut),
    /// A pong.
    Pong,
    /// The node wants to end the connection.
    Close,
}

/// Takes what is read from the socket, and gives messages.
#[derive(Debug)]
pub(super) struct FrameReader {
    buffer: BytesMut,
    /// Fragments so far; none outside of a fragmented message.
    fragments: Option<BytesMut>,
    bytes_max: usize,
    /// Frames that were cut out since they were last asked for.
    count: u64,
}

impl FrameReader {
    /// For messages of at most `bytes_max` bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            fragments: None,
            bytes_max,
            count: 0,
        }
    }

    /// Frames of all kinds that were cut out since the last time.
    pub(super) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.count)
    }

    /// Bytes of messages that are not whole yet.
    pub(super) fn held_bytes(&self) -> usize {
        self.buffer.len() + self.fragments.as_ref().map_or(0, BytesMut::len)
    }

    /// Takes bytes of the socket.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, if all of it has come.
    ///
    /// # Errors
    /// Why the connection has to end: it is no websocket, or a message is too large.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, DisconnectReason> {
        loop {
            // The library would wait for the largest allowed part of it.
            if announced_bytes(&self.buffer).is_some_and(|bytes| bytes > self.bytes_max) {
                return Err(DisconnectReason::TooLarge);
            }
            let parsed = Parser::parse(&mut self.buffer, true, self.bytes_max);
            let Some((finished, opcode, payload)) = parsed.map_err(|error| reason(&error))? else {
                if self.buffer.len() > self.bytes_max + HEADER_BYTES_MAX {
                    return Err(DisconnectReason::TooLarge);
                }
                if self.buffer.is_empty() {
                    // Thousands of idle connections should not hold a buffer each.
                    self.buffer = BytesMut::new();
                }
                return Ok(None);
            };
            self.count += 1;
            let payload = payload.unwrap_or_default();
            match opcode {
                OpCode::Text | OpCode::Binary if self.fragments.is_some() => {
                    return Err(DisconnectReason::Protocol);
                }
                OpCode::Text | OpCode::Binary if finished => {
                    return Ok(Some(Frame::Message(payload)));
                }
                OpCode::Text | OpCode::Binary => self.fragments = Some(payload),
                OpCode::Continue => {
                    let mut message = self.fragments.take().ok_or(DisconnectReason::Protocol)?;
                    if message.len() + payload.len() > self.bytes_max {
                        return Err(DisconnectReason::TooLarge);
                    }
                    message.extend_from_slice(&payload);
                    if finished {
                        return Ok(Some(Frame::Message(message)));
                    }
                    self.fragments = Some(message);
                }
                OpCode::Ping => return Ok(Some(Frame::Ping(payload))),
                OpCode::Pong => return Ok(Some(Frame::Pong)),
                OpCode::Close => return Ok(Some(Frame::Close)),
                OpCode::Bad => return Err(DisconnectReason::Protocol),
            }
        }
    }
}

/// How long the payload will be, if the frame at the start of `buffer` says it
/// in its longest form.
fn announced_bytes(buffer: &[u8]) -> Option<usize> {
    let [_, second, length @ ..] = buffer else {
        return None;
    };
    let length = length.first_chunk().filter(|_| second & 0x7F == 127)?;
    Some(usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX))
}

fn reason(error: &ProtocolError) -> DisconnectReason {
    match error {
        ProtocolError::Overflow => DisconnectReason::TooLarge,
        _ => DisconnectReason::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIN: u8 = 0x80;

    /// A masked frame, as clients send it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut out = vec![first];
        match payload.len() {
            length @ 0..=125 => out.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                out.push(0x80 | 126);
                out.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        out.extend_from_slice(&mask);
        out.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        out
    }

    fn message(text: &str) -> Frame {
        Frame::Message(BytesMut::from(text))
    }

    #[test]
    fn messages_come_out_however_the_bytes_came_in() {
        let mut bytes = frame(FIN | 2, b"{\"a\":1}");
        bytes.extend(frame(FIN | 1, "é".repeat(100).as_bytes()));
        bytes.extend(frame(FIN | 2, b""));
        for step in [1, 3, bytes.len()] {
            let mut reader = FrameReader::new(1_000);
            let mut frames = Vec::new();
            for piece in bytes.chunks(step) {
                reader.push(piece);
                while let Some(frame) = reader.next().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(
                frames,
                [message("{\"a\":1}"), message(&"é".repeat(100)), message("")]
            );
        }
    }

    #[test]
    fn fragments_are_put_together_with_pings_between_them() {
        let mut reader = FrameReader::new(1_000);
        for piece in [
            frame(2, b"{\"a\""),
            frame(FIN | 9, b"hi"),
            frame(0, b":"),
            frame(FIN, b"1}"),
        ] {
            reader.push(&piece);
        }
        assert_eq!(reader.next(), Ok(Some(Frame::Ping(BytesMut::from("hi")))));
        assert_eq!(reader.next(), Ok(Some(message("{\"a\":1}"))));
        assert_eq!(reader.next(), Ok(None));
    }

    #[test]
    fn a_message_over_the_limit_ends_the_connection() {
        let mut whole = FrameReader::new(100);
        whole.push(&frame(FIN | 2, &[b'x'; 101]));
        assert_eq!(whole.next(), Err(DisconnectReason::TooLarge));

        let mut in_fragments = FrameReader::new(100);
        in_fragments.push(&frame(2, &[b'x'; 60]));
        in_fragments.push(&frame(0, &[b'x'; 60]));
        assert_eq!(in_fragments.next(), Err(DisconnectReason::TooLarge));

        let mut giant = FrameReader::new(100);
        giant.push(&[FIN | 2, 0x80 | 127, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(giant.next(), Err(DisconnectReason::TooLarge));
    }

    #[test]
    fn what_is_no_websocket_ends_the_connection() {
        for bytes in [
            vec![FIN | 2, 3, b'{', b'}', b' '],
            frame(FIN | 0x40 | 2, b"reserved bit"),
            frame(FIN | 5, b"opcode"),
            frame(FIN, b"continues nothing"),
            [frame(2, b"a"), frame(FIN | 2, b"b")].concat(),
            frame(FIN | 9, &[0; 126]),
        ] {
            let mut reader = FrameReader::new(1_000);
            reader.push(&bytes);
            assert_eq!(reader.next(), Err(DisconnectReason::Protocol), "{bytes:?}");
        }
    }
}
