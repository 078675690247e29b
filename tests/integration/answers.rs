//! How answers are sent: compressed for clients that accept it, whole for all.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::support::{FakeNode, PATIENCE, TestApp, wait_until};

/// Asks with an `Accept-Encoding`, and gives headers and body as they were sent.
fn ask(app: &TestApp, path: &str, accepted: &str) -> (HashMap<String, String>, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: {accepted}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    (headers.collect(), answer[end + 4..].to_vec())
}

fn encoding(headers: &HashMap<String, String>) -> Option<&str> {
    headers.get("content-encoding").map(String::as_str)
}

#[test]
fn the_nodes_of_a_fleet_of_200_are_30_kb() {
    let app = TestApp::start();
    let mut fleet = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .args(["demo", "--nodes", "200", "--url"])
        .arg(format!("ws://127.0.0.1:{}/submit", app.port()))
        .current_dir("/")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("all nodes are there", || {
        app.db
            .count("SELECT count(*) FROM peer_connections WHERE peer_id IS NOT NULL")
            == 200
    });
    fleet.kill().unwrap();
    fleet.wait().unwrap();
    app.wait_projected();
    let path = "/nodes?limit=1000";
    let (headers, plain) = ask(&app, path, "identity");
    assert_eq!(encoding(&headers), None);
    assert_eq!(headers["content-length"], plain.len().to_string());
    assert!(plain.len() > 100_000, "{} bytes", plain.len());
    let all: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 200);
    for accepted in ["gzip", "br", "gzip, deflate, br, zstd"] {
        let (headers, body) = ask(&app, path, accepted);
        let used = encoding(&headers).unwrap();
        assert!(accepted.contains(used), "{used} of {accepted}");
        assert!(headers["vary"].contains("accept-encoding"), "{headers:?}");
        assert!(body.len() < 30_000, "{} bytes by {used}", body.len());
    }
}

#[test]
fn texts_are_compressed_and_small_ones_are_sent_as_they_are() {
    let app = TestApp::start();
    for path in [
        "/",
        "/dashboard/",
        "/dashboard/vendor/uplot/uPlot.esm.js",
        "/dashboard/lib/base.css",
        "/metrics",
        "/api/openapi.json",
    ] {
        let (_, plain) = ask(&app, path, "identity");
        for accepted in ["br", "gzip"] {
            let (headers, body) = ask(&app, path, accepted);
            assert_eq!(encoding(&headers), Some(accepted), "{path}");
            assert!(
                body.len() * 2 < plain.len(),
                "{path}: {} of {} bytes by {accepted}",
                body.len(),
                plain.len()
            );
        }
        // Nothing is refused for what a client takes.
        let (headers, _) = ask(&app, path, "zstd");
        assert_eq!(encoding(&headers), None);
    }
    let (headers, _) = ask(&app, "/stats/version", "gzip");
    assert_eq!(encoding(&headers), None);
    let mut node = app.node("/submit");
    node.send(r#"{"id":1,"payload":{"msg":"x"},"ts":"2026-11-21T08:10:24Z"}"#);
    app.wait_stored(1);
    drop(node);
    let offer = "Accept-Encoding: gzip\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let (_node, answer) = FakeNode::try_connect_from("127.0.0.1", app.port(), "/submit", offer);
    assert!(!answer.to_lowercase().contains("extensions"), "{answer}");
}
