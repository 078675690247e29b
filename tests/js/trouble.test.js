// What is wrong with nodes, and where their chains are.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bestsOf, countTroubles, Falls, hasTrouble, isGone, rankOf, stateOf, troublesOf } from "../../static/nodes-trouble.js";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const ago = (hours) => new Date(NOW - hours * 3_600_000).toISOString();
const node = (fields) => ({ online: true, isListed: true, ...fields });

test("the state is that of the judge, else that of the connection, and none before anything is known", () => {
  assert.equal(stateOf({ state: "late", online: true }), "late");
  assert.equal(stateOf(node({})), "online");
  assert.equal(stateOf(node({ online: false })), "offline");
  assert.equal(stateOf({ online: true }), null);
});

test("a node that left more than a day ago is gone, and no trouble", () => {
  const left = (hours) => node({ online: false, state: "offline", state_since: ago(hours) });
  assert.deepEqual([isGone(left(23), NOW), isGone(left(25), NOW)], [false, true]);
  assert.deepEqual(troublesOf(left(23), NOW), ["offline"]);
  assert.deepEqual(troublesOf(left(25), NOW), []);
  assert.ok(!isGone(node({ online: false, state: "telemetry_lost", state_since: ago(25) }), NOW));
});

test("the worst comes first, those that left long ago last", () => {
  const nodes = [
    node({ online: false, state: "offline", state_since: ago(30) }), node({ state: "online" }), node({ state: "syncing" }),
    node({ state: "online", clock_ahead_ms: -5000 }), node({ state: "late", falls: 9 }), node({ state: "offline", online: false, state_since: ago(1) }),
  ];
  const order = nodes.toSorted((a, b) => rankOf(a, NOW) - rankOf(b, NOW));
  assert.deepEqual(order, nodes.toReversed());
  assert.deepEqual(countTroubles(nodes, NOW), [["offline", 1], ["late", 1], ["flapping", 1], ["clock", 1], ["syncing", 1]]);
  const needing = nodes.filter((row) => hasTrouble(row, "any", NOW));
  assert.equal(needing.length, 3, "a node that syncs needs no attention");
});

test("a chain is where a fair part of its nodes is, whatever one of them claims", () => {
  const rows = (heights) => heights.map((height) => ({ online: true, height }));
  const best = (heights) => bestsOf(rows(heights), () => "c").get("c");
  assert.equal(best([7]), 7);
  assert.equal(best([7, 9]), 9);
  assert.equal(best([100, 100, 99, 4_000_000_000]), 100);
  assert.equal(best([100, 100, 99, Number.MAX_SAFE_INTEGER]), 100);
  assert.equal(bestsOf([{ online: false, height: 5 }], () => "c").size, 0);
});

test("falls into silence are counted for an hour", () => {
  const falls = new Falls();
  const fall = (hours, from, to) => ({ subject: "node", peer_id: "p", from_state: from, to_state: to, changed_at: ago(hours) });
  falls.hear([fall(2, "online", "late"), fall(0.5, "online", "late"), fall(0.4, "late", "missing"), fall(0.3, "missing", "online"), fall(0.2, "stalled", "offline")]);
  assert.deepEqual(falls.counts(NOW), [["p", 2]]);
  assert.deepEqual(falls.counts(NOW + 3_600_000), [["p", 0]]);
  assert.deepEqual(falls.counts(NOW + 3_600_000), []);
});
