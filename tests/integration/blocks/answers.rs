//! `/api/v1/chains` and what lies beneath, and the same in SQL.

use serde_json::{Value, json};

use super::past::Past;
use super::{GENESIS, hash};
use crate::support::{TestApp, TestDb};

const PEERS: [&str; 4] = ["a", "b", "c", "d"];

/// Three hours of a chain with a block every six seconds, of which each seventh one
/// competes with another; the last one was six seconds ago.
fn told(app: &TestApp) -> Past<'_> {
    let mut past = Past::new(app, &PEERS);
    let end = past.now_us();
    for height in 1..=1_800_u64 {
        let at = end - i64::try_from(1_801 - height).unwrap() * 6_000_000;
        for (place, peer) in (0..).zip(PEERS) {
            let origin = if place == 0 {
                "Own"
            } else {
                "NetworkBroadcast"
            };
            // 100, 200 and 400 ms after the first.
            let delay = [0, 100_000, 200_000, 400_000][usize::try_from(place).unwrap()];
            past.import(peer, at + delay, height, 0, origin);
        }
        if height % 700 == 0 {
            past.import("d", at + 50_000, height, 1, "Own");
        }
        if height % 3 == 0 && height < 1_798 {
            past.finalize("b", at + 12_000_000, height, 0);
        }
        if height == 1_800 {
            for peer in PEERS {
                let interval = json!({"height": height, "best": hash(height, 0), "finalized_height": height - 3, "finalized_hash": hash(height - 3, 0)});
                past.say(peer, at + 13_000_000, "system.interval", &interval);
            }
        }
    }
    past.tell();
    app.rebuild_projections();
    past
}

