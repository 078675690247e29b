//! Clients that mean harm, and those that are merely broken: whatever they do,
//! others are served, memory stays bounded, and every message is accounted for
//! (which `TestApp` looks at when it is dropped).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::fuzz::Random;
use crate::support::{FakeNode, TestApp, frame, wait_until};

const FIN: u8 = 0x80;
const PING: u8 = FIN | 9;
const BINARY: u8 = 2;

/// What the server may need more under attack; it starts with some 50 MB.
const GROWTH_MAX: f64 = 120e6;

/// A server that is about to be attacked, and a node that is there before.
pub struct Attacked {
    pub app: TestApp,
    bystander: FakeNode,
    memory: f64,
}

impl Attacked {
    pub fn start(settings: &[(&str, u64)]) -> Self {
        let builder = settings
            .iter()
            .fold(TestApp::builder(), |builder, (name, value)| {
                builder.env(name, value)
            });
        let app = builder.start();
        let mut bystander = app.node("/submit");
        bystander.send(message("bystander"));
        app.wait_stored(1);
        let memory = memory(&app);
        Self {
            app,
            bystander,
            memory,
        }
    }

    /// Open and new connections are served, and memory is bounded.
    #[track_caller]
    pub fn assert_unharmed(&mut self) {
        let of_bystander = "SELECT count(*) FROM telemetry_logs WHERE msg = 'bystander'";
        let before = self.app.db.count(of_bystander);
        self.bystander.send(message("bystander"));
        self.app.node("/submit").send(message("bystander"));
        wait_until("others are served", || {
            self.app.db.count(of_bystander) == before + 2
        });
        let grown = memory(&self.app) - self.memory;
        assert!(grown < GROWTH_MAX, "memory grew by {grown} bytes");
    }

    /// A node that sends nothing for long is disconnected.
    fn stay_talking(&mut self) {
        self.bystander.send(message("still.here"));
        std::thread::sleep(Duration::from_millis(500));
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.app.port())).unwrap()
    }

    pub fn closed(&self, reason: &str) -> f64 {
        let label = format!("reason=\"{reason}\"");
        self.app
            .metric_with("ingest_connections_closed_total", &label)
    }

    pub fn dropped(&self, reason: &str) -> f64 {
        let label = format!("reason=\"{reason}\"");
        self.app
            .metric_with("ingest_messages_dropped_total", &label)
    }
}

/// Resident memory of the server, in bytes.
fn memory(app: &TestApp) -> f64 {
    of_process(app, "process_resident_memory_bytes ")
}

fn of_process(app: &TestApp, name: &str) -> f64 {
    let text = app.get("/metrics").body;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().parse().unwrap()
}

pub fn message(msg: &str) -> String {
    let now = chrono::Utc::now().to_rfc3339();
    json!({"id": 1, "payload": {"msg": msg}, "ts": now}).to_string()
}

