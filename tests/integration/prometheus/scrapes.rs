//! `/metrics` is what it says it is: valid, complete without a database, and right.

use std::fs;

use tetcore_analytics::metrics::{OF_2021, RENAMED, families};

use super::filled;
use crate::support::{TestApp, free_port, program, run_tool, wait_until};
use crate::tidy::root;

/// The value of a series.
fn value(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing in:\n{text}"))
        .parse()
        .unwrap()
}

fn own(text: &str, series: &str) -> f64 {
    value(text, &format!("tetcore_analytics_{series}"))
}

/// A value in kB of a file of `/proc`, in bytes.
fn kilobytes(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    let number = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    number.parse::<f64>().unwrap() * 1024.0
}

fn is_near(one: f64, other: f64, tolerance: f64) -> bool {
    (one - other).abs() <= tolerance
}

#[test]
fn metrics_pass_the_check_of_prometheus_and_agree_with_proc() {
    let (app, _node) = filled();
    app.wait_projected();
    wait_until("chains are told", || {
        app.get("/metrics").body.contains("chain_best_height{")
    });
    if program(&["promtool"]).is_some() {
        for path in ["/metrics", "/metrics/nodes"] {
            let text = app.get(path).body;
            let (is_content, said) = run_tool("promtool", &["check", "metrics"], root(), &text);
            assert!(is_content && said.trim().is_empty(), "{path}: {said}");
        }
    }

    let text = app.get("/metrics").body;
    assert_host(&text);
    assert_process(&text, app.pid());
    for job in ["batch", "heartbeat", "status", "alerts", "projection:nodes"] {
        let of = |name: &str| app.metric_with(name, &format!("job_name=\"{job}\""));
        wait_until(&format!("{job} has run"), || {
            app.metric_with(
                "job_runs_total",
                &format!("job_name=\"{job}\",result=\"ok\""),
            ) > 0.0
        });
        assert!(of("job_last_success_timestamp_seconds") > 1.7e9, "{job}");
        assert!(of("job_run_seconds_count") > 0.0, "{job}");
    }
}

/// What is said of the machine is what Linux says of it.
fn assert_host(text: &str) {
    let gib = 1_073_741_824.0;
    let meminfo = |name| kilobytes("/proc/meminfo", name);
    assert_eq!(own(text, "host_memory_bytes"), meminfo("MemTotal"));
    assert!(is_near(
        own(text, "host_memory_available_bytes"),
        meminfo("MemAvailable"),
        gib
    ));
    assert_eq!(own(text, "host_swap_bytes"), meminfo("SwapTotal"));
    assert!(is_near(
        own(text, "host_swap_free_bytes"),
        meminfo("SwapFree"),
        gib
    ));
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    for (name, shown) in ["host_load1", "host_load5", "host_load15"]
        .iter()
        .zip(load.split(' '))
    {
        assert!(
            is_near(own(text, name), shown.parse().unwrap(), 3.0),
            "{name}: {load}"
        );
    }
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .skip(1)
        .map(|ticks| ticks.parse::<f64>().unwrap() / 100.0)
        .collect();
    for (place, mode) in ["user", "nice", "system", "idle"].iter().enumerate() {
        let shown = own(text, &format!("host_cpu_seconds_total{{mode=\"{mode}\"}}"));
        assert!(
            is_near(shown, ticks[place], 60.0),
            "{mode}: {shown} {}",
            ticks[place]
        );
    }
    let network = fs::read_to_string("/proc/net/dev").unwrap();
    let received: f64 = network
        .lines()
        .skip(2)
        .filter_map(|line| line.trim().split_once(':'))
        .filter(|(name, _)| *name != "lo")
        .map(|(_, numbers)| {
            numbers
                .split_whitespace()
                .next()
                .unwrap()
                .parse::<f64>()
                .unwrap()
        })
        .sum();
    let shown = own(text, "host_network_received_bytes_total");
    assert!(is_near(shown, received, gib), "{shown} {received}");
    let (size, free) = (
        own(text, "disk_size_bytes"),
        own(text, "disk_available_bytes"),
    );
    assert!(0.0 < free && free <= size);
}

