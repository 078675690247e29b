//! How the pages write and read numbers, times and files: the modules of
//! `static/lib` that know no page.

use serde_json::{Value, json};

use crate::support::{Browser, TestApp};

/// What expressions in terms of `m`, a module of `static/lib`, give. Spaces that
/// do not break are shown as plain ones.
fn evaluate(browser: &Browser, module: &str, expressions: &[&str]) -> Vec<Value> {
    let script = format!(
        "const plain = (value) => typeof value === 'string' ? value.replaceAll('\\u202f', ' ') : value;
         return import('/dashboard/lib/{module}').then((m) => [{}].map(plain))",
        expressions.join(",")
    );
    serde_json::from_value(browser.run(&script)).unwrap()
}

#[track_caller]
fn assert_gives(browser: &Browser, module: &str, cases: &[(&str, Value)]) {
    let expressions: Vec<_> = cases.iter().map(|(expression, _)| *expression).collect();
    let given = evaluate(browser, module, &expressions);
    for ((expression, expected), given) in cases.iter().zip(given) {
        assert_eq!(given, *expected, "{expression}");
    }
}

fn open() -> (TestApp, Browser) {
    let app = TestApp::start();
    let browser = Browser::start();
    browser.open(&app.url("/dashboard/"));
    (app, browser)
}

#[test]
fn numbers_have_units_and_what_is_not_known_is_a_dash() {
    let (_app, browser) = open();
    let cases = [
        ("m.count(1234567)", json!("1 234 567")),
        ("m.count(1234)", json!("1234")),
        ("m.count(-12345)", json!("−12 345")),
        ("m.count(1.256, 2)", json!("1.26")),
        ("m.count(-0.4)", json!("0")),
        ("m.count(null)", json!("–")),
        ("m.count(NaN)", json!("–")),
        ("m.bytes(0)", json!("0 B")),
        ("m.bytes(1536)", json!("1.5 KiB")),
        ("m.bytes(16 * 1024 ** 3)", json!("16 GiB")),
        ("m.bytesPerSecond(1024)", json!("1 KiB/s")),
        ("m.bytesPerSecond(undefined)", json!("–")),
        ("m.nanos(0)", json!("0 ns")),
        ("m.nanos(1500)", json!("1.5 µs")),
        ("m.nanos(12345678)", json!("12.3 ms")),
        ("m.nanos(59.9e9)", json!("59.9 s")),
        ("m.nanos(3600e9)", json!("1 h")),
        ("m.millis(0)", json!("0 ms")),
        ("m.millis(1500)", json!("1.5 s")),
        ("m.percent(0.1234)", json!("12.3 %")),
        ("m.perSecond(1234.5)", json!("1235/s")),
        ("m.age(0)", json!("0 s")),
        ("m.age(59.9)", json!("59 s")),
        ("m.age(3600)", json!("1 h")),
        ("m.age(3725)", json!("1 h 2 min")),
        ("m.age(90061)", json!("1 d 1 h")),
        ("m.age(-5)", json!("−5 s")),
        ("m.hashShort('0x' + 'ab'.repeat(32))", json!("0xabab…abab")),
        ("m.hashShort(null)", json!("–")),
        ("m.counted(1, 'node')", json!("1 node")),
        ("m.counted(12345, 'node')", json!("12 345 nodes")),
        ("m.timeLocal('nonsense')", json!("–")),
        (
            "m.timeUtc('2026-11-21T01:02:03.004Z')",
            json!("2026-11-21 01:02:03.004 UTC"),
        ),
    ];
    assert_gives(&browser, "format.js", &cases);
}

#[test]
fn amounts_are_read_as_people_type_them() {
    let (_app, browser) = open();
    let cases = [
        ("m.readAmount('1.5')", json!(1.5)),
        ("m.readAmount('-3')", json!(-3)),
        ("m.readAmount('2k')", json!(2_000)),
        ("m.readAmount('16 GiB')", json!(17_179_869_184_u64)),
        ("m.readAmount('10 KiB/s')", json!(10_240)),
        ("m.readAmount('2h', 1)", json!(7_200)),
        ("m.readAmount('500ms', 1000)", json!(500)),
        ("m.readAmount('5x')", json!(null)),
        ("m.readAmount('many')", json!(null)),
    ];
    assert_gives(&browser, "format.js", &cases);
    browser.run(
        "window.passes = (m, kind, text, value) => {
           const filter = m.compileFilter({ filter: kind, value: (row) => row }, text);
           return filter === null ? 'all' : filter(value);
         }",
    );
    let cases = [
        ("passes(m, 'number', '> 5', 6)", json!(true)),
        ("passes(m, 'number', '>5', 5)", json!(false)),
        ("passes(m, 'number', '<= 2k', 2000)", json!(true)),
        ("passes(m, 'number', '5..10', 10)", json!(true)),
        ("passes(m, 'number', '5..10', 11)", json!(false)),
        ("passes(m, 'number', '> 5', null)", json!(false)),
        ("passes(m, 'number', '-', null)", json!(true)),
        ("passes(m, 'number', '!-', null)", json!(false)),
        ("passes(m, 'number', 'many', 7)", json!(false)),
        ("passes(m, 'number', ' ', 7)", json!("all")),
        ("passes(m, 'text', 'AB', 'xaby')", json!(true)),
        ("passes(m, 'text', '!ab', 'xaby')", json!(false)),
        ("passes(m, 'text', '=ab', 'AB')", json!(true)),
        ("passes(m, 'text', '=ab', 'abc')", json!(false)),
        ("passes(m, [['true', 'yes']], 'true', true)", json!(true)),
        ("passes(m, [['true', 'yes']], 'true', null)", json!(false)),
    ];
    assert_gives(&browser, "table-filter.js", &cases);
}

#[test]
fn csv_is_understood_by_programs_and_runs_nothing_in_spreadsheets() {
    let (_app, browser) = open();
    browser.run(
        "window.csv = (m, value) => {
           const text = m.toCsv([{ a: value }], [{ field: 'a', exported: (row) => row.a }]);
           return text.replace(/^a\\r\\n/, '').replace(/\\r\\n$/, '');
         }",
    );
    let cases = [
        ("csv(m, 'plain')", json!("plain")),
        ("csv(m, 'a,b')", json!("\"a,b\"")),
        ("csv(m, 'a\"b')", json!("\"a\"\"b\"")),
        ("csv(m, 'a\\nb')", json!("\"a\nb\"")),
        ("csv(m, null)", json!("")),
        ("csv(m, true)", json!("true")),
        ("csv(m, -5.5)", json!("-5.5")),
        ("csv(m, '+1.5e3')", json!("+1.5e3")),
        ("csv(m, '=1+1')", json!("'=1+1")),
        ("csv(m, '-1+cmd')", json!("'-1+cmd")),
        ("csv(m, '@sum')", json!("'@sum")),
        ("csv(m, '\\tx')", json!("'\tx")),
        ("csv(m, '=a,b')", json!("\"'=a,b\"")),
    ];
    assert_gives(&browser, "table-export.js", &cases);
}
