//! Benchmark runs, and the forms to enter them.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{assert_sound, column, sort_by, wait_for_column};
use crate::support::{Browser, Network, TestApp, free_port};

const PATH: &str = "/dashboard/benchmarks";
const RUNS: &str = "#runs [role=grid]";
const SPANS: &str = "#shown [role=grid]";
const TOKEN: &str = "a-token-for-writing-0123";

/// Opens the page in a window that is wide enough for all columns.
fn open(browser: &Browser, app: &TestApp, query: &str) {
    browser.use_window(3_000, 1_600, false);
    browser.open(&app.url(&format!("{PATH}{query}")));
    browser.wait_for("#updated time");
}

fn enter_machine(app: &TestApp, description: &str, processors: u32) -> Value {
    let machine = json!({"description": description, "os": "Debian 12", "cpu_qty": processors, "cpu_clock": 3_400,
        "ram_mb": 65_536, "disk_info": "NVMe"});
    app.post("/host_systems", &machine).json()["id"].clone()
}

/// A run of some minutes, which started so many minutes ago.
fn enter_run(
    app: &TestApp,
    description: &str,
    machine: &Value,
    start: DateTime<Utc>,
    minutes: i64,
) -> Value {
    let run = json!({"description": description, "host_system_id": machine, "chain_spec": {"name": "dev"},
        "benchmark_spec": {"transfers": 10}, "ts_start": start, "ts_end": start + TimeDelta::minutes(minutes)});
    app.post("/benchmarks", &run).json()["id"].clone()
}

fn enter_phase(app: &TestApp, run: &Value, name: &str, phase: &str, at: DateTime<Utc>) {
    let event = json!({"benchmark_id": run, "name": name, "phase": phase, "created_at": at});
    assert_eq!(app.post("/benchmarks/events", &event).status, 200);
}

/// Two runs on two machines, half an hour apart, with phases and spans, the
/// later one first.
fn enter_two_runs(app: &TestApp) -> (Network, Value, Value) {
    let mut network = Network::start(app, &[("Alpha", 4)]);
    let start = Utc::now() - TimeDelta::minutes(70);
    let mut runs = Vec::new();
    for (number, (description, processors)) in
        [("before", 8), ("after", 16)].into_iter().enumerate()
    {
        let number = i64::try_from(number).unwrap();
        let start = start + TimeDelta::minutes(40 * number);
        let machine = enter_machine(app, &format!("rack {number}"), processors);
        let run = enter_run(app, description, &machine, start, 20);
        for (name, phase, minutes) in [
            ("warm-up", "start", 0),
            ("warm-up", "end", 5),
            ("transfers", "start", 5),
            ("checkpoint", "reached", 8),
            ("transfers", "end", 18 - 2 * number),
        ] {
            enter_phase(app, &run, name, phase, start + TimeDelta::minutes(minutes));
        }
        for minute in 1..20 {
            network.set_time(Some(start + TimeDelta::minutes(minute)));
            let time = u64::try_from(1_000_000 * (2 - number) + 1_000 * minute).unwrap();
            network.profile(3, "pallet_a", "on_initialize", time);
            network.profile(3, "pallet_b", "on_finalize", 3 * time);
        }
        runs.push(run);
    }
    network.set_time(None);
    network.wait_stored(app);
    let [before, after] = runs.try_into().unwrap();
    (network, after, before)
}

/// A server that takes an hour within a second.
fn start() -> TestApp {
    let settings = Network::SETTINGS.iter();
    let app = settings.fold(TestApp::builder(), |app, (name, value)| {
        app.env(name, value)
    });
    app.start()
}

