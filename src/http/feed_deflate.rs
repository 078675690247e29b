//! Compression of the feed: permessage-deflate (RFC 7692). Each text is compressed for
//! itself, so that a connection holds no window between two texts, and on threads that may
//! block, for those of connections read nodes too.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::ws::{OpCode, Parser};
use actix_web::error::BlockingError;
use actix_web::http::header::{HeaderMap, SEC_WEBSOCKET_EXTENSIONS};
use actix_web::{Error, web};
use actix_web_actors::ws::ProtocolError;
use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use futures::Stream;
use futures::future::LocalBoxFuture;

/// What is agreed upon with a client that offers it.
pub(super) const AGREED: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Texts of fewer bytes are sent as they are.
const BYTES_MIN: usize = 1_024;

/// Marks a compressed message in the first byte of its frame (RFC 7692 section 6).
const RSV1: u8 = 0x40;

/// The three reserved bits.
const RSV: u8 = 0x70;

/// The end of each flush, which stands in no frame (RFC 7692 section 7.2.1).
const FLUSH_END: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Whether a client offers compression that this server can do.
pub(super) fn is_offered(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(SEC_WEBSOCKET_EXTENSIONS);
    let mut offers = offers.filter_map(|offers| offers.to_str().ok());
    offers.any(|offers| offers.split(',').any(is_acceptable))
}

/// Whether this is an offer of permessage-deflate with parameters that can be met: any, but
/// for a window of the server that is smaller than the usual one of 2^15 bytes.
fn is_acceptable(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    let is_deflate = parts.next() == Some("permessage-deflate");
    let mut seen = Vec::new();
    is_deflate
        && parts.all(|part| {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (part, None),
            };
            let is_known = match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover", None) => true,
                ("client_max_window_bits", bits) => bits.is_none_or(is_window),
                ("server_max_window_bits", bits) => bits == Some("15"),
                _ => false,
            };
            let is_first = !seen.contains(&name);
            seen.push(name);
            is_known && is_first
        })
}