/// Writes as long as the server lets it; false once it does not.
pub fn push(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// Sends until the server has ended the connection.
#[track_caller]
fn push_until_closed(stream: &mut TcpStream, bytes: &[u8]) {
    let started_at = Instant::now();
    while push(stream, bytes) {
        assert!(started_at.elapsed().as_secs() < 60, "it is never closed");
    }
}

#[test]
fn random_bytes_harm_nobody() {
    let mut attacked = Attacked::start(&[]);
    let mut random = Random(1);
    for round in 0..200 {
        let mut bytes = vec![0; 20_000];
        bytes.fill_with(|| random.next() as u8);
        if round % 2 == 0 {
            push(&mut attacked.connect(), &bytes);
        } else {
            let mut node = attacked.app.node("/submit");
            push(&mut node.stream, &bytes);
        }
    }
    attacked.assert_unharmed();
}

#[test]
fn wrong_masks_cost_the_message_or_the_connection() {
    let mut attacked = Attacked::start(&[]);
    let mut unmasked = attacked.app.node("/submit");
    unmasked.send_raw(b"\x82\x02{}");
    unmasked.read_to_end();
    // With another masking key than in its header, a message is noise in a proper frame.
    let mut wrong = attacked.app.node("/submit");
    for _ in 0..1_000 {
        let mut bytes = frame(FIN | BINARY, message("wrong").as_bytes());
        bytes[4] ^= 0xFF;
        wrong.send_raw(&bytes);
    }
    wrong.send(message("right"));
    wait_until("all are read", || {
        attacked.app.metric("ingest_messages_undecodable_total") == 1_000.0
    });
    attacked.assert_unharmed();
    assert_eq!(attacked.closed("protocol_error"), 1.0);
}

#[test]
fn giant_lengths_are_refused_before_anything_of_them_has_come() {
    let mut attacked = Attacked::start(&[]);
    let lengths = [(64 << 20) + 1, 1 << 32, u64::MAX >> 1, u64::MAX];
    for length in lengths {
        let mut node = attacked.app.node("/submit");
        node.send_raw(&[&[FIN | BINARY, 0xFF][..], &length.to_be_bytes()].concat());
        node.read_to_end();
    }
    wait_until("they are counted", || {
        attacked.closed("message_too_large") == lengths.len() as f64
    });
    attacked.assert_unharmed();
}

#[test]
fn unfinished_messages_share_one_bound() {
    let mut attacked = Attacked::start(&[("QUEUE_BYTES_MAX", 16 << 20)]);
    let mut part = frame(FIN | BINARY, &vec![b' '; 500_000]);
    part.truncate(400_000);
    let attackers: Vec<_> = (0..300)
        .map(|_| {
            let mut node = attacked.app.node("/submit");
            push(&mut node.stream, &part);
            node
        })
        .collect();
    wait_until("most are closed", || {
        attacked.closed("too_many_parts") > 200.0
    });
    attacked.assert_unharmed();
    let held = attacked.app.metric("ingest_part_bytes");
    assert!(held > 1e6 && held <= f64::from(16 << 20), "{held}");
    drop(attackers);
    wait_until("nothing is held", || {
        attacked.app.metric("ingest_part_bytes") == 0.0
    });
}

#[test]
fn endless_fragments_end() {
    let mut attacked = Attacked::start(&[("NODE_FRAMES_PER_S_MAX", 2_000), ("BLOCK_S", 0)]);
    let mut large = attacked.app.node("/submit");
    large.send_frame(BINARY, b"{");
    push_until_closed(&mut large.stream, &frame(0, &[b' '; 10_000]));
    wait_until("it is counted", || {
        attacked.closed("message_too_large") == 1.0
    });
    let mut empty = attacked.app.node("/submit");
    empty.send_frame(BINARY, b"{");
    push_until_closed(&mut empty.stream, &frame(0, b"").repeat(1_000));
    wait_until("it is counted", || attacked.closed("over_limit") == 1.0);
    attacked.assert_unharmed();
}

#[test]
fn a_flood_of_pings_is_hardly_answered_and_ends() {
    let mut attacked = Attacked::start(&[("NODE_FRAMES_PER_S_MAX", 2_000), ("BLOCK_S", 0)]);
    let started_at = Instant::now();
    let mut node = attacked.app.node("/submit");
    let mut reader = node.stream.try_clone().unwrap();
    push_until_closed(&mut node.stream, &frame(PING, &[b'x'; 125]).repeat(100));
    let mut answered = Vec::new();
    // What was answered before the connection was reset.
    let _ = reader.read_to_end(&mut answered);
    // One pong each half second: never as much as a buffer holds, so a client
    // that reads none of them does not block the actor of its connection.
    let most = started_at.elapsed().as_secs_f64() / 0.5 + 2.0;
    assert!((answered.len() as f64) < most * 127.0, "{}", answered.len());
    wait_until("it is counted", || attacked.closed("over_limit") == 1.0);
    attacked.assert_unharmed();
}

#[test]
fn who_never_reads_what_it_asked_for_is_disconnected() {
    let mut attacked = Attacked::start(&[("NODE_IDLE_TIMEOUT_S", 20)]);
    let open = of_process(&attacked.app, "process_open_fds ");
    let deaf: Vec<_> = (0..20)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(4_096).unwrap();
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], attacked.app.port()));
            socket.connect(&address.into()).unwrap();
            let mut stream = TcpStream::from(socket);
            stream
                .set_write_timeout(Some(Duration::from_secs(1)))
                .unwrap();
            let request = b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
            // More than fits into any buffer between the two.
            push(&mut stream, &request.repeat(500));
            stream
        })
        .collect();
    assert!(of_process(&attacked.app, "process_open_fds ") >= open + 20.0);
    wait_until("the kernel has ended them", || {
        attacked.stay_talking();
        of_process(&attacked.app, "process_open_fds ") < open + 5.0
    });
    wait_until("the bystander is stored", || {
        attacked.app.metric("ingest_pending") == 0.0
    });
    attacked.assert_unharmed();
    drop(deaf);
}