/// What is said of the process is what Linux says of it.
fn assert_process(text: &str, pid: u32) {
    let proc = format!("/proc/{}", pid);
    let status = |name| kilobytes(&format!("{proc}/status"), name);
    assert!(is_near(
        value(text, "process_resident_memory_bytes"),
        status("VmRSS"),
        32e6
    ));
    let files = fs::read_dir(format!("{proc}/fd")).unwrap().count();
    assert!(is_near(value(text, "process_open_fds"), files as f64, 10.0));
    let limits = fs::read_to_string(format!("{proc}/limits")).unwrap();
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .unwrap();
    let limit = limit.split_whitespace().next().unwrap();
    assert_eq!(
        value(text, "process_max_fds"),
        limit.parse::<f64>().unwrap()
    );
    let threads = fs::read_dir(format!("{proc}/task")).unwrap().count();
    assert!(is_near(
        value(text, "process_threads"),
        threads as f64,
        20.0
    ));
    let stat = fs::read_to_string(format!("{proc}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap() / 100.0;
    assert!(is_near(
        value(text, "process_cpu_seconds_total"),
        ticks(11) + ticks(12),
        2.0
    ));
    let since = chrono::Utc::now().timestamp() as f64 - value(text, "process_start_time_seconds");
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let up: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!(
        is_near(since, up - ticks(19), 3.0),
        "{since} {up} {}",
        ticks(19)
    );
}

#[test]
fn metrics_are_complete_without_a_database_on_a_port_of_their_own_and_by_old_names() {
    let port = free_port();
    let app = TestApp::builder()
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .env("METRICS_ADDRESS", format!("127.0.0.1:{port}"))
        .env("METRICS_LEGACY_NAMES", "true")
        .env("READ_TOKENS", "secret-enough-for-a-test")
        .start_listening();
    let ask = |path: &str| {
        let mut answer = ureq::get(format!("http://127.0.0.1:{port}{path}"))
            .config()
            .http_status_as_error(false)
            .build()
            .call()
            .unwrap();
        (
            answer.status().as_u16(),
            answer.body_mut().read_to_string().unwrap(),
        )
    };
    let (status, text) = ask("/metrics");
    assert_eq!(status, 200, "no token is asked for");
    for family in families()
        .unwrap()
        .iter()
        .filter(|family| family.path == "/metrics")
    {
        let head = format!("# TYPE {} {}\n", family.name, family.kind.label());
        assert_eq!(text.matches(&head).count(), 1, "{}", family.name);
    }
    for one in &RENAMED {
        assert!(
            text.contains(&format!("# TYPE tetcore_analytics_{} ", one.old)),
            "{}",
            one.old
        );
    }
    for one in &OF_2021 {
        assert!(text.contains(&format!("\n{} ", one.name)), "{}", one.name);
    }
    let memory = value(&text, "total_mem") * 1024.0;
    assert_eq!(memory, own(&text, "host_memory_bytes"));
    assert_eq!(value(&text, "requests"), 0.0);
    assert_eq!(own(&text, "store_database_up"), 0.0);

    assert_eq!(ask("/metrics/nodes").0, 503, "it is all in the database");
    assert_eq!(ask("/health/live").0, 200);
    assert_eq!(ask("/nodes").0, 404, "metrics alone");
    let refused = app.get("/metrics");
    assert_eq!(refused.status, 404);
    assert!(refused.body.contains("METRICS_ADDRESS"), "{}", refused.body);
    assert_eq!(app.get("/metrics/nodes").status, 404);
    assert_eq!(
        app.get("/api/v1/metrics").status,
        200,
        "for the Server page"
    );
    assert_eq!(app.ask("GET", "/api/v1/metrics", &[], "").status, 401);
}
