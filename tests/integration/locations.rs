//! Where nodes are, by files of the operator's, and who may see it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::blocks::{GENESIS, import, introduce};
use crate::support::{FakeNode, FeedClient, TestApp, TestAppBuilder, wait_until, write_mmdb};

/// A reader who may not see addresses.
const ELSEWHERE: [(&str, &str); 1] = [("x-forwarded-for", "192.0.2.1")];

const CITY: &str = "city.mmdb";
const PROVIDERS: &str = "asn.mmdb";

/// The files in a directory, of which that of cities is in the form of `MaxMind` and DB-IP, the other one in that of `IPinfo`.
fn write_files(dir: &Path) {
    let of = |country: &str, city: &str| json!({"country": {"iso_code": country, "names": {"en": "?"}}, "city": {"names": {"de": "?", "en": city}}});
    write_mmdb(
        &dir.join(CITY),
        "GeoLite2-City",
        &[
            ("81.2.69.0/24", of("DE", "Falkenstein")),
            ("81.2.70.0/24", of("FI", "Helsinki")),
            ("2a02:fa80::/32", json!({"country": {"iso_code": "CH"}})),
        ],
    );
    write_mmdb(
        &dir.join(PROVIDERS),
        "ipinfo lite",
        &[
            (
                "81.2.64.0/18",
                json!({"as_name": "Hosting GmbH", "asn": "AS64496", "country": "Germany"}),
            ),
            ("2a02:fa80::/29", json!({"as_name": "Other AG"})),
        ],
    );
}

fn with_files(dir: &Path) -> TestAppBuilder {
    let files = [CITY, PROVIDERS].map(|name| dir.join(name).display().to_string());
    TestApp::builder()
        .env("GEOIP_DATABASE", files.join(", "))
        .env("LOCATION_PRECISION", "city")
        .env("TRUSTED_PROXIES", "127.0.0.0/8")
}

/// Four nodes of a chain, one of them at a private address.
fn connect(app: &TestApp) -> Vec<FakeNode> {
    let places = [
        ("falkenstein", "81.2.69.7"),
        ("helsinki", "81.2.70.8"),
        ("zurich", "2a02:fa80::1"),
        ("at home", "10.1.2.3"),
    ];
    let nodes = places.map(|(peer_id, address)| {
        let header = format!("X-Forwarded-For: {address}\r\n");
        let (mut node, answer) =
            FakeNode::try_connect_from("127.0.0.1", app.port(), "/submit", &header);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        introduce(&mut node, peer_id);
        import(&mut node, 1, 0, "NetworkBroadcast");
        node
    });
    app.wait_stored(8);
    app.wait_projected();
    nodes.into()
}

/// Of each node, by name of its peer id: country, city, provider.
fn places(app: &TestApp, query: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let answer = app.ask(
        "GET",
        &format!("/api/v1/nodes?sort=name{query}"),
        headers,
        "",
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    let place = |node: &Value| {
        let fields = ["peer_id", "country", "city", "provider"];
        let texts = fields.map(|field| node[field].as_str().unwrap_or("-").to_owned());
        texts.join(" ")
    };
    answer
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(place)
        .collect()
}

#[test]
fn nodes_are_found_by_where_they_are_and_a_chain_says_how_they_are_spread() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path());
    let app = with_files(dir.path()).start();
    let _nodes = connect(&app);
    let [home, falkenstein, helsinki, zurich] = [
        "at home - - -",
        "falkenstein DE Falkenstein Hosting GmbH",
        "helsinki FI Helsinki Hosting GmbH",
        "zurich CH - Other AG",
    ];
    assert_eq!(places(&app, "", &[]), [home, falkenstein, helsinki, zurich]);
    assert_eq!(places(&app, "&country=FI", &[]), [helsinki]);
    assert_eq!(
        places(&app, "&provider=Hosting+GmbH", &[]),
        [falkenstein, helsinki]
    );
    assert_eq!(
        places(
            &app,
            "&provider=Hosting+GmbH&city=Falkenstein&chain=Development",
            &[]
        ),
        [falkenstein]
    );
    assert_eq!(places(&app, "&country=US", &[]), [""; 0]);
    assert_eq!(places(&app, "&country=DE&chain=Other", &[]), [""; 0]);
    let chain = format!("/api/v1/chains/{GENESIS}");
    assert_eq!(
        app.get(&format!("{chain}/locations")).json(),
        json!({
            "precision": "city", "nodes": 4,
            "countries": [{"value": "CH", "nodes": 1}, {"value": "DE", "nodes": 1}, {"value": "FI", "nodes": 1}],
            "providers": [{"value": "Hosting GmbH", "nodes": 2}, {"value": "Other AG", "nodes": 1}],
        })
    );
    let of_chain = app.get(&format!("{chain}/nodes?country=CH")).json();
    assert_eq!(of_chain[0]["peer_id"], "zurich");
    let one = app.get("/api/v1/nodes/helsinki").json();
    assert_eq!(one["city"], "Helsinki");

    // A newer file counts at once; one that is cut off while it is copied, or is about something else, does not.
    write_mmdb(
        &dir.path().join(CITY),
        "GeoLite2-Country",
        &[("10.0.0.0/8", json!({"country": {"iso_code": "LI"}}))],
    );
    wait_until("the new file is used", || {
        places(&app, "&country=LI", &[]) == ["at home LI - -"]
    });
    write_mmdb(
        &dir.path().join(CITY),
        "GeoIP2-Domain",
        &[("81.2.69.0/24", json!({"domain": "example.org"}))],
    );
    wait_until("the wrong file is seen", || {
        app.log()
            .contains("'GeoIP2-Domain', which says none of these; it names files")
    });
    assert_eq!(places(&app, "&country=LI", &[]), ["at home LI - -"]);
}