#[test]
fn slow_and_silent_clients_are_disconnected_before_the_upgrade() {
    let mut attacked = Attacked::start(&[("UPGRADE_TIMEOUT_S", 5)]);
    let open = of_process(&attacked.app, "process_open_fds ");
    let silent: Vec<_> = (0..300).map(|_| attacked.connect()).collect();
    let mut slow: Vec<_> = (0..300).map(|_| attacked.connect()).collect();
    let request =
        b"GET /submit HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    for byte in &request[..14] {
        for stream in &mut slow {
            push(stream, &[*byte]);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    wait_until("they are disconnected", || {
        of_process(&attacked.app, "process_open_fds ") < open + 5.0
    });
    attacked.assert_unharmed();
    drop((silent, slow));
}

#[test]
fn slow_and_silent_clients_are_disconnected_after_the_upgrade() {
    let mut attacked = Attacked::start(&[("NODE_IDLE_TIMEOUT_S", 20)]);
    let silent: Vec<_> = (0..150).map(|_| attacked.app.node("/submit")).collect();
    let mut slow: Vec<_> = (0..150).map(|_| attacked.app.node("/submit")).collect();
    let bytes = frame(FIN | BINARY, &[b' '; 1_000]);
    let mut bytes = bytes.iter();
    wait_until("they are disconnected", || {
        let byte = *bytes.next().unwrap();
        for node in &mut slow {
            push(&mut node.stream, &[byte]);
        }
        attacked.stay_talking();
        attacked.closed("idle") == 300.0
    });
    wait_until("the bystander is stored", || {
        attacked.app.metric("ingest_pending") == 0.0
    });
    attacked.assert_unharmed();
    drop((silent, slow));
}

#[test]
fn a_thousand_ids_on_one_connection_get_twenty_sessions() {
    let mut attacked = Attacked::start(&[]);
    let mut node = attacked.app.node("/submit");
    for id in 0..1_000 {
        node.send(json!({"id": id, "payload": {"msg": "m"}}).to_string());
    }
    wait_until("all are accounted for", || {
        attacked.dropped("too_many_nodes") == 980.0
    });
    attacked.app.wait_stored(21);
    attacked.assert_unharmed();
}

#[test]
fn a_node_that_is_another_one_all_the_time_gets_few_sessions() {
    let mut attacked = Attacked::start(&[]);
    let mut node = attacked.app.node("/submit");
    for peer in 0..1_000 {
        let facts = json!({"msg": "system.connected", "network_id": format!("peer-{peer}")});
        node.send(json!({"id": 1, "payload": facts}).to_string());
        node.send(json!({"id": 1, "payload": {"msg": "m", "peer": peer}}).to_string());
    }
    wait_until("all are accounted for", || {
        attacked.dropped("too_many_nodes") == 2.0 * 996.0
    });
    attacked.app.wait_stored(9);
    // What is stored is stored under the peer that said it.
    let right = "SELECT count(*) FROM telemetry_logs l JOIN peer_connections p ON p.id = l.peer_connection_id WHERE p.peer_id = 'peer-' || (l.logs ->> 'peer')";
    assert_eq!(attacked.app.db.count(right), 4);
    attacked.assert_unharmed();
}

#[test]
fn numbers_do_not_grow_when_they_are_stored() {
    let mut attacked = Attacked::start(&[]);
    let mut node = attacked.app.node("/submit");
    let numbers = "1e999,".repeat(80_000);
    node.send(format!(
        r#"{{"id":1,"payload":{{"msg":"numbers","a":[{numbers}1e300]}}}}"#
    ));
    attacked.app.wait_stored(2);
    let bytes = "SELECT length(logs::text) FROM telemetry_logs WHERE msg = 'numbers'";
    let bytes = attacked.app.db.count(bytes);
    assert!(bytes < 2 * 480_000, "{bytes}");
    let first = "SELECT logs -> 'a' ->> 0 AS value FROM telemetry_logs WHERE msg = 'numbers'";
    assert_eq!(attacked.app.db.texts(first), ["1e999"]);
    attacked.assert_unharmed();
}

#[test]
fn a_hundred_thousand_kinds_are_stored_and_get_no_metrics_of_their_own() {
    let mut attacked = Attacked::start(&[("NODE_FRAMES_PER_S_MAX", 0)]);
    let mut node = attacked.app.node("/submit");
    for hundred in 0..1_000 {
        let frames = (0..100).flat_map(|number| {
            let message = message(&format!("kind.{hundred}.{number}"));
            frame(FIN | BINARY, message.as_bytes())
        });
        node.send_raw(&frames.collect::<Vec<_>>());
    }
    attacked.app.wait_stored(100_001);
    let kinds = "SELECT count(*) FROM message_kinds WHERE msg LIKE 'kind.%'";
    let kinds = attacked.app.db.count(kinds);
    assert!(kinds <= 1_000, "{kinds}");
    let text = attacked.app.get("/metrics").body;
    let series = text
        .lines()
        .filter(|line| line.contains("_messages_by_kind_total{msg=\"kind."));
    assert!(series.count() <= 100);
    assert!(
        attacked
            .app
            .metric_with("ingest_messages_by_kind_total", "(other)")
            > 90_000.0
    );
    attacked.assert_unharmed();
}

#[test]
fn names_with_markup_and_control_characters_stay_names() {
    let mut attacked = Attacked::start(&[("METRIC_CHAINS_MAX", 3)]);
    let names = [
        "<script>alert(1)</script>",
        "a\nevil_metric 1",
        "\"} 1\n# TYPE evil counter",
        "\u{1b}[2J\u{7}\r\u{0}\u{202e}",
        "=cmd|' /C calc'!A0",
        "back\\slash\"quote'",
    ];
    let mut nodes = Vec::new();
    for name in names {
        let mut node = attacked.app.node("/submit");
        let facts =
            json!({"msg": "system.connected", "name": name, "chain": name, "network_id": name});
        node.send(json!({"id": 1, "payload": facts}).to_string());
        node.send(json!({"id": 1, "payload": {"msg": name}}).to_string());
        node.send(format!("{name} is no JSON"));
        nodes.push(node);
    }
    attacked.app.wait_stored(1 + 2 * names.len() as u32);
    let metrics = attacked.app.get("/metrics").body;
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(
            series.starts_with("tetcore_analytics_") || series.starts_with("process_"),
            "{line}"
        );
    }
    let chains = attacked.app.metric("ingest_sessions_by_chain");
    assert_eq!(chains, names.len() as f64);
    assert_eq!(
        attacked
            .app
            .metric_with("ingest_sessions_by_chain", "(other)"),
        names.len() as f64 - 3.0
    );
    attacked.app.wait_projected();
    let answer = attacked.app.get("/nodes");
    assert_eq!(answer.headers["content-type"], "application/json");
    for name in names {
        let kept = name.replace('\0', "\u{fffd}");
        let found = answer.json();
        let mut found = found.as_array().unwrap().iter();
        assert!(found.any(|node| node["name"] == json!(kept)), "{kept:?}");
    }
    let log = attacked.app.log();
    let is_control = |c: char| c.is_control() && c != '\n';
    assert!(
        !log.contains(is_control) && !log.contains("\nevil"),
        "{log:?}"
    );
    attacked.assert_unharmed();
    drop(nodes);
    wait_until("chains without sessions are gone", || {
        attacked.app.metric("ingest_sessions_by_chain") == 0.0
    });
}

#[test]
fn megabytes_of_nesting_are_refused_or_stored() {
    let mut attacked = Attacked::start(&[("WS_MAX_PAYLOAD", 8 << 20), ("NODE_BYTES_PER_S_MAX", 0)]);
    let mut node = attacked.app.node("/submit");
    let levels = ["[", "{\"a\":", "[{\"\":", "{\"payload\":"];
    for open in levels {
        node.send(open.repeat((4 << 20) / open.len()));
        node.send(format!(
            "{{\"payload\":{{\"msg\":\"m\",\"a\":{}",
            open.repeat((4 << 20) / open.len())
        ));
    }
    let deepest = format!("{}1{}", "{\"a\":".repeat(990), "}".repeat(990));
    node.send(format!(
        "{{\"id\":1,\"payload\":{{\"msg\":\"deep\",\"a\":{deepest}}}}}"
    ));
    attacked.app.wait_stored(2);
    let label = "kind=\"too_deep\"";
    let refused = attacked
        .app
        .metric_with("ingest_messages_undecodable_total", label);
    assert_eq!(refused, 2.0 * levels.len() as f64);
    attacked.assert_unharmed();
}
