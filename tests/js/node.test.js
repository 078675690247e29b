// The story of one node: its sessions, and its values over time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Series } from "../../static/node-series.js";
import { storyOf, sumsOf } from "../../static/node-sessions.js";

const MINUTE = 60_000;

const at = (minutes) => new Date(minutes * MINUTE).toISOString();

const session = (id, from, to, reason = null) => ({
  id, created_at: at(from), online: to === null, disconnected_at: to === null ? null : at(to), last_seen_at: at(to ?? from),
  disconnect_reason: reason, startup_time: id, version: "v", name: "n", chain: "c", ip_addr: null, authority: null,
});

const awayOf = (sessions) => storyOf(sessions).filter((one) => one.kind === "away")
  .map((one) => [one.from / MINUTE, one.to === null ? null : one.to / MINUTE, one.ended.disconnect_reason]);

test("a node is away only while it has no session at all", () => {
  assert.deepEqual(awayOf([]), []);
  assert.deepEqual(awayOf([session(1, 0, null)]), []);
  assert.deepEqual(awayOf([session(2, 20, null), session(1, 0, 10, "idle")]), [[10, 20, "idle"]]);
  // It connected anew before the old connection was given up.
  assert.deepEqual(awayOf([session(2, 8, null), session(1, 0, 10, "idle")]), []);
  const many = [session(1, 0, 30, "replaced"), session(2, 5, 10, "idle"), session(3, 40, 50, "closed_by_node")];
  assert.deepEqual(awayOf(many), [[30, 40, "replaced"], [50, null, "closed_by_node"]]);
  const story = storyOf([session(1, 10, 20, "idle"), session(2, 40, null)]);
  assert.deepEqual(sumsOf(story, { from: 0, to: 60 * MINUTE }, 50 * MINUTE),
    { known: 40 * MINUTE, away: 20 * MINUTE, times: 1, longest: 20 * MINUTE });
});

function columns(said, away = [0, 0]) {
  const series = new Series();
  series.load({ step_s: 10, points: [] });
  for (const [seconds, msg, fields] of said) series.hear(msg, fields, seconds);
  return series.columns({ from: 0, to: 120_000 }, (from, to) => away[0] <= from && away[1] >= to);
}

test("values hold over short silences only", () => {
  let given = columns([[5, "block.import", { height: 7 }], [9, "notify.finalized", { height: "4" }]]);
  assert.equal(given.times.length, 12);
  assert.deepEqual([...given.height], [7, 7, 7, 7, 7, 7, 7, null, null, null, null, null]);
  assert.equal(given.lag[6], 3);
  assert.equal(given.behind[0], 0);
  // The last one by the time of the message counts, not the last to arrive.
  given = columns([[8, "block.import", { height: 8 }], [5, "block.import", { height: 7 }]]);
  assert.equal(given.height[0], 8);
  given = columns([[5, "system.interval", { peers: 3 }]], [20_000, 40_000]);
  assert.deepEqual([...given.peers].slice(0, 5), [3, 3, null, null, null]);
});
