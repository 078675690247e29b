//! Connections that are no telemetry, or none yet: one that keeps the server
//! waiting is ended, and there are never so many that nodes are kept out.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::hostile::{Attacked, push};
use crate::support::{PATIENCE, TestApp, frame, upgrade, wait_until};

const UPGRADE_TIMEOUT_S: u64 = 2;

fn start() -> TestApp {
    TestApp::builder()
        .env("UPGRADE_TIMEOUT_S", UPGRADE_TIMEOUT_S)
        .start()
}

fn connect(app: &TestApp) -> TcpStream {
    connect_from(app, Ipv4Addr::LOCALHOST)
}

/// Connects from an address of this machine.
pub fn connect_from(app: &TestApp, address: Ipv4Addr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = SocketAddr::from((address, 0));
    socket.bind(&from.into()).unwrap();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, app.port()));
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads the head of an answer and as much of a body as it says.
#[track_caller]
fn read_answer(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "no answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap_or("0");
    let length = length.lines().next().unwrap().parse().unwrap();
    stream.read_exact(&mut vec![0; length]).unwrap();
    head
}

/// The server has ended the connection, or does within the time for a request.
#[track_caller]
fn assert_ended(stream: &mut TcpStream) {
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// Sends byte by byte until the server has ended the connection, and gives what
/// it answered. There must be more bytes than it takes.
#[track_caller]
fn drip(stream: &mut TcpStream, bytes: &[u8]) -> String {
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut answer = Vec::new();
    for byte in bytes {
        push(stream, &[*byte]);
        let mut buffer = [0; 1_024];
        match stream.read(&mut buffer) {
            Ok(0) => return String::from_utf8(answer).unwrap(),
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_reset) => return String::from_utf8(answer).unwrap(),
        }
    }
    panic!("it is never ended");
}

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn a_second_request_that_drips_in_is_cut_off() {
    let app = start();
    let mut stream = connect(&app);
    for _ in 0..2 {
        stream.write_all(LIVE).unwrap();
        assert!(read_answer(&mut stream).starts_with("http/1.1 200 "));
    }
    let slow = format!("GET /health/live HTTP/1.1\r\nX: {}", "x".repeat(500));
    assert_eq!(drip(&mut stream, slow.as_bytes()), "");
}

#[test]
fn a_body_that_drips_in_is_cut_off() {
    let app = start();
    for length in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut stream = connect(&app);
        let head = format!(
            "POST /host_systems HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let body = match length {
            "Content-Length: 1000" => " ".repeat(1_000),
            _ => "1\r\n \r\n".repeat(200),
        };
        let answer = drip(&mut stream, body.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[test]
fn a_body_that_nobody_reads_keeps_no_connection() {
    let app = start();
    let mut stream = connect(&app);
    let head = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = drip(&mut stream, "1\r\n \r\n".repeat(200).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn unfinished_heads_share_one_bound() {
    let mut attacked = Attacked::start(&[("QUEUE_BYTES_MAX", 16 << 20)]);
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(120_000));
    let crowd: Vec<_> = (0..400)
        .map(|_| {
            let mut stream = connect(&attacked.app);
            push(&mut stream, head.as_bytes());
            stream
        })
        .collect();
    wait_until("most are cut", || cut(&attacked.app, "too_large") > 200.0);
    attacked.assert_unharmed();
    drop(crowd);
}

#[test]
fn a_node_is_not_bound_by_the_time_of_a_request() {
    let app = start();
    let mut node = app.node("/submit");
    let message = frame(0x82, br#"{"id":1,"payload":{"msg":"slow"}}"#);
    for part in message.chunks(message.len() / 2) {
        // An idle client that is not a node is cut off.
        assert_ended(&mut connect(&app));
        node.send_raw(part);
    }
    app.wait_stored(1);
    assert_eq!(app.metric("ingest_connections"), 1.0);
}

#[test]
fn a_crowd_of_idle_connections_keeps_no_node_out() {
    let app = TestApp::builder().env("CONNECTIONS_MAX", 50).start();
    // Half of the connections send nothing at all, half have sent a request before.
    let stranger = Ipv4Addr::new(127, 0, 0, 2);
    let mut crowd = Vec::new();
    for number in 0..400 {
        let mut stream = connect_from(&app, stranger);
        if number % 2 == 0 {
            push(&mut stream, LIVE);
        }
        crowd.push(stream);
    }
    wait_until("all were let in, and most were cut", || {
        cut(&app, "too_many") >= 350.0
    });
    for number in 0..20 {
        app.node("/submit")
            .send(format!(r#"{{"id":{number},"payload":{{"msg":"m"}}}}"#));
    }
    app.wait_stored(20);
    assert!(app.metric("http_connections") <= 50.0);
    // Once in ten seconds.
    let lines = app.log().matches("HTTP connection was cut").count();
    assert!((1..10).contains(&lines), "{lines}");
    crowd.iter_mut().take(300).for_each(assert_ended);
}

#[test]
fn an_address_has_so_many_http_connections_and_no_more() {
    let app = TestApp::builder().env("CONNECTIONS_PER_IP_MAX", 3).start();
    let stranger = Ipv4Addr::new(127, 0, 0, 2);
    let mut streams: Vec<_> = (0..3).map(|_| connect_from(&app, stranger)).collect();
    for stream in &mut streams {
        stream.write_all(LIVE).unwrap();
        assert!(read_answer(stream).starts_with("http/1.1 200 "));
    }
    let mut refused = connect_from(&app, stranger);
    push(&mut refused, LIVE);
    let mut answer = Vec::new();
    let _ = refused.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    assert_eq!(cut(&app, "too_many_from_address"), 1.0);
    // A node takes a place of its own.
    let mut node = streams.pop().unwrap();
    node.write_all(upgrade(app.port(), "/submit", "").as_bytes())
        .unwrap();
    assert!(read_answer(&mut node).starts_with("http/1.1 101 "));
    let mut let_in = connect_from(&app, stranger);
    let_in.write_all(LIVE).unwrap();
    assert!(read_answer(&mut let_in).starts_with("http/1.1 200 "));
}

fn cut(app: &TestApp, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    app.metric_with("http_connections_cut_total", &label)
}
