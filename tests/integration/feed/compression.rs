use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use actix_http::ws::{OpCode, Parser};
use bytes::BytesMut;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;

use super::introduce;
use crate::support::{PATIENCE, TestApp};

const NODES: usize = 60;

/// A subscriber to the table of all nodes that works on frames: it answers with the rows and
/// with how many bytes came.
fn table(app: &TestApp, offer: Option<&str>) -> (BTreeMap<String, Value>, usize) {
    let stream = TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://127.0.0.1:{}/feed", app.port());
    let mut request = url.into_client_request().unwrap();
    if let Some(offer) = offer {
        let headers = request.headers_mut();
        headers.insert("sec-websocket-extensions", offer.parse().unwrap());
    }
    let (mut socket, answer) = tungstenite::client(request, stream).unwrap();
    let agreed = answer.headers().get("sec-websocket-extensions");
    let agreed = agreed.map(|agreed| agreed.to_str().unwrap());
    let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(agreed, offer.map(|_| expected));

    // The request is compressed too, if that was agreed upon.
    let request = json!({"topic": "nodes", "interest": "subscribe"}).to_string();
    let mut message = request.clone().into_bytes();
    if agreed.is_some() {
        message = Vec::with_capacity(1_024);
        let mut deflate = Compress::new(Compression::default(), false);
        let flush = FlushCompress::Sync;
        deflate
            .compress_vec(request.as_bytes(), &mut message, flush)
            .unwrap();
        message.truncate(message.len() - 4);
    }
    let mut frame = BytesMut::new();
    Parser::write_message(&mut frame, message, OpCode::Text, true, true);
    frame[0] |= if agreed.is_some() { 0x40 } else { 0 };
    let stream = socket.get_mut();
    stream.write_all(&frame).unwrap();

    let (mut rows, mut bytes) = (BTreeMap::new(), 0);
    let (mut buffer, mut read) = (BytesMut::new(), [0; 4_096]);
    while rows.len() < NODES {
        let is_compressed = buffer.first().is_some_and(|first| first & 0x40 > 0);
        let mut frame = buffer.clone();
        if is_compressed {
            frame[0] &= !0x40;
        }
        let Some((true, opcode, payload)) = Parser::parse(&mut frame, false, 1 << 20).unwrap()
        else {
            let length = stream.read(&mut read).unwrap();
            assert!(length > 0, "the server ended the connection");
            bytes += length;
            buffer.extend_from_slice(&read[..length]);
            continue;
        };
        buffer = frame;
        if opcode != OpCode::Text {
            continue;
        }
        let mut text = payload.unwrap_or_default().to_vec();
        if is_compressed {
            let message = [&text[..], &[0, 0, 0xff, 0xff]].concat();
            text = Vec::with_capacity(1 << 20);
            let mut inflate = Decompress::new(false);
            let flush = FlushDecompress::Sync;
            inflate.decompress_vec(&message, &mut text, flush).unwrap();
        }
        let answer: Value = serde_json::from_slice(&text).unwrap();
        for row in answer["nodes"].as_array().into_iter().flatten() {
            rows.insert(row["peer_id"].as_str().unwrap().to_owned(), row.clone());
        }
    }
    (rows, bytes)
}

#[test]
fn texts_are_compressed_for_who_offers_it() {
    let app = TestApp::start();
    let mut connections: Vec<_> = (0..NODES / 20).map(|_| app.node("/submit")).collect();
    for peer in 0..NODES {
        let id = (peer % 20).try_into().unwrap();
        introduce(
            &mut connections[peer / 20],
            id,
            &format!("peer {peer}"),
            "A",
        );
    }
    app.wait_stored(NODES.try_into().unwrap());
    app.wait_projected();

    let (plain, plain_bytes) = table(&app, None);
    // As Chromium and Firefox offer it.
    let (compressed, bytes) = table(&app, Some("permessage-deflate; client_max_window_bits"));
    assert_eq!(
        compressed.keys().collect::<Vec<_>>(),
        plain.keys().collect::<Vec<_>>()
    );
    assert_eq!(compressed["peer 7"]["name"], "name of peer 7");
    assert!(bytes * 3 < plain_bytes, "{bytes} bytes of {plain_bytes}");
}
