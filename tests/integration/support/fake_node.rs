//! A node, as the genuine client behaves: the same request bytes, masked binary
//! frames, and it never reads after the handshake.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::PATIENCE;

/// Opcodes of frames.
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;

pub const FIN: u8 = 0x80;

pub struct FakeNode {
    pub stream: TcpStream,
}

impl FakeNode {
    /// Connects to `path`; panics if the server does not let it in.
    pub fn connect(port: u16, path: &str) -> Self {
        let (node, answer) = Self::try_connect(port, path);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        node
    }

    /// Connects to `path`, and gives what the server answers.
    pub fn try_connect(port: u16, path: &str) -> (Self, String) {
        Self::try_connect_from("127.0.0.1", port, path, "")
    }

    /// Connects to `path` at an address of this machine, with further lines of
    /// headers as a proxy adds them.
    pub fn try_connect_from(host: &str, port: u16, path: &str, headers: &str) -> (Self, String) {
        let mut stream = TcpStream::connect((host, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(upgrade(port, path, headers).as_bytes())
            .unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            answer.push(byte[0]);
        }
        (Self { stream }, String::from_utf8(answer).unwrap())
    }

    /// Sends a message as today's nodes do.
    pub fn send(&mut self, message: impl AsRef<[u8]>) {
        self.send_frame(FIN | BINARY, message.as_ref());
    }

    pub fn send_text(&mut self, message: &str) {
        self.send_frame(FIN | TEXT, message.as_bytes());
    }

    /// Sends a message in pieces.
    pub fn send_fragments(&mut self, pieces: &[&[u8]]) {
        for (index, piece) in pieces.iter().enumerate() {
            let opcode = if index == 0 { BINARY } else { 0 };
            let fin = if index + 1 == pieces.len() { FIN } else { 0 };
            self.send_frame(fin | opcode, piece);
        }
    }

    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send_raw(&frame(first, payload));
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The end of the process: FIN, no close frame.
    pub fn leave(self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Waits until the server ends the connection, and gives what it sent before.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut received = Vec::new();
        match self.stream.read_to_end(&mut received) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server does not end the connection: {error}"),
        }
        received
    }
}

/// The request of a node.
pub fn upgrade(port: u16, path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: FCZBJVBlr3K/Gp3QozaLbw==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}

/// A masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut out = vec![first];
    if let Ok(length @ 0..=125) = u8::try_from(payload.len()) {
        out.push(0x80 | length);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        out.push(0x80 | 126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(0x80 | 127);
        out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
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

/// The captured frames of a format, "v1" or "v2", as they were sent.
pub fn corpus(format: &str) -> Vec<Vec<u8>> {
    let path = format!(
        "{}/tests/corpus/{format}.ndjson",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let newline = if format == "v1" { "\n" } else { "" };
    text.lines()
        .map(|line| format!("{line}{newline}").into_bytes())
        .collect()
}
