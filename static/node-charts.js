/*
 * The charts of a node, whose cursors move together.
 */
import { createChart } from "./lib/chart.js";
import { bytesPerSecond, count } from "./lib/format.js";
import { h } from "./lib/elements.js";

const blocks = (label, field, more) => ({ label, field, format: count, ...more });

const CHARTS = [
  { title: "Best block", series: [blocks("node", "height"), blocks("its chain", "chain_height", { isDashed: true })] },
  { title: "Blocks behind its chain", min: 0, series: [blocks("behind", "behind", { colour: 4, fill: true })] },
  { title: "Finality lag, blocks", min: 0, series: [blocks("behind best", "lag", { colour: 5, fill: true })] },
  { title: "Peers", min: 0, series: [{ label: "peers", field: "peers", format: count, colour: 3 }] },
  {
    title: "Bandwidth", min: 0,
    series: [
      { label: "down", field: "download_bytes_per_s", format: bytesPerSecond },
      { label: "up", field: "upload_bytes_per_s", format: bytesPerSecond },
    ],
  },
  {
    title: "Pool, transactions", min: 0,
    series: [
      { label: "all", field: "transactions", format: count },
      { label: "ready", field: "ready", format: count, colour: 3, isHidden: true },
      { label: "future", field: "future", format: count, colour: 4 },
    ],
  },
];

/**
 * Puts the charts in `place`; `options`: what they have in common, see chart.js. Returns `show(columns, span)`: columns
 * of a Series, and `{ from, to }` as Dates.
 */
export function createCharts(place, options) {
  const charts = CHARTS.map((chart) => {
    const card = h("div", { class: "card" });
    place.append(card);
    return { chart: createChart(card, { ...options, ...chart, height: 170, sync: "node" }), fields: chart.series.map(({ field }) => field) };
  });
  return (columns, span) => {
    for (const { chart, fields } of charts) chart.setData([columns.times, ...fields.map((field) => columns[field])], span);
  };
}
