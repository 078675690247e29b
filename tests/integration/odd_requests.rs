//! Requests that make no sense get an error of the client, never one of the server.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::TestApp;

/// Asks for a path as it stands, and gives the status and the body.
fn ask(app: &TestApp, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

pub(crate) fn odd_paths_are_errors_of_the_asker_in_json(app: &TestApp) {
    let odd = [
        "%00",
        "%ff",
        "%00/",
        "%ff/",
        "..%2f..%2f..%2fetc/passwd",
        "..%2fnodes",
        "a%0d%0aSet-Cookie:%20x/",
        "%e0%80%80/",
        "%",
        "%zz",
        &"a".repeat(300),
        &"a/".repeat(1_000),
        &"a".repeat(20_000),
    ];
    let below = [
        "/",
        "/dashboard/",
        "/reputation/",
        "/benchmarks/",
        "/nodes/",
        "/t/",
        "/api/v1/",
    ];
    for below in below {
        for odd in odd {
            for end in ["", "/events", ".js"] {
                let path = format!("{below}{odd}{end}");
                let (status, body) = ask(app, &path);
                let shown: String = path.chars().take(80).collect();
                assert!((400..500).contains(&status), "{shown}: {status} {body}");
                let error: Value = serde_json::from_str(&body)
                    .unwrap_or_else(|error| panic!("{shown}: {status} {error}: {body}"));
                assert!(error["error"]["code"].is_string(), "{shown}: {body}");
            }
        }
    }
}

/// What a parameter may not be, by its name.
fn nonsense(name: &str, schema: &Value) -> Vec<&'static str> {
    match name {
        "start_time" | "end_time" => vec![
            "99999-01-01T00:00:00Z",
            "%2B99999-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "0000-12-31T00:00:00Z",
            "9223372036854775807",
            "-9223372036854775808",
            "",
        ],
        "cursor" => vec![
            "-9223372036854775808_1",
            "9223372036854775807_1",
            "1_9223372036854775808",
            "_",
        ],
        // From the first change on.
        "since" => vec!["-1", "9223372036854775807", "1e3"],
        // The first block has the height 0.
        "height" => vec!["-1", "9223372036854775807", "1e3"],
        _ if schema.to_string().contains("integer") => {
            vec![
                "-9223372036854775808",
                "9223372036854775807",
                "9223372036854775808",
                "1e3",
                "0",
            ]
        }
        _ => vec!["%00"],
    }
}

pub(crate) fn times_and_cursors_from_nowhere_are_refused_by_every_route(app: &TestApp) {
    let api = app.get("/api/openapi.json").json();
    let mut tried = 0;
    for (path, methods) in api["paths"].as_object().unwrap() {
        let path = path.replace("{peer_id}", "nobody").replace("{id}", "1");
        let parameters = methods["get"]["parameters"].as_array();
        for parameter in parameters.into_iter().flatten() {
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let peer = if name == "peer_id" {
                ""
            } else {
                "peer_id=nobody&"
            };
            let takes_peer = parameters
                .into_iter()
                .flatten()
                .any(|one| one["name"] == "peer_id" && one["in"] == "query");
            let peer = if takes_peer { peer } else { "" };
            for value in nonsense(name, &parameter["schema"]) {
                let asked = format!("{path}?{peer}{name}={value}");
                let (status, body) = ask(app, &asked);
                assert_eq!(status, 400, "{asked}: {body}");
                let error: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(error["error"]["parameter"], name, "{asked}: {body}");
                tried += 1;
            }
            if name == "start_time" {
                let asked = format!(
                    "{path}?{peer}start_time=0001-01-01T00:00:00Z&end_time=9999-12-31T23:59:59.999999Z"
                );
                let (status, body) = ask(app, &asked);
                assert!(status < 500, "{asked}: {status} {body}");
            }
        }
    }
    assert!(tried > 50, "{tried}");
}
