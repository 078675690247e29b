/*
 * The chart of chosen spans.
 */
import { createChart } from "./lib/chart.js";
import { age, nanos } from "./lib/format.js";
import { AGGREGATES } from "./profiling-controls.js";
import { labelOf } from "./profiling-windows.js";

/**
 * Puts the chart in `place`; `options`: those of chart.js that stay. Returns `draw(view, keys, columns, span)`: keys of
 * the spans, their columns, and `{ from, to }` as Dates.
 */
export function createSpanChart(place, options) {
  let chart = null;
  let drawn = "";
  return ({ aggregate, interval, isLog, peer }, keys, columns, span) => {
    const title = `${AGGREGATES.find(([known]) => known === aggregate)[1]} of each ${age(interval)}`;
    const name = JSON.stringify([keys, title, isLog, peer]);
    // A chart has its series for good.
    if (name !== drawn) {
      drawn = name;
      chart?.destroy();
      chart = createChart(place, {
        ...options, title, height: 300, isLog,
        empty: keys.length === 0 ? "Choose spans in the table beneath." : "No such span in this time range.",
        series: keys.map((key, index) => ({ label: labelOf(key), format: nanos, colour: index + 1 })),
        picked: peer ? (moment) => location.assign(messagesAt(peer, moment)) : null,
      });
    }
    chart.setData(columns, span);
  };
}

/** Messages of a node around a moment. */
function messagesAt(peer, moment) {
  return `node?${new URLSearchParams({ peer_id: peer, at: moment.toISOString(), msg: "tracing.profiling" })}`;
}