#[test]
fn the_benchmarks_page_is_sound() {
    let app = start();
    let browser = Browser::start();
    assert_sound(&browser, &app, PATH, ".state.empty button");
    let (_network, after, before) = enter_two_runs(&app);
    assert_sound(&browser, &app, PATH, "#shown .chart-canvas canvas");
    let two = format!("{PATH}?run={after}&beside={before}");
    assert_sound(&browser, &app, &two, "#shown .chart-canvas canvas");
    browser.run("for (const one of document.querySelectorAll('#shown details')) one.open = true");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    for (number, title) in ["Add machine", "Add run"].into_iter().enumerate() {
        browser.use_window(360, 800, true);
        browser.click(&format!("#tools > button:nth-of-type({})", number + 1));
        browser.wait_for_text("dialog h2", title);
        for is_dark in [true, false] {
            browser.set_dark(is_dark);
            assert_eq!(browser.accessibility_faults(), [""; 0], "{title}");
        }
        assert_eq!(browser.sideways_scroll(), 0);
        browser.press("Escape");
        browser.wait_until("document.querySelector('dialog') === null");
    }
}

#[test]
fn runs_are_shown_with_what_the_database_has() {
    let app = start();
    let (_network, _, before) = enter_two_runs(&app);
    let browser = Browser::start();
    open(&browser, &app, "");
    wait_for_column(&browser, RUNS, "Description", &["after", "before"]);
    wait_for_column(&browser, RUNS, "Machine", &["rack 1", "rack 0"]);
    wait_for_column(
        &browser,
        RUNS,
        "Length",
        &["20\u{202f}min", "20\u{202f}min"],
    );
    sort_by(&browser, RUNS, "Description");
    wait_for_column(&browser, RUNS, "Description", &["after", "before"]);
    sort_by(&browser, RUNS, "Description");
    wait_for_column(&browser, RUNS, "Description", &["before", "after"]);
    browser.fill("[aria-label='Search runs']", "rack 0");
    wait_for_column(&browser, RUNS, "Description", &["before"]);
    browser.click("#runs tbody:last-of-type tr:not(.space)");
    browser.wait_for_text("#shown h2", &format!("Run {before}: before"));
    browser.wait_until(&format!(
        "new URLSearchParams(location.search).get('run') === '{before}'"
    ));
    for text in [
        "rack 0",
        "8 × 3400 MHz",
        "65\u{202f}536 MiB",
        "{\"transfers\":10}",
        "{\"name\":\"dev\"}",
    ] {
        browser.wait_for_text(".facts-of-runs", text);
    }

    // Bars of phases, a moment, and the events as they were entered.
    assert_eq!(
        browser.texts(".track > span:not(.point)"),
        ["5\u{202f}min", "13\u{202f}min"]
    );
    assert_eq!(
        browser.texts(".phases .name"),
        ["warm-up", "transfers", "checkpoint"]
    );
    let events = app.db.texts(&format!(
        "SELECT name || ' ' || phase AS value FROM benchmark_events WHERE benchmark_id = {before} ORDER BY created_at, id"
    ));
    let shown = browser.run(
        "document.querySelector('.phase-list').closest('details').open = true;
         return [...document.querySelectorAll('.phase-list tbody tr')].map((row) => `${row.cells[0].innerText} ${row.cells[1].innerText}`)",
    );
    assert_eq!(shown, json!(events));

    // Spans of this run and no other.
    let spans = |value: &str| {
        app.db.texts(&format!(
            "SELECT ({value})::text AS value FROM telemetry_logs l JOIN benchmarks b ON b.id = {before} \
             WHERE msg = 'tracing.profiling' AND l.created_at BETWEEN b.ts_start AND b.ts_end \
             GROUP BY target ORDER BY sum((logs ->> 'time')::numeric) DESC"
        ))
    };
    wait_for_column(&browser, SPANS, "Target", &spans("target"));
    wait_for_column(&browser, SPANS, "Spans", &spans("count(*)"));
    let medians = spans(
        "to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY (logs ->> 'time')::float8) / 1e6, 'FM990.00') || E' ms'",
    );
    let medians: Vec<_> = medians
        .iter()
        .map(|text| text.replace(' ', "\u{202f}"))
        .collect();
    wait_for_column(&browser, SPANS, "Median", &medians);
    assert_eq!(medians, ["6.03\u{202f}ms", "2.01\u{202f}ms"]);
    let labels = "[...document.querySelectorAll('.chart-canvas')].map((one) => one.getAttribute('aria-label')).join()";
    browser.wait_until(&format!(
        "{labels}.includes('pallet_b. on_finalize: from 6')"
    ));
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn two_runs_are_shown_beside_each_other() {
    let app = start();
    let (_network, after, before) = enter_two_runs(&app);
    let browser = Browser::start();
    open(&browser, &app, &format!("?run={after}"));
    browser.wait_for(".chart-canvas canvas");
    browser.click(&format!("#shown select option[value='{before}']"));
    browser.wait_for_text(".facts-of-runs thead", &format!("Run {before}: before"));
    wait_for_column(&browser, RUNS, "Shown", &["● shown", "◌ compared"]);
    let differing = browser.texts(".facts-of-runs tr.differs th");
    assert_eq!(differing, ["Machine ≠", "Processors ≠"]);
    assert_eq!(
        browser.texts(".track > span:not(.point)"),
        [
            "5\u{202f}min",
            "5\u{202f}min",
            "11\u{202f}min",
            "13\u{202f}min"
        ]
    );

    // 1.01 ms in place of 2.01 ms.
    wait_for_column(
        &browser,
        SPANS,
        "Change",
        &["−49.8\u{202f}%", "−49.8\u{202f}%"],
    );
    wait_for_column(&browser, SPANS, &format!("Spans · {after}"), &["19", "19"]);
    wait_for_column(&browser, SPANS, &format!("Spans · {before}"), &["19", "19"]);
    wait_for_column(
        &browser,
        SPANS,
        &format!("Median · {before}"),
        &["6.03\u{202f}ms", "2.01\u{202f}ms"],
    );
    // Both begin at zero: the first span of each comes a minute after the start.
    // Tables are filled as they are opened, and closed again when the chart is made anew.
    let open = "document.querySelectorAll('.chart-table').forEach((one) => { one.open = true; })";
    let titles = "[...document.querySelectorAll('.chart-table thead tr')].map((row) => [...row.cells].map((cell) => cell.innerText))";
    browser.wait_until(&format!(
        "({open}, {titles}.flat().length === 6 && {titles}.flat().every(Boolean))"
    ));
    let lines = browser.run(&format!("return {titles}"));
    let runs = |name: &str| {
        json!([
            "Time",
            format!("{name}, run {after}"),
            format!("{name}, run {before}")
        ])
    };
    assert_eq!(lines, json!([runs("on_finalize"), runs("on_initialize")]));
    let times = browser.texts(".card:last-of-type .chart-table tbody th");
    assert!(
        times
            .iter()
            .all(|time| time.ends_with("min") || time.ends_with('s')),
        "{times:?}"
    );

    browser.reload();
    browser.wait_for_text(".facts-of-runs thead", &format!("Run {before}: before"));
    browser.run("history.back()");
    browser.wait_until("document.querySelector('.facts-of-runs thead') === null");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_run_that_goes_on_moves() {
    let app = start();
    let mut network = Network::start(&app, &[("Alpha", 4)]);
    let now = Utc::now();
    let run = enter_run(&app, "now", &Value::Null, now - TimeDelta::minutes(1), 60);
    let browser = Browser::start();
    open(&browser, &app, "");
    browser.wait_for_text(".run-head .chip", "going on");
    browser.wait_for_text("#shown .state.empty", "No spans came during this run.");
    network.profile(3, "pallet_a", "on_initialize", 1_500_000);
    enter_phase(&app, &run, "warm-up", "start", now);
    browser.wait_for_text(".phases .name", "warm-up");
    browser.wait_for(".track > span.open");
    wait_for_column(&browser, SPANS, "Median", &["1.5\u{202f}ms"]);
    network.profile(3, "pallet_a", "on_initialize", 3_500_000);
    wait_for_column(&browser, SPANS, "Median", &["2.5\u{202f}ms"]);
    enter_run(&app, "earlier", &Value::Null, now - TimeDelta::days(1), 5);
    wait_for_column(&browser, RUNS, "Description", &["now", "earlier"]);
    assert_eq!(browser.console_errors(), [""; 0]);
}

/// Fills in the fields of the form by their names, and sends it.
fn send(browser: &Browser, values: &[(&str, &str)]) {
    for (name, value) in values {
        browser.fill(&format!("dialog [name={name}]"), value);
    }
    browser.click("dialog button[type=submit]");
}

const MACHINE: [(&str, &str); 6] = [
    ("description", "rack 4 <b>"),
    ("os", "Debian 12"),
    ("cpu_qty", "16"),
    ("cpu_clock", "3400"),
    ("ram_mb", "65536"),
    ("disk_info", "NVMe"),
];

#[test]
fn forms_enter_rows_and_name_what_is_wrong() {
    let app = TestApp::start();
    let browser = Browser::start();
    open(&browser, &app, "");
    browser.click("#tools > button");
    send(&browser, &[("description", "rack"), ("cpu_qty", "four")]);
    // The server checks one after the other.
    browser.wait_for_text("dialog .field:has([name=os]) .wrong", "Is required.");
    send(&browser, &[("os", "Debian")]);
    browser.wait_for_text(
        "dialog .field:has([name=cpu_qty]) .wrong",
        "Must be a whole number",
    );
    browser.wait_until("document.activeElement.name === 'cpu_qty'");
    assert_eq!(browser.texts("dialog [aria-invalid]").len(), 1);
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    assert_eq!(app.db.count("SELECT count(*) FROM host_systems"), 0);
    send(&browser, &MACHINE);
    browser.wait_until("document.querySelector('dialog') === null");
    let machines = "SELECT concat_ws('|', description, os, cpu_qty, cpu_clock, ram_mb, disk_info) AS value FROM host_systems";
    assert_eq!(
        app.db.texts(machines),
        ["rack 4 <b>|Debian 12|16|3400|65536|NVMe"]
    );
    browser.click("#tools summary");
    browser.wait_for_text(".machine-list", "rack 4 <b>");
    browser.click("#tools summary");

    browser.click("#tools > button:last-child");
    send(
        &browser,
        &[
            ("description", "empty blocks"),
            ("benchmark_spec", "{\"blocks\": "),
        ],
    );
    browser.wait_for_text(
        "dialog .field:has([name=benchmark_spec]) .wrong",
        "This is no JSON",
    );
    send(&browser, &[("benchmark_spec", "[1]")]);
    browser.wait_for_text(
        "dialog .field:has([name=benchmark_spec]) .wrong",
        "Must be a JSON object",
    );
    browser.fill("dialog [name=benchmark_spec]", "{\"blocks\": 100}");
    browser.click("dialog [name=host_system_id] option:last-child");
    // Fields of times take no text from a keyboard in one piece.
    let times = "document.querySelector('[name=ts_start]').value = '2026-11-20T01:00:00';
                 document.querySelector('[name=ts_end]').value = '2026-11-20T00:00:00'";
    browser.run(times);
    send(&browser, &[("setup", "12D3KooWtest")]);
    browser.wait_for_text(
        "dialog .field:has([name=ts_end]) .wrong",
        "Must not be before ts_start.",
    );
    browser.run("document.querySelector('[name=ts_end]').value = '2026-11-20T02:30:00'");
    send(&browser, &[]);
    browser.wait_for_text("#shown h2", "empty blocks");
    let runs = "SELECT concat_ws('|', b.description, h.description, benchmark_spec, setup, ts_end - ts_start) AS value \
                FROM benchmarks b JOIN host_systems h ON h.id = host_system_id";
    assert_eq!(
        app.db.texts(runs),
        [
            "empty blocks|rack 4 <b>|{\"blocks\": 100}|{\"substrate\": {\"peerId\": \"12D3KooWtest\"}}|01:30:00"
        ]
    );
    // By the clock of the browser.
    let start = browser.run("return new Date('2026-11-20T01:00:00').toISOString()");
    let entered = app.get("/benchmarks").json();
    let entered: DateTime<Utc> = entered[0]["ts_start"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        entered,
        start.as_str().unwrap().parse::<DateTime<Utc>>().unwrap()
    );

    browser.click("#shown .section-head button");
    send(&browser, &[("name", "import")]);
    browser.wait_for_text("dialog .field:has([name=phase]) .wrong", "Is required.");
    send(&browser, &[("phase", "start")]);
    browser.wait_for_text(".phases .name", "import");
    let events = "SELECT name || phase AS value FROM benchmark_events WHERE now() - created_at < interval '1 hour'";
    assert_eq!(app.db.texts(events), ["importstart"]);
    assert_eq!(column(&browser, RUNS, "Machine"), ["rack 4 <b>"]);
}

#[test]
fn a_token_for_writing_is_asked_for_kept_and_never_shown() {
    let app = TestApp::builder().env("API_TOKENS", TOKEN).start();
    let browser = Browser::start();
    open(&browser, &app, "");
    browser.click("#tools > button");
    send(&browser, &MACHINE);
    browser.wait_for_text("dialog .notice", "API_TOKENS");
    browser.wait_until("document.activeElement.type === 'password'");
    assert_eq!(browser.accessibility_faults(), [""; 0]);
    browser.fill("dialog [type=password]", "no-such-token-0123456789");
    send(&browser, &[]);
    browser.wait_until("document.querySelector('dialog [type=password]').value === ''");
    browser.wait_for_text("dialog .notice", "API_TOKENS");
    assert_eq!(app.db.count("SELECT count(*) FROM host_systems"), 0);
    browser.fill("dialog [type=password]", TOKEN);
    send(&browser, &[]);
    browser.wait_until("document.querySelector('dialog') === null");
    assert_eq!(app.db.count("SELECT count(*) FROM host_systems"), 1);

    // The next form has no field for it, also after the page was loaded anew.
    browser.reload();
    browser.wait_for("#updated time");
    browser.click("#tools > button:last-child");
    send(&browser, &[("description", "with the token")]);
    browser.wait_for_text("#shown h2", "with the token");
    assert_eq!(app.db.count("SELECT count(*) FROM benchmarks"), 1);
    let shown = browser.run("return document.documentElement.outerHTML + location.href");
    assert!(!shown.as_str().unwrap().contains(TOKEN));

    browser.click("#tools summary");
    browser.click("#tools .menu-panel > button");
    browser.wait_until("sessionStorage.length === 0");
    browser.click("#tools summary");
    browser.click("#tools > button:last-child");
    send(&browser, &[]);
    browser.wait_for_text("dialog .notice", "API_TOKENS");
    assert_eq!(app.db.count("SELECT count(*) FROM benchmarks"), 1);
}

#[test]
fn the_benchmarks_page_comes_back_after_the_server() {
    let mut app = TestApp::builder().env("PORT", free_port()).start();
    enter_run(
        &app,
        "before",
        &Value::Null,
        Utc::now() - TimeDelta::hours(1),
        5,
    );
    let browser = Browser::start();
    open(&browser, &app, "");
    wait_for_column(&browser, RUNS, "Description", &["before"]);
    app.stop();
    browser.wait_for_text("#updated", "What is shown is from");
    assert_eq!(column(&browser, RUNS, "Description"), ["before"]);
    let app = app.start_again();
    enter_run(
        &app,
        "after",
        &Value::Null,
        Utc::now() - TimeDelta::minutes(5),
        5,
    );
    wait_for_column(&browser, RUNS, "Description", &["after", "before"]);
    browser.wait_for_text("#updated", "Updated");
}
