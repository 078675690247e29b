//! TLS of the server's own: https, wss, and certificates that are renewed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http_connections::connect_from;
use crate::support::{PATIENCE, TestApp, frame, upgrade, wait_until};

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A self-made certificate for `localhost`, written to `dir`.
fn make_pair(dir: &Path) -> CertificateDer<'static> {
    make_pair_for(dir, "localhost")
}

/// One for `localhost` and another name.
fn make_pair_for(dir: &Path, name: &str) -> CertificateDer<'static> {
    let names = ["localhost".to_owned(), name.to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// Connects as a node does that trusts this certificate and no other.
fn connect(port: u16, trusted: &CertificateDer<'static>) -> std::io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = TcpStream::connect(("127.0.0.1", port))?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(tls, tcp))
}

/// Sends a request, and reads the head of the answer.
fn ask(stream: &mut Tls, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn get(port: u16, trusted: &CertificateDer<'static>, path: &str) -> String {
    let mut stream = connect(port, trusted).unwrap();
    ask(
        &mut stream,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    )
}

#[test]
fn names_of_the_certificate_are_names_of_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let first = make_pair_for(dir.path(), "first.example");
    let app = TestApp::builder()
        .env("TLS_CERT_PATH", dir.path().join("cert.pem").display())
        .env("TLS_KEY_PATH", dir.path().join("key.pem").display())
        .start_listening();
    let is_answered = |trusted: &CertificateDer<'static>, host: &str| {
        let request = format!("GET /health/live HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
        let mut stream = connect(app.port(), trusted).ok()?;
        Some(ask(&mut stream, &request).starts_with("HTTP/1.1 200 "))
    };
    assert_eq!(is_answered(&first, "first.example"), Some(true));
    assert_eq!(is_answered(&first, "second.example"), Some(false));
    let second = make_pair_for(dir.path(), "second.example");
    wait_until("the new certificate is used", || {
        is_answered(&second, "second.example") == Some(true)
    });
    assert_eq!(is_answered(&second, "first.example"), Some(false));
}

#[test]
fn https_and_wss_are_served_and_a_renewed_certificate_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let first = make_pair(dir.path());
    let app = TestApp::builder()
        .env("TLS_CERT_PATH", dir.path().join("cert.pem").display())
        .env("TLS_KEY_PATH", dir.path().join("key.pem").display())
        .start_listening();
    let port = app.port();
    wait_until("it is ready", || {
        get(port, &first, "/health/ready").starts_with("HTTP/1.1 200 ")
    });
    assert!(
        app.said()
            .contains(&format!("listening on https://127.0.0.1:{port}/"))
    );
    assert!(
        app.said()
            .contains(&format!("'wss://127.0.0.1:{port}/submit 1'"))
    );

    let mut node = connect(port, &first).unwrap();
    let answer = ask(&mut node, &upgrade(port, "/submit", ""));
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let send = |node: &mut Tls, message: &str| {
        node.write_all(&frame(0x82, message.as_bytes())).unwrap();
        node.flush().unwrap();
    };
    send(&mut node, r#"{"id":1,"payload":{"msg":"first"}}"#);
    let stored = |msg: &str| {
        let count = format!("SELECT count(*) FROM telemetry_logs WHERE msg = '{msg}'");
        wait_until("the message is stored", || app.db.count(&count) == 1);
    };
    stored("first");

    // Plain HTTP is not understood.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let health = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
        .arg("--health-check")
        .env("PORT", port.to_string())
        .env("TLS_CERT_PATH", dir.path().join("cert.pem"))
        .env("TLS_KEY_PATH", dir.path().join("key.pem"))
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(
        health.status.success(),
        "{}",
        String::from_utf8_lossy(&health.stderr)
    );

    // A bad pair changes nothing.
    std::fs::write(dir.path().join("cert.pem"), "rubbish").unwrap();
    wait_until("the bad pair is noticed", || {
        app.log()
            .contains("the new TLS certificate is not used, the old one stays")
    });
    assert!(get(port, &first, "/nodes").starts_with("HTTP/1.1 200 "));

    // A good one is used for new connections; open ones stay.
    let second = make_pair(dir.path());
    wait_until("the new pair is in use", || connect(port, &second).is_ok());
    assert!(connect(port, &first).is_err());
    assert!(get(port, &second, "/nodes").starts_with("HTTP/1.1 200 "));
    send(&mut node, r#"{"id":1,"payload":{"msg":"second"}}"#);
    stored("second");
}

#[test]
fn a_missing_tls_handshake_is_cut_off_and_a_slow_answer_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = make_pair(dir.path());
    let app = TestApp::builder()
        .env("TLS_CERT_PATH", dir.path().join("cert.pem").display())
        .env("TLS_KEY_PATH", dir.path().join("key.pem").display())
        .env("UPGRADE_TIMEOUT_S", 2)
        .env("CONNECTIONS_MAX", 10)
        .start_listening();
    let port = app.port();
    wait_until("it is ready", || {
        get(port, &trusted, "/nodes").starts_with("HTTP/1.1 200 ")
    });
    let mut locker = app.db.connect();
    locker
        .batch_execute("BEGIN; LOCK TABLE benchmarks")
        .unwrap();
    let mut slow = connect(port, &trusted).unwrap();
    slow.write_all(b"GET /benchmarks HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    slow.flush().unwrap();
    let mut silent = TcpStream::connect(("127.0.0.1", port)).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "it is cut off");
    locker.batch_execute("ROLLBACK").unwrap();
    let answer = ask(&mut slow, "");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    // As many as there may be, and many times more.
    let stranger = Ipv4Addr::new(127, 0, 0, 2);
    let crowd: Vec<_> = (0..200).map(|_| connect_from(&app, stranger)).collect();
    let mut node = connect(port, &trusted).unwrap();
    let answer = ask(&mut node, &upgrade(port, "/submit", ""));
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    drop(crowd);
}

#[test]
fn a_bad_certificate_ends_the_start() {
    let dir = tempfile::tempdir().unwrap();
    make_pair(dir.path());
    let start = |cert: &str, key: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"))
            .env("PORT", "0")
            .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
            .env("TLS_CERT_PATH", dir.path().join(cert))
            .env("TLS_KEY_PATH", dir.path().join(key))
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(start("none.pem", "key.pem").contains("none.pem cannot be used"));
    assert!(start("cert.pem", "cert.pem").contains("cert.pem cannot be used"));
    let other = tempfile::tempdir().unwrap();
    make_pair(other.path());
    std::fs::copy(other.path().join("key.pem"), dir.path().join("other.pem")).unwrap();
    assert!(start("cert.pem", "other.pem").contains("do not fit together"));
}
