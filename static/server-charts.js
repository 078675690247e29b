/*
 * The charts of the Server page: each point is what happened within the last ten seconds.
 */
import { createChart } from "./lib/chart.js";
import { mean, quantile, rate } from "./lib/metrics.js";
import { bytes, bytesPerSecond, count, nanos, percent, perSecond } from "./lib/format.js";
import { h } from "./lib/elements.js";
import { OWN } from "./server-verdict.js";

// An hour of points every two seconds.
const POINTS_MAX = 1800;

/** Seconds with their unit. */
export const seconds = (value) => (value === null ? nanos(null) : nanos(value * 1e9));

// Each: title, series, and their values from the newest metrics and those of 10 s before (or null).
const CHARTS = [
  {
    title: "Messages", min: 0, series: [{ label: "received", format: perSecond }, { label: "stored", format: perSecond }],
    values: (now, before) => ["received", "stored"].map((what) => rate(before, now, `${OWN}ingest_messages_${what}_total`)),
  },
  {
    title: "Telemetry", min: 0, series: [{ label: "received", format: bytesPerSecond, fill: true }],
    values: (now, before) => [rate(before, now, `${OWN}ingest_received_bytes_total`)],
  },
  {
    title: "Waiting to be stored", min: 0, series: [{ label: "in memory", format: count }, { label: "on disk", format: count }],
    values: (now) => [now.value(`${OWN}ingest_queue_messages`), now.value(`${OWN}store_spool_messages`)],
  },
  {
    title: "Time to store", min: 0, series: [{ label: "median", format: seconds }, { label: "99 %", format: seconds }],
    values: (now, before) => [0.5, 0.99].map((share) => before && quantile(before, now, `${OWN}store_receive_to_commit_seconds`, share)),
  },
  {
    title: "Batch write time", min: 0, series: [{ label: "mean", format: seconds }, { label: "99 %", format: seconds }],
    values: (now, before) => [
      before && mean(before, now, `${OWN}store_batch_seconds`), before && quantile(before, now, `${OWN}store_batch_seconds`, 0.99),
    ],
  },
  {
    title: "Connections", min: 0, series: [{ label: "of nodes", format: count }, { label: "to the feed", format: count }, { label: "HTTP", format: count }],
    values: (now) => ["ingest_connections", "feed_subscribers", "http_connections"].map((name) => now.value(OWN + name)),
  },
  {
    title: "Memory of the server", series: [{ label: "resident", format: bytes, fill: true }],
    values: (now) => [now.value("process_resident_memory_bytes")],
  },
  {
    // Processors are counted in whole seconds, so this takes a longer span.
    title: "Processors used", min: 0, series: [{ label: "of one, mean of 30 s", format: percent, fill: true }],
    values: (now, before, longer) => [rate(longer, now, "process_cpu_seconds_total")],
  },
];

/** Puts the charts in `place`. `add(now, before, longer)`: Metrics now, of 10 s and of 30 s before; `gap()`: a time without. */
export function serverCharts(place) {
  const charts = CHARTS.map(({ title, series, min }) => {
    const card = h("div", { class: "card" });
    place.append(card);
    return createChart(card, {
      title, series, min, height: 150, sync: "server", pointsMax: POINTS_MAX, empty: "Nothing has happened yet since this page was opened.",
    });
  });
  const add = (now, before, longer) => CHARTS.forEach(({ values }, index) => {
    charts[index].append([now.at / 1000, ...values(now, before, longer)]);
  });
  const gap = (at) => CHARTS.forEach(({ series }, index) => charts[index].append([at / 1000, ...series.map(() => null)]));
  return { add, gap };
}
