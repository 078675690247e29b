//! Takes what the server delivers, and notes when it came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::Outcome;

/// A body and when it came, Unix seconds.
pub(crate) type Received = (f64, Value);

/// An HTTP server that takes everything.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub(crate) fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let shared = received.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                // A connection that breaks is the end of its thread.
                thread::spawn(move || serve(stream, &shared).ok());
            }
        });
        Ok(Self { address, received })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that has come so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        let received = self.received.lock();
        received.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut stream: TcpStream, received: &Mutex<Vec<Received>>) -> Outcome<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let body = serde_json::from_slice(&body)?;
        received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((at, body));
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
}
