//! Bytes of a socket become whole messages: frames are cut out and unmasked by
//! the library, fragments are put together here, within one limit of size. A
//! message over it is let go as it comes, and what follows is read on.
//!
//! Text and binary frames are treated alike: both hold JSON, and a text that is
//! not UTF-8 is a bad message, not a reason to lose the node.

use actix_http::ws::{OpCode, Parser};
use bytes::{Buf, BytesMut};

use crate::metrics::DisconnectReason;

/// Most bytes of one oversized message that are skipped; a longer one ends the
/// connection. The largest `WS_MAX_PAYLOAD`.
const LET_GO_BYTES_MAX: usize = 64 << 20;

/// Bytes of the payload of a ping, a pong or a close frame, at most (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// What a node sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole message.
    Message(BytesMut),
    /// The end of a message that was too large, and is not kept.
    TooLarge,
    /// A ping with its payload.
    Ping(BytesMut),
    /// A pong.
    Pong,
    /// A close frame.
    Close,
}

/// Takes what is read from the socket, and gives messages.
#[derive(Debug)]
pub(super) struct FrameReader {
    buffer: BytesMut,
    /// Fragments so far; none outside of a fragmented message.
    fragments: Option<BytesMut>,
    /// The message that is too large; none outside of one.
    large: Option<Large>,
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
            large: None,
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
    /// Why the connection has to end: it is no websocket, or a message exceeds
    /// all bounds.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, DisconnectReason> {
        loop {
            if self.let_go() {
                return Ok(Some(Frame::TooLarge));
            }
            if let Some(start) = FrameStart::read(&self.buffer)
                && self.begins_large(&start)?
            {
                continue;
            }
            let parsed = Parser::parse(&mut self.buffer, true, self.bytes_max);
            let Some((finished, opcode, payload)) =
                parsed.map_err(|_error| DisconnectReason::Protocol)?
            else {
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

    /// Lets go what has come of a message that is too large; whether that is all of it.
    fn let_go(&mut self) -> bool {
        let Some(large) = &mut self.large else {
            return false;
        };
        let come = large.left.min(self.buffer.len());
        self.buffer.advance(come);
        large.left -= come;
        let is_over = large.left == 0 && large.is_last;
        if is_over {
            self.large = None;
        }
        is_over
    }

    /// Whether the frame that begins now makes a message too large, or belongs to
    /// one that is.
    fn begins_large(&mut self, start: &FrameStart) -> Result<bool, DisconnectReason> {
        if start.is_control() {
            let is_too_large = start.payload_bytes > CONTROL_BYTES_MAX;
            return (!is_too_large)
                .then_some(false)
                .ok_or(DisconnectReason::Protocol);
        }
        let before = match &self.large {
            Some(large) => Some(large.bytes),
            None => self.fragments.as_ref().map(BytesMut::len),
        };
        let bytes = before.unwrap_or(0).saturating_add(start.payload_bytes);
        if self.large.is_none() && bytes <= self.bytes_max {
            return Ok(false);
        }
        if !start.is_proper || before.is_some() != (start.opcode == OpCode::Continue) {
            return Err(DisconnectReason::Protocol);
        }
        if bytes > LET_GO_BYTES_MAX {
            return Err(DisconnectReason::TooLarge);
        }
        self.count += 1;
        self.fragments = None;
        self.large = Some(Large {
            bytes,
            left: start.header_bytes + start.payload_bytes,
            is_last: start.finished,
        });
        Ok(true)
    }
}

/// A message whose bytes are let go.
#[derive(Debug)]
struct Large {
    /// All that was announced of it so far.
    bytes: usize,
    /// What has not come yet of its frame, header included.
    left: usize,
    /// That frame is its last one.
    is_last: bool,
}

/// What the first bytes of a frame say (RFC 6455, 5.2).
struct FrameStart {
    finished: bool,
    opcode: OpCode,
    /// As clients have to send it: masked, and without extensions.
    is_proper: bool,
    header_bytes: usize,
    payload_bytes: usize,
}

impl FrameStart {
    /// None if too little has come.
    fn read(buffer: &[u8]) -> Option<Self> {
        let [first, second, length @ ..] = buffer else {
            return None;
        };
        let (length_bytes, payload_bytes) = match second & 0x7F {
            126 => (2, usize::from(u16::from_be_bytes(*length.first_chunk()?))),
            127 => {
                let length = u64::from_be_bytes(*length.first_chunk()?);
                (8, usize::try_from(length).unwrap_or(usize::MAX))
            }
            length => (0, usize::from(length)),
        };
        Some(Self {
            finished: first & 0x80 != 0,
            opcode: OpCode::from(first & 0x0F),
            is_proper: second & 0x80 != 0 && first & 0x70 == 0,
            header_bytes: 2 + length_bytes + 4,
            payload_bytes,
        })
    }

    fn is_control(&self) -> bool {
        !matches!(
            self.opcode,
            OpCode::Text | OpCode::Binary | OpCode::Continue
        )
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
    fn a_message_over_the_limit_is_let_go_and_the_next_one_is_read() {
        let mut bytes = frame(FIN | 2, &[b'x'; 101]);
        bytes.extend(frame(FIN | 2, b"between"));
        for (first, payload) in [(2, &[b'x'; 60]), (0, &[b'x'; 60]), (0, &[b'x'; 60])] {
            bytes.extend(frame(first, payload));
            bytes.extend(frame(FIN | 9, b"hi"));
        }
        bytes.extend(frame(FIN, b""));
        bytes.extend(frame(FIN | 2, b"after"));
        for step in [1, 7, bytes.len()] {
            let mut reader = FrameReader::new(100);
            let mut frames = Vec::new();
            let mut held = 0;
            for piece in bytes.chunks(step) {
                reader.push(piece);
                while let Some(frame) = reader.next().unwrap() {
                    frames.push(frame);
                }
                held = held.max(reader.held_bytes());
            }
            let ping = || Frame::Ping(BytesMut::from("hi"));
            assert_eq!(
                frames,
                [
                    Frame::TooLarge,
                    message("between"),
                    ping(),
                    ping(),
                    ping(),
                    Frame::TooLarge,
                    message("after")
                ]
            );
            assert!(held <= 100, "{held}");
            assert_eq!(reader.take_count(), 10);
        }
    }

    /// All that a reader makes of bytes that come in pieces.
    fn read(bytes: &[u8], piece: impl Fn(usize) -> usize) -> Vec<Result<Frame, DisconnectReason>> {
        let mut reader = FrameReader::new(100);
        let mut all = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (come, later) = rest.split_at(piece(rest.len()).min(rest.len()));
            rest = later;
            reader.push(come);
            loop {
                match reader.next() {
                    Ok(None) => break,
                    Ok(Some(frame)) => all.push(Ok(frame)),
                    Err(reason) => {
                        all.push(Err(reason));
                        return all;
                    }
                }
            }
        }
        all
    }

    #[test]
    fn whatever_comes_is_read_alike_in_one_piece_and_in_many() {
        let mut state = 1_usize;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % (1 << 32);
            (state >> 8) % below
        };
        let firsts = [
            2,
            FIN | 2,
            0,
            0,
            FIN,
            FIN | 9,
            FIN | 10,
            FIN | 8,
            FIN | 0x40 | 1,
            9,
        ];
        let mut seen = [0; 3];
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..random(8) {
                let first = firsts[random(10)];
                bytes.extend(frame(first, &vec![b'x'; random(200)]));
            }
            if random(4) == 0 && !bytes.is_empty() {
                let place = random(bytes.len());
                bytes[place] ^= 1 << random(8);
            }
            let whole = read(&bytes, |left| left);
            let step = random(60) + 1;
            assert_eq!(read(&bytes, |_| step), whole, "{bytes:?} by {step}");
            for found in whole {
                seen[match found {
                    Ok(Frame::TooLarge) => 0,
                    Ok(_) => 1,
                    Err(_) => 2,
                }] += 1;
            }
        }
        assert!(seen.iter().all(|times| *times > 1_000), "{seen:?}");
    }

    #[test]
    fn a_message_beyond_all_bounds_ends_the_connection() {
        let mut giant = FrameReader::new(100);
        giant.push(&[FIN | 2, 0x80 | 127, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(giant.next(), Err(DisconnectReason::TooLarge));

        let mut endless = FrameReader::new(100);
        endless.push(&frame(2, b"x"));
        let part = frame(0, &[b'x'; 65_535]);
        let parts = (1..2_000).find(|_| {
            endless.push(&part);
            endless.next() != Ok(None)
        });
        assert_eq!(parts, Some(1_025));
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
            vec![FIN | 2, 126, 0xFF, 0xFF, b'{', b'}'],
            frame(FIN | 0x40 | 2, &[0; 2_000]),
            frame(0, &[0; 2_000]),
            [frame(2, &[0; 2_000]), frame(2, b"b")].concat(),
        ] {
            let mut reader = FrameReader::new(1_000);
            reader.push(&bytes);
            assert_eq!(reader.next(), Err(DisconnectReason::Protocol), "{bytes:?}");
        }
    }
}