fn is_window(bits: &str) -> bool {
    matches!(bits, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15")
}

/// Takes the mark of a compressed text or binary off the frame that `buffer` begins with;
/// whether it had one.
pub(super) fn unmark(buffer: &mut [u8]) -> bool {
    match buffer.first_mut() {
        Some(first) if *first & RSV == RSV1 && matches!(*first & 0x0f, 1 | 2) => {
            *first &= !RSV1;
            true
        }
        Some(_) | None => false,
    }
}

/// The text of a compressed message.
///
/// # Errors
/// [`ProtocolError::Overflow`] if it has more than `bytes_max` bytes; another one if it is not
/// properly compressed.
pub(super) fn inflate(message: &[u8], bytes_max: usize) -> Result<Bytes, ProtocolError> {
    let message = [message, &FLUSH_END].concat();
    let mut text = Vec::with_capacity(bytes_max + 1);
    let mut inflate = Decompress::new(false);
    let inflated = inflate.decompress_vec(&message, &mut text, FlushDecompress::Sync);
    inflated
        .map_err(|error| ProtocolError::Io(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    match text.len() > bytes_max {
        true => Err(ProtocolError::Overflow),
        false => Ok(text.into()),
    }
}

/// Compresses the large texts among whole frames of a server.
///
/// # Errors
/// If these are no such frames, or the compressor fails, which are mistakes of ours.
fn compress(frames: Bytes) -> Result<Bytes, ProtocolError> {
    let mut frames = BytesMut::from(frames);
    let mut compressed = BytesMut::with_capacity(frames.len() / 4);
    let mut deflate = Compress::new(Compression::fast(), false);
    while let Some((is_last, opcode, payload)) = Parser::parse(&mut frames, false, usize::MAX)? {
        let payload = payload.unwrap_or_default();
        if opcode != OpCode::Text || payload.len() < BYTES_MIN {
            Parser::write_message(&mut compressed, payload, opcode, is_last, false);
            continue;
        }
        deflate.reset();
        let start = compressed.len();
        let message = message(&mut deflate, &payload)?;
        Parser::write_message(&mut compressed, message, opcode, is_last, false);
        if let Some(first) = compressed.get_mut(start) {
            *first |= RSV1;
        }
    }
    Ok(compressed.freeze())
}

/// A text as a compressed message.
fn message(deflate: &mut Compress, text: &[u8]) -> io::Result<Vec<u8>> {
    let mut message = Vec::with_capacity(text.len() / 4 + BYTES_MIN);
    loop {
        let done = usize::try_from(deflate.total_in()).unwrap_or(text.len());
        let rest = text.get(done..).unwrap_or_default();
        deflate.compress_vec(rest, &mut message, FlushCompress::Sync)?;
        // A flush is over when it leaves room.
        if message.len() < message.capacity() {
            break;
        }
        message.reserve(text.len() / 4 + BYTES_MIN);
    }
    message.truncate(message.len().saturating_sub(FLUSH_END.len()));
    Ok(message)
}

/// The frames of a connection, compressed where it is worth it. While some are being
/// compressed no others are asked for.
pub(super) struct Deflated<S> {
    frames: Pin<Box<S>>,
    compressing: Option<LocalBoxFuture<'static, Compressed>>,
}

type Compressed = Result<Result<Bytes, ProtocolError>, BlockingError>;

impl<S> Deflated<S> {
    pub(super) fn new(frames: S) -> Self {
        Self {
            frames: Box::pin(frames),
            compressing: None,
        }
    }
}

impl<S: Stream<Item = Result<Bytes, Error>>> Stream for Deflated<S> {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(compressing) = &mut self.compressing {
                let compressed = ready!(compressing.as_mut().poll(context));
                self.compressing = None;
                return Poll::Ready(Some(match compressed {
                    Ok(frames) => frames.map_err(Error::from),
                    Err(error) => Err(error.into()),
                }));
            }
            match ready!(self.frames.as_mut().poll_next(context)) {
                Some(Ok(frames)) if frames.len() > BYTES_MIN => {
                    self.compressing = Some(Box::pin(web::block(move || compress(frames))));
                }
                other => return Poll::Ready(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use futures::{StreamExt, stream};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offers_that_can_be_met_are_accepted() {
        let cases = [
            ("permessage-deflate", true),
            ("permessage-deflate; client_max_window_bits", true),
            (
                "permessage-deflate;client_max_window_bits=\"10\"; server_no_context_takeover",
                true,
            ),
            ("permessage-deflate; server_max_window_bits=15", true),
            (
                "permessage-deflate; server_max_window_bits=10, permessage-deflate",
                true,
            ),
            ("x-webkit-deflate-frame, permessage-deflate", true),
            ("permessage-deflate; server_max_window_bits=10", false),
            ("permessage-deflate; server_max_window_bits", false),
            ("permessage-deflate; client_max_window_bits=16", false),
            ("permessage-deflate; client_max_window_bits=08", false),
            ("permessage-deflate; server_no_context_takeover=1", false),
            (
                "permessage-deflate; client_max_window_bits; client_max_window_bits",
                false,
            ),
            ("permessage-deflate; unknown", false),
            ("permessage-bzip2", false),
            ("", false),
        ];
        for (offer, is_accepted) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
            assert_eq!(is_offered(&headers), is_accepted, "{offer}");
        }
        assert!(!is_offered(&HeaderMap::new()));
    }

    /// Frames of a server, all texts.
    fn frames(texts: &[String]) -> Bytes {
        let mut frames = BytesMut::new();
        for text in texts {
            Parser::write_message(&mut frames, text, OpCode::Text, true, false);
        }
        frames.freeze()
    }

    /// The texts of frames, and which of them were compressed.
    fn texts(frames: &[u8]) -> Vec<(String, bool)> {
        let mut frames = BytesMut::from(frames);
        let mut texts = Vec::new();
        loop {
            let is_compressed = unmark(&mut frames);
            let parsed = Parser::parse(&mut frames, false, usize::MAX).unwrap();
            let Some((true, OpCode::Text, payload)) = parsed else {
                assert!(frames.is_empty() && parsed.is_none());
                return texts;
            };
            let payload = payload.unwrap_or_default();
            let text = match is_compressed {
                true => inflate(&payload, 10 << 20).unwrap(),
                false => payload.freeze(),
            };
            texts.push((String::from_utf8(text.into()).unwrap(), is_compressed));
        }
    }

    proptest! {
        #[test]
        fn what_is_inflated_is_what_was_compressed(
            sent in proptest::collection::vec(("\\PC{0,40}", 0_usize..3_000), 0..6)
        ) {
            let sent: Vec<String> = sent.iter().map(|(text, times)| text.repeat(*times)).collect();
            let compressed = compress(frames(&sent)).unwrap();
            let expected = sent.into_iter().map(|text| (text.len() >= BYTES_MIN, text));
            let expected: Vec<_> = expected.map(|(is_large, text)| (text, is_large)).collect();
            prop_assert_eq!(texts(&compressed), expected);
        }
    }

    #[test]
    fn a_text_that_cannot_be_compressed_stays_whole() {
        let mut state = 1_u64;
        let random: String = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from_u32(u32::try_from(state >> 33).unwrap() % 0xd7ff).unwrap_or('x')
        })
        .take(300_000)
        .collect();
        let compressed = compress(frames(std::slice::from_ref(&random))).unwrap();
        assert_eq!(texts(&compressed), [(random, true)]);
    }

    #[test]
    fn a_bomb_is_an_overflow() {
        let zeros = "0".repeat(10 << 20);
        let bomb = message(
            &mut Compress::new(Compression::best(), false),
            zeros.as_bytes(),
        );
        let bomb = bomb.unwrap();
        assert!(bomb.len() < 65_536);
        assert!(matches!(
            inflate(&bomb, 65_536),
            Err(ProtocolError::Overflow)
        ));
        assert!(inflate(b"\xff\xff\xff", 65_536).is_err());
    }

    #[actix_web::test]
    async fn frames_keep_their_order() {
        let sent: Vec<String> = (0..20).map(|n| n.to_string().repeat(n * 100)).collect();
        let chunks: Vec<_> = sent.chunks(3).map(|texts| Ok(frames(texts))).collect();
        let mut deflated = Deflated::new(stream::iter(chunks));
        let mut received = Vec::new();
        while let Some(frames) = deflated.next().await {
            received.extend(texts(&frames.unwrap()));
        }
        let received: Vec<String> = received.into_iter().map(|(text, _)| text).collect();
        assert_eq!(received, sent);
    }
}