fn get(app: &TestApp, path: &str) -> Value {
    let answer = app.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

/// Whether a value is as large as expected, to 15 %.
fn is_about(value: &Value, expected: f64) -> bool {
    (value.as_f64().unwrap() / expected - 1.0).abs() < 0.15
}

#[test]
fn a_chain_says_where_it_is_and_how_its_blocks_came() {
    let app = TestApp::start();
    let _past = told(&app);
    let chain = get(&app, &format!("/api/v1/chains/{GENESIS}"));
    assert_eq!(
        get(&app, "/api/v1/chains/Development")["best_height"],
        1_800
    );
    let list = get(&app, "/api/v1/chains");
    assert_eq!(list[0]["genesis_hash"], GENESIS);
    assert_eq!(get(&app, "/api/v1/chains?chain=nowhere"), json!([]));
    assert_eq!(app.get("/api/v1/chains/nowhere").status, 404);
    assert_eq!(
        (&chain["chain"], &chain["nodes_online"]),
        (&json!("Development"), &json!(4))
    );
    assert_eq!(
        (&chain["best_height"], &chain["finalized_height"]),
        (&json!(1_800), &json!(1_797))
    );
    assert!(is_about(&chain["block_time_s"], 6.0), "{chain}");
    assert!(
        chain["since_last_block_s"].as_f64().unwrap() >= 6.0,
        "{chain}"
    );
    assert_eq!(chain["forks"], 2);
    assert!(is_about(&chain["propagation_p50_s"], 0.2), "{chain}");
    assert!(is_about(&chain["propagation_p95_s"], 0.4), "{chain}");
    // 12 s of the block that is named, 18 s and 24 s of those before it.
    assert!(is_about(&chain["finality_p50_s"], 18.0), "{chain}");
    assert_eq!(chain["left_out"]["ahead"], 0);
}

#[test]
fn blocks_come_in_pages_with_who_saw_them_first_and_forks_side_by_side() {
    let app = TestApp::start();
    let _past = told(&app);
    let mut heights = Vec::new();
    let mut path = format!("/api/v1/chains/{GENESIS}/blocks?limit=700");
    loop {
        let answer = app.get(&path);
        let page = answer.json();
        heights.extend(page.as_array().unwrap().iter().map(|block| {
            let hash = block["hash"].as_str().unwrap();
            (block["height"].as_u64().unwrap(), hash.to_lowercase())
        }));
        let Some(cursor) = answer.headers.get("x-next-cursor") else {
            break;
        };
        path = format!("/api/v1/chains/{GENESIS}/blocks?limit=700&cursor={cursor}");
    }
    assert_eq!(heights.len(), 1_802);
    assert!(heights.windows(2).all(|pair| pair[0].0 >= pair[1].0));
    let at = get(
        &app,
        "/api/v1/chains/Development/blocks?height=1400&limit=3",
    );
    assert_eq!(at[0]["hash"], hash(1_400, 0).to_lowercase());
    assert_eq!(at[1]["hash"], hash(1_400, 1).to_lowercase());
    assert_eq!(at[2]["height"], 1_399);
    let block = &at[0];
    assert_eq!(
        [
            &block["first_peer_id"],
            &block["first_name"],
            &block["first_server_id"],
            &block["author_peer_id"]
        ],
        ["a", "name of a", "other", "a"]
    );
    assert_eq!(
        (&block["nodes"], &block["own"], &block["broadcast"]),
        (&json!(4), &json!(1), &json!(3))
    );
    assert!(is_about(&block["p50_s"], 0.2), "{block}");
    let forks = get(&app, "/api/v1/chains/Development/forks");
    assert_eq!(forks.as_array().unwrap().len(), 2);
    assert_eq!(
        (
            &forks[0]["height"],
            forks[0]["blocks"].as_array().unwrap().len()
        ),
        (&json!(1_400), 2)
    );
    assert_eq!(forks[0]["blocks"][1]["author_peer_id"], "d");
    let latest = get(&app, "/api/v1/chains/Development/forks?limit=1");
    assert_eq!(latest, json!([forks[0]]));
    // A height with three blocks comes once, at the time of the last one.
    app.db.execute(
        "INSERT INTO blocks (height, first_at, chain_id, first_reporter_id, nodes, own, broadcast, other, is_final, hash, delays) \
         SELECT height, first_at + interval '70 ms', chain_id, first_reporter_id, nodes, own, broadcast, other, is_final, sha256(hash), delays \
         FROM blocks WHERE height = 700 ORDER BY first_at LIMIT 1",
    );
    let forks = get(&app, "/api/v1/chains/Development/forks");
    assert_eq!(forks[1]["height"], 700);
    assert_eq!(forks.as_array().unwrap().len(), 2);
    let blocks = forks[1]["blocks"].as_array().unwrap();
    assert_eq!(
        (blocks.len(), &forks[1]["forked_at"]),
        (3, &blocks[2]["first_at"])
    );
    // 1,400 is no multiple of 3: neither block was named.
    assert_eq!(
        (&at[0]["is_final"], &at[0]["is_lost"]),
        (&json!(false), &json!(false))
    );
    let named = get(
        &app,
        "/api/v1/chains/Development/blocks?height=1398&limit=1",
    );
    assert_eq!(
        (&named[0]["is_final"], &named[0]["finality_s"]),
        (&json!(true), &json!(12.0))
    );
}

#[test]
fn quantiles_in_sql_lie_within_their_bucket() {
    let db = TestDb::new();
    for (counts, quantile, expected) in [
        ("NULL", "0.5", "none"),
        ("'{}'", "0.5", "none"),
        ("'{0,NULL}'", "0.5", "none"),
        ("'{4}'", "0.5", "0.004"),
        // 8 ms to 10 ms, and 10 ms to 12 ms; an empty bucket is 0 or NULL.
        ("'{0,1,1}'", "0.5", "0.01"),
        ("'{NULL,1,1}'", "0.75", "0.011"),
        ("'{NULL,1,1}'", "1", "0.012"),
        ("'{0,1,1}'", "0", "0.008"),
    ] {
        let found = db.texts(&format!(
            "SELECT coalesce(block_delay_quantile({counts}, {quantile})::text, 'none') AS value"
        ));
        assert_eq!(found, [expected], "{counts} {quantile}");
    }
}

#[test]
fn times_of_propagation_and_finality_are_the_same_by_hours_and_by_blocks() {
    let app = TestApp::start();
    let _past = told(&app);
    for (what, p50, p99) in [("propagation", 0.2, 0.4), ("finality", 18.0, 24.0)] {
        let hours = get(&app, &format!("/api/v1/chains/Development/{what}"));
        assert_eq!(hours["step_s"], 3_600);
        assert!(is_about(&hours["total"]["p50_s"], p50), "{hours}");
        assert!(is_about(&hours["total"]["p99_s"], p99), "{hours}");
        let sum = |answer: &Value, of: &str| -> i64 {
            let points = answer["points"].as_array().unwrap();
            points.iter().map(|point| point[of].as_i64().unwrap()).sum()
        };
        assert_eq!(sum(&hours, "blocks"), 1_802);
        let from = app.db.texts("SELECT to_char((min(first_at) - interval '1 minute') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') AS value FROM blocks");
        let spans = get(
            &app,
            &format!(
                "/api/v1/chains/{GENESIS}/{what}?start_time={}&points=20",
                from[0]
            ),
        );
        assert_eq!(spans["step_s"], 600);
        assert_eq!(sum(&spans, "blocks"), 1_802);
        assert_eq!(spans["total"], hours["total"]);
    }
}

#[test]
fn software_and_machines_of_a_chain_are_counted() {
    let app = TestApp::start();
    let _past = told(&app);
    app.db.execute(
        "UPDATE peer_connections SET cpu = 'EPYC', core_count = 8, memory_bytes = 68719476736, target_os = 'linux', cpu_hashrate_score = CASE WHEN peer_id = 'a' THEN 700 ELSE 1000 END",
    );
    let versions = get(&app, "/api/v1/chains/Development/versions?points=2");
    let points = versions["points"].as_array().unwrap();
    let last = &points[points.len() - 3..];
    let counted: i64 = last
        .iter()
        .map(|point| point["nodes"].as_i64().unwrap())
        .sum();
    assert_eq!(counted, 4, "{versions}");
    assert_eq!(
        (&last[0]["version"], &last[0]["nodes"]),
        (&json!("1.1"), &json!(2))
    );
    let hardware = get(&app, "/api/v1/chains/Development/hardware");
    assert_eq!(
        hardware["facts"]["cpu"],
        json!([{"value": "EPYC", "nodes": 4}])
    );
    assert_eq!(
        hardware["facts"]["memory_gib"],
        json!([{"value": "64", "nodes": 4}])
    );
    let score = &hardware["scores"][0];
    assert_eq!(
        (&score["score"], &score["below"], &score["nodes"]),
        (&json!("cpu_hashrate_score"), &json!(1), &json!(4))
    );
    assert_eq!(score["min"], 700);
    assert_eq!(hardware["over_time"], Value::Null);
    // What changed outside of the log is told to the projections.
    app.db
        .execute("UPDATE peer_connections SET transaction_id = pg_current_xact_id()::text::bigint");
    app.wait_projected();
    let route = "/api/v1/chains/Development/hardware";
    let over_time = get(&app, &format!("{route}?fact=memory_gib&points=2"))["over_time"].clone();
    let points = over_time["points"].as_array().unwrap();
    let last = points.last().unwrap();
    assert_eq!(
        (&last["value"], &last["nodes"], &over_time["fact"]),
        (&json!("64"), &json!(4), &json!("memory_gib"))
    );
    let refused = app.get(&format!("{route}?fact=colour"));
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("target_arch"));
}

