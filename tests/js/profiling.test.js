// Windows of time in which spans took how long, as a chart draws them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Windows } from "../../static/profiling-windows.js";

test("a line ends where nothing was told for longer than it is bridged, also if all pause at once", () => {
  const windows = new Windows(5);
  const take = (name, seconds) => windows.take(seconds.map((second) => ({ created_at: new Date(second * 1000).toISOString(), target: "t", name, time: second })));
  take("a", [5, 10, 200, 205]);
  take("b", [5, 200]);
  const [a, b] = ["a", "b"].map((name) => JSON.stringify(["t", name]));
  assert.deepEqual(windows.columns([a, b]), [[5, 10, 195, 200, 205], [5, 10, null, 200, 205], [5, null, null, 200, undefined]]);
});
