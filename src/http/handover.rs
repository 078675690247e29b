//! A connection that the HTTP server reads until it is the websocket of a node,
//! and the actor of that node from then on.
//!
//! The HTTP server reads ahead of its handlers, and at the end of a connection
//! discards what they have not taken yet. So the actor reads for itself, up to the
//! last byte before a FIN or a reset; while it waits for memory, the kernel's
//! receive window holds the node back.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::web::{Bytes, Payload};
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of one read, at most: about 3,000 of the smallest messages.
const READ_BYTES: usize = 32 * 1_024;

thread_local! {
    /// Of all connections of a thread: thousands that are idle need none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// The connection as the HTTP server has it.
pub struct HandedOver<IO>(Rc<RefCell<Shared<IO>>>);

/// The connection, for a later reader.
#[derive(Clone)]
pub struct Reading(Rc<RefCell<Shared<dyn Connected>>>);

/// What is read by the server or by an actor, and written by the server.
struct Shared<IO: ?Sized> {
    /// An actor reads.
    is_handed_over: bool,
    /// How often the server wanted to read since then.
    wanted: u64,
    io: IO,
}

/// Both directions of a connection.
trait Connected: AsyncRead + AsyncWrite + Unpin {}

impl<IO: AsyncRead + AsyncWrite + Unpin> Connected for IO {}

impl<IO: AsyncRead + AsyncWrite + Unpin + 'static> HandedOver<IO> {
    /// A connection that the server reads.
    pub fn new(io: IO) -> Self {
        Self(Rc::new(RefCell::new(Shared {
            is_handed_over: false,
            wanted: 0,
            io,
        })))
    }

    /// For a later reader.
    pub fn reading(&self) -> Reading {
        Reading(self.0.clone())
    }

    /// Looks at what is inside.
    pub fn with<T>(&self, look: impl FnOnce(&IO) -> T) -> T {
        look(&self.0.borrow().io)
    }
}

impl Reading {
    /// Takes the reading over from the server: first what it has read already,
    /// which is in `payload` or on its way there, then what comes.
    pub(super) fn take_over(self, payload: Payload) -> Reads {
        self.0.borrow_mut().is_handed_over = true;
        Reads {
            payload: Some(payload),
            wanted: None,
            has_filled: false,
            is_over: false,
            reading: self,
        }
    }
}

/// What comes, read by read, to the last byte; the server reads again when this
/// is dropped.
pub(super) struct Reads {
    /// Until all that the server has read has come out of it.
    payload: Option<Payload>,
    /// How often the server had wanted to read when the payload was empty.
    wanted: Option<u64>,
    /// The last read filled the buffer: others have their turn before the next.
    has_filled: bool,
    is_over: bool,
    reading: Reading,
}

impl Reads {
    /// What the server has read; none when that was all.
    fn poll_payload(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(payload) = &mut self.payload else {
            return Poll::Ready(None);
        };
        match Pin::new(payload).poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.wanted = None;
                return Poll::Ready(Some(bytes));
            }
            Poll::Ready(_over) => {}
            Poll::Pending => {
                // The server hands over all that it has read before it reads again:
                // a payload that is still empty then stays empty.
                let wanted = self.reading.0.borrow().wanted;
                if *self.wanted.get_or_insert(wanted) == wanted {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        self.payload = None;
        Poll::Ready(None)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let mut shared = self.reading.0.borrow_mut();
            ready!(Pin::new(&mut shared.io).poll_read(context, &mut buffer))?;
            self.has_filled = buffer.remaining() == 0;
            Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
        })
    }
}

impl Stream for Reads {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(bytes) = ready!(self.poll_payload(context)) {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if std::mem::take(&mut self.has_filled) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = ready!(self.poll_read(context));
        self.is_over = !matches!(&read, Ok(bytes) if !bytes.is_empty());
        Poll::Ready(match read {
            Ok(bytes) if bytes.is_empty() => None,
            // TLS: the process of the node ended, and did not say so before.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            read => Some(read),
        })
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.reading.0.borrow_mut().is_handed_over = false;
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for HandedOver<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shared = self.0.borrow_mut();
        if shared.is_handed_over {
            // The actor is polled by the task of the server, and wakes it.
            shared.wanted += 1;
            return Poll::Pending;
        }
        Pin::new(&mut shared.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> HandedOver<IO> {
    /// A pong that can't be sent must not end an actor that has not read all yet:
    /// reading finds the end of the connection too.
    fn written(&self, written: io::Result<usize>, all: usize) -> io::Result<usize> {
        match written {
            Err(error) if self.0.borrow().is_handed_over => {
                log::debug!("what was written to a node is lost: {error}");
                Ok(all)
            }
            written => written,
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for HandedOver<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0.borrow_mut().io).poll_write(context, bytes);
        written.map(|written| self.written(written, bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0.borrow_mut().io).poll_write_vectored(context, slices);
        let all = slices.iter().map(|slice| slice.len()).sum();
        written.map(|written| self.written(written, all))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.0.borrow_mut().io).poll_flush(context);
        flushed.map(|flushed| self.written(flushed.map(|()| 0), 0).map(|_| ()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().io).poll_shutdown(context)
    }
}
