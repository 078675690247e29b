//! A subscriber of the live feed.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Error, Message, WebSocket};

use super::{PATIENCE, TestApp};

/// A subscriber of the live feed.
pub struct FeedClient {
    socket: WebSocket<TcpStream>,
    waiting: VecDeque<Value>,
}

impl FeedClient {
    /// Connects to the feed of a server.
    pub fn connect(app: &TestApp) -> Self {
        Self::connect_with(app, &[])
    }

    /// Connects to the feed under `/api/v1`.
    pub fn connect_v1(app: &TestApp) -> Self {
        Self::connect_to(app, "/api/v1/feed", &[])
    }

    /// Connects with headers.
    pub fn connect_with(app: &TestApp, headers: &[(&'static str, &str)]) -> Self {
        Self::connect_to(app, "/feed", headers)
    }

    fn connect_to(app: &TestApp, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", app.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        let url = format!("ws://127.0.0.1:{}{path}", app.port());
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _answer) = tungstenite::client(request, stream).unwrap();
        Self {
            socket,
            waiting: VecDeque::new(),
        }
    }

    /// Sends a request.
    pub fn ask(&mut self, request: &Value) {
        self.send(&request.to_string());
    }

    /// Sends a text.
    pub fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// The next answer, within a time.
    pub fn next_within(&mut self, time: Duration) -> Option<Value> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Some(waiting);
        }
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            self.socket.get_ref().set_read_timeout(Some(left)).unwrap();
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed) => return None,
                Ok(_) => {}
                Err(Error::Io(error))
                    if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) =>
                {
                    return None;
                }
                Err(error) => panic!("the feed broke: {error}"),
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }

    /// The next answer.
    pub fn next(&mut self) -> Value {
        self.next_within(PATIENCE)
            .expect("the feed should have said something")
    }

    /// The next answer with a field; what comes before it is kept for later.
    pub fn next_with(&mut self, field: &str) -> Value {
        let mut others = VecDeque::new();
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.next_within(until.saturating_duration_since(Instant::now()));
            let answer = answer.unwrap_or_else(|| panic!("no {field}, but {others:?}"));
            if answer.get(field).is_some() {
                others.append(&mut self.waiting);
                self.waiting = others;
                return answer;
            }
            others.push_back(answer);
        }
    }

    /// Data until there are as many items, and the last cursor.
    pub fn items(&mut self, count: usize) -> (Vec<Value>, Option<String>) {
        let mut items = Vec::new();
        let mut cursor = None;
        while items.len() < count {
            let answer = self.next_with("data");
            items.extend(answer["data"].as_array().unwrap().iter().cloned());
            cursor = answer["cursor"].as_str().map(str::to_owned).or(cursor);
        }
        (items, cursor)
    }

    /// That no item comes for a while.
    pub fn expect_no_items(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(answer) = self.next_within(until.saturating_duration_since(Instant::now())) {
            let items = answer.get("data").and_then(Value::as_array);
            assert!(items.is_none_or(Vec::is_empty), "unexpected: {answer}");
        }
    }

    /// The code with which the server closes the connection; what comes before is skipped.
    pub fn close_code(&mut self) -> Option<u16> {
        self.socket
            .get_ref()
            .set_read_timeout(Some(PATIENCE))
            .unwrap();
        loop {
            match self.socket.read() {
                Ok(Message::Close(reason)) => return reason.map(|reason| reason.code.into()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// The TCP connection, to be slow with.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}