#[test]
fn people_ask_about_chains_in_sql() {
    let app = TestApp::start();
    let _past = told(&app);
    let one = |sql: &str| app.db.texts(sql).join("; ");
    assert_eq!(
        one(
            "SELECT concat_ws(' ', count(*) BETWEEN 550 AND 602, max(first_peer_id), round(avg(p90_s)::numeric, 1)) AS value FROM block_propagation(now() - interval '1 hour', now()) WHERE nodes = 4"
        ),
        "t a 0.4"
    );
    assert_eq!(
        one(
            "SELECT concat_ws(' ', min(finality_s), max(finality_s)) AS value FROM finality_lag(now() - interval '2 hours', now() - interval '1 hour')"
        ),
        "12 24"
    );
    assert_eq!(
        one(
            "SELECT peer_id || ' ' || count(*) AS value FROM authored_blocks(now() - interval '4 hours', now()) GROUP BY peer_id ORDER BY 1"
        ),
        "a 1800; d 2"
    );
    assert_eq!(
        one(
            "SELECT concat_ws(' ', name, behind_blocks, finality_lag_blocks, version) AS value FROM node_state ORDER BY 1 LIMIT 1"
        ),
        "name of a 0 3 1.1"
    );
    assert_eq!(
        one(
            "SELECT concat_ws(' ', version, nodes, share) AS value FROM version_adoption ORDER BY 1"
        ),
        "1.0 1 0.25; 1.1 2 0.5; 1.2 1 0.25"
    );
}

#[test]
fn the_nodes_of_a_chain_are_listed_as_they_are_and_were() {
    let app = TestApp::start();
    let mut past = told(&app);
    past.join("elsewhere", &hash(0, 9), "Other");
    app.rebuild_projections();
    let names = |path: &str| -> Vec<String> {
        let nodes = get(&app, path);
        let nodes = nodes.as_array().unwrap();
        let mut peers: Vec<String> = nodes
            .iter()
            .map(|node| node["peer_id"].as_str().unwrap().to_owned())
            .collect();
        peers.sort();
        peers
    };
    assert_eq!(names(&format!("/api/v1/chains/{GENESIS}/nodes")), PEERS);
    assert_eq!(names("/api/v1/chains/Development/nodes?sort=name"), PEERS);
    let hour = app.db.texts("SELECT to_char((now() - interval '1 hour') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') AS value");
    assert_eq!(
        names(&format!("/api/v1/chains/Development/nodes?at={}", hour[0])),
        PEERS
    );
    let year = "2020-01-01T00:00:00";
    assert_eq!(
        names(&format!("/api/v1/chains/Development/nodes?at={year}")),
        [""; 0]
    );
    assert_eq!(app.get("/api/v1/chains/nowhere/nodes").status, 404);
    assert_eq!(
        app.get("/api/v1/chains/Development/nodes?chain=Other")
            .status,
        400
    );
}

/// Where a chain is, is one meaning in two languages.
#[test]
fn the_height_of_a_chain_is_the_same_in_sql() {
    let db = TestDb::new();
    let mut random = crate::support::Random::new(5);
    for size in 1..40 {
        let heights: Vec<i64> = (0..size)
            .map(|_| match random.between(0, 9) {
                0 => 1 << 40,
                1 => -1,
                _ => i64::try_from(random.between(0, 50)).unwrap(),
            })
            .collect();
        let mut all = tetcore_analytics::projections::Heights::default();
        heights
            .iter()
            .for_each(|height| all.add((Some(*height), None)));
        all.sort();
        let expected = all
            .of_chain()
            .best
            .map_or("none".to_owned(), |best| best.to_string());
        let found = db.texts(&format!(
            "SELECT coalesce(chain_height(ARRAY{heights:?}::bigint[])::text, 'none') AS value"
        ));
        assert_eq!(found, [expected], "{heights:?}");
    }
}
