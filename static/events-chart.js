/*
 * A chart of events: how many, or a field of them added up, by any field.
 */
import { get, isAbort } from "./lib/api.js";
import { createChart } from "./lib/chart.js";
import { h } from "./lib/elements.js";
import { brief } from "./lib/format.js";
import { showError } from "./lib/states.js";

// Lines of a chart that can be told apart.
const GROUPS_MAX = 7;
const POINTS = 60;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

/** Puts the chart in `place`; `options.zoomed`: the reader dragged over a span. Returns `{ draw(asked) }`. */
export function createMeasures(place, options) {
  const fault = h("div", {});
  const canvas = h("div", {});
  place.append(fault, canvas);
  let chart = null;
  let reading = null;
  let drawn = "";
  return {
    async draw({ filters, span, measure, field, group }) {
      reading?.abort();
      reading = new AbortController();
      const seconds = (span.to - span.from) / 1000;
      const step = STEPS_S.find((one) => one * POINTS >= seconds) ?? 86_400 * Math.ceil(seconds / 86_400 / POINTS);
      const params = { ...filters, measure, field, group_by: group, interval: step, limit: GROUPS_MAX, start_time: span.from.toISOString(), end_time: span.to.toISOString() };
      try {
        const rows = await get("api/v1/events/stats", params, { signal: reading.signal });
        fault.replaceChildren();
        const groups = [...new Set(rows.map((row) => row.group))].sort((one, other) => (one === null) - (other === null) || (one < other ? -1 : 1));
        const title = `${TITLES[measure]}${measure === "count" ? "" : ` of ${field}`}${group ? ` by ${group}` : ""}`;
        const key = JSON.stringify([title, groups]);
        if (key !== drawn) {
          chart?.destroy();
          chart = createChart(canvas, {
            title, height: 200, min: 0, empty: "Nothing to measure in this time range.", zoomed: options.zoomed,
            series: (groups.length > 0 ? groups : [null]).map((name, place) => ({ label: name ?? (group ? "(others)" : "all"), format: brief, colour: place + 1, kind: measure === "count" || measure === "sum" ? "steps" : "line" })),
          });
          drawn = key;
        }
        chart.setData(columns(rows, groups, span, step, measure), span);
      } catch (error) {
        if (!isAbort(error)) showError(fault, error);
      }
    },
  };
}

const TITLES = { count: "Events", sum: "Sum", mean: "Mean", p99: "99 %", max: "Largest" };

function columns(rows, groups, span, step, measure) {
  if (rows.length === 0) return [[], []];
  const known = new Map(rows.map((row) => [`${Date.parse(row.created_at) / 1000} ${row.group}`, row.value]));
  const times = [];
  for (let time = Math.floor(span.from / 1000 / step) * step; time < span.to / 1000; time += step) times.push(time);
  // Nothing happened where nothing is counted; a mean of nothing is not known.
  const nothing = measure === "count" || measure === "sum" ? 0 : null;
  return [times, ...groups.map((group) => times.map((time) => known.get(`${time} ${group}`) ?? nothing))];
}
