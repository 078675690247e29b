/*
 * A chart of how long something took over time: half of the cases, and 95 % of them.
 */
import { createChart } from "./lib/chart.js";
import { millis, MISSING } from "./lib/format.js";

const seconds = (value) => (value === null || value === undefined ? MISSING : millis(value * 1000));

/** Puts the chart in `place`; `options`: those of chart.js. Returns `draw(answer, span)`. */
export function createDelays(place, options) {
  const chart = createChart(place, {
    ...options, height: 220, min: 0, sync: "chain", empty: "No blocks in this time range.",
    series: [{ label: "half", format: seconds }, { label: "95 %", format: seconds, colour: 2 }],
  });
  return ({ points, step_s: step, start_time: start, end_time: end }, span) => {
    const known = new Map(points.map((point) => [Date.parse(point.created_at) / 1000, point]));
    const times = [];
    for (let time = Date.parse(start) / 1000; time < Date.parse(end) / 1000; time += step) times.push(time);
    const column = (name) => times.map((time) => known.get(time)?.[name] ?? null);
    chart.setData(points.length === 0 ? [[], [], []] : [times, column("p50_s"), column("p95_s")], span);
  };
}
