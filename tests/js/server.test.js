// What the page of the server makes of its metrics.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as m from "../../static/lib/metrics.js";
import { judge } from "../../static/server-verdict.js";
import { plain } from "./cases.js";

test("metrics are read as they are written", () => {
  const one = new m.Metrics("# HELP a_total Help.\na_total{kind=\"x \\\"}\\\" \\\\ \\n\",b=\"1\"} 3\na_total{kind=\"y\"} 4.5\n\nb +Inf\nc 1e3 1700000000000\nh_bucket{le=\"0.1\"} 2\nh_bucket{le=\"1\"} 6\nh_bucket{le=\"+Inf\"} 8\nh_sum 5\nh_count 8\n", 0);
  const two = new m.Metrics("a_total 12.5\nh_bucket{le=\"0.1\"} 2\nh_bucket{le=\"1\"} 10\nh_bucket{le=\"+Inf\"} 12\nh_sum 9\nh_count 12\n", 2000);
  assert.deepEqual(one.all("a_total")[0].labels, { kind: 'x "}" \\ \n', b: "1" });
  assert.equal(one.sum("a_total"), 7.5);
  assert.deepEqual(one.by("a_total", "kind")[0], ["y", 4.5]);
  assert.equal(one.value("b"), Infinity);
  assert.equal(one.value("c"), 1000);
  assert.equal(one.value("d"), null);
  // 5 more within 2 s.
  assert.equal(m.rate(one, two, "a_total"), 2.5);
  assert.equal(m.rate(two, one, "a_total"), null);
  assert.equal(m.rate(null, two, "a_total"), null);
  // All 4 that came between the two lie between 0.1 and 1.
  assert.ok(Math.abs(m.quantile(one, two, "h", 0.5) - 0.55) < 1e-9);
  assert.ok(Math.abs(m.quantile(null, one, "h", 0.25) - 0.1) < 1e-9);
  // Beyond the last bucket nothing is known.
  assert.equal(m.quantile(null, one, "h", 0.99), 1);
  assert.equal(m.quantile(one, one, "h", 0.5), null);
  assert.equal(m.mean(one, two, "h"), 1);
});

// What a minute ago and now differ in, and the level and words of the one finding that this leads to, if any.
const FAULTS = [
  ["", "", "", ""],
  ["ingest_messages_dropped_total{reason=\"queue_full\"} 1", "ingest_messages_dropped_total{reason=\"queue_full\"} 3", "trouble", "2 messages were lost in the last minute: queue full."],
  ["ingest_messages_dropped_total{reason=\"queue_full\"} 3", "ingest_messages_dropped_total{reason=\"queue_full\"} 3", "attention", "3 messages were lost since the server started (none in the last minute)"],
  ["ingest_messages_dropped_total{reason=\"chain_refused\"} 1", "ingest_messages_dropped_total{reason=\"chain_refused\"} 3", "", ""],
  ["ingest_messages_rejected_total{reason=\"data\"} 0", "ingest_messages_rejected_total{reason=\"data\"} 1", "attention", "1 message was refused by the database in the last minute"],
  ["store_spool_bytes 1000\nstore_spool_bytes_max 10000", "store_spool_bytes 4000\nstore_spool_bytes_max 10000\nstore_spool_messages 7", "attention", "It grows, and is full in 2 min at this pace."],
  ["", "store_spool_bytes 9000\nstore_spool_bytes_max 10000\nstore_spool_messages 7", "trouble", "90 % of SPOOL_MAX_BYTES"],
  ["", "ingest_queue_messages 95\ningest_queue_messages_max 100", "trouble", "The queue in memory is 95 % full, by messages."],
  ["ingest_connections_refused_total{reason=\"token\"} 0", "ingest_connections_refused_total{reason=\"token\"} 1", "attention", "1 connection was refused in the last minute: no valid token in the path."],
  ["server_panics_total 0", "server_panics_total 1", "trouble", "1 bug in the program since the server started (1 in the last minute)."],
  ["store_receive_to_commit_seconds_bucket{le=\"8\"} 0", "store_receive_to_commit_seconds_bucket{le=\"8\"} 9", "attention", "Messages take up to 7 s until they are stored."],
  ["", "host_memory_bytes 100\nhost_memory_available_bytes 3", "attention", "The machine has 3 B of 100 B of memory left."],
  ["", "disk_full_in_seconds 336960\ndisk_growth_bytes_per_second 46296\ndisk_available_bytes 16e9", "trouble", "The disk is full in 3 days at the present rate"],
  ["", "disk_full_in_seconds 17280000\ndisk_growth_bytes_per_second 46296\ndisk_available_bytes 8e11", "attention", "The disk is full in 200 days"],
  ["", "disk_full_in_seconds +Inf\ndisk_growth_bytes_per_second 46296", "", ""],
  ["", "disk_full_in_seconds NaN\ndisk_growth_bytes_per_second NaN", "", ""],
  ["", "ingest_connections 0", "note", "No node is connected."],
];

test("each fault has its finding", () => {
  const own = (text) => text.split("\n").filter(Boolean).map((line) => `tetcore_analytics_${line}\n`).join("");
  for (const [before, now, level, words] of FAULTS) {
    const ready = { status: "ok", checks: [] };
    const found = judge({ now: new m.Metrics(own(now), 60_000), before: new m.Metrics(own(before), 0), ready });
    assert.equal(found.length, level ? 1 : 0, `${now}: ${JSON.stringify(found)}`);
    if (!level) continue;
    assert.equal(found[0].level, level, now);
    assert.ok(plain(found[0].what).includes(words), `${now}: ${found[0].what}`);
    assert.ok(found[0].advice, now);
  }
});