#[test]
fn locations_are_in_no_answer_to_those_who_may_not_see_them() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path());
    let app = with_files(dir.path()).start();
    let _nodes = connect(&app);
    let known = [
        "Falkenstein",
        "Helsinki",
        "Hosting GmbH",
        "\"DE\"",
        "\"CH\"",
        "81.2.69.7",
    ];
    for path in [
        "/api/v1/nodes",
        "/api/v1/nodes/falkenstein",
        "/api/v1/nodes?at=2100-01-01T00:00:00Z",
        "/api/v1/chains",
        "/api/v1/chains/Development/nodes",
        "/api/v1/chains/Development/locations",
        "/api/v1/chains/Development/hardware",
        "/api/v1/sessions?peer_id=falkenstein",
        "/api/v1/status",
        "/nodes",
        "/nodes/logs?peer_id=falkenstein",
        "/metrics/nodes",
        "/metrics",
    ] {
        let answer = app.ask("GET", path, &ELSEWHERE, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        for text in known {
            assert!(!answer.body.contains(text), "{path}: {text}");
        }
    }
    for parameter in ["country=DE", "city=Falkenstein", "provider=Other+AG"] {
        let answer = app.ask("GET", &format!("/api/v1/nodes?{parameter}"), &ELSEWHERE, "");
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains("EXPOSE_LOCATIONS"), "{}", answer.body);
    }
    // The table of all nodes looks the same for all, so it says nothing of it to anybody.
    let mut feed = FeedClient::connect(&app);
    feed.ask(&json!({"topic": "nodes", "interest": "subscribe"}));
    let mut rows = String::new();
    loop {
        let answer = feed.next_with("nodes");
        rows.push_str(&answer.to_string());
        if answer["complete"] == json!(true) {
            break;
        }
    }
    assert!(rows.contains("falkenstein"), "{rows}");
    assert!(known.iter().all(|text| !rows.contains(text)), "{rows}");
    drop(app);

    // Shown to all, and less exactly.
    let app = with_files(dir.path())
        .env("EXPOSE_LOCATIONS", "true")
        .env("LOCATION_PRECISION", "country")
        .start();
    let _nodes = connect(&app);
    assert_eq!(
        places(&app, "&country=FI", &ELSEWHERE),
        ["helsinki FI - Hosting GmbH"]
    );
    let answer = app.ask("GET", "/api/v1/nodes", &ELSEWHERE, "").json();
    assert!(
        answer
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["ip_addr"] == Value::Null)
    );
    let answer = app.get("/api/v1/nodes?city=Helsinki");
    assert!(answer.status == 400 && answer.body.contains("LOCATION_PRECISION"));
    drop(app);

    // Without a file there is nothing to see.
    let app = TestApp::start();
    let answer = app.get("/api/v1/nodes?country=DE");
    assert!(answer.status == 400 && answer.body.contains("GEOIP_DATABASE"));
}

#[test]
fn a_file_that_is_missing_or_wrong_is_named_at_the_start_and_by_check_config() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path());
    let fine = dir.path().join(CITY);
    let wrong = dir.path().join("wrong.mmdb");
    std::fs::write(&wrong, "no such file").unwrap();
    let missing = dir.path().join("missing.mmdb");
    let check = |second: &Path, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tetcore-analytics"));
        let files = format!("{},{}", fine.display(), second.display());
        command
            .env("GEOIP_DATABASE", files)
            .env("DATA_DIR", dir.path().join("data"))
            .env("PORT", "0");
        let output = command.args(args).current_dir(dir.path()).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for file in [&wrong, &missing] {
        for args in [&["--check-config"][..], &[]] {
            let (code, told) = check(file, args);
            assert_eq!(code, Some(1), "{told}");
            let named = format!("GEOIP_DATABASE: {} cannot be used: ", file.display());
            assert!(told.contains(&named), "{told}");
        }
    }
    assert_eq!(
        check(&dir.path().join(PROVIDERS), &["--check-config"]),
        (Some(0), String::new())
    );
}
