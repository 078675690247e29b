/*
 * How spans are shown: aggregate, length of a window, scale.
 */
import { h } from "./lib/elements.js";
import { age } from "./lib/format.js";
import { fits, INTERVALS } from "./profiling-windows.js";

export const AGGREGATES = [["mean", "Mean"], ["median", "Median"], ["percentile90", "90th percentile"], ["min", "Minimum"], ["max", "Maximum"]];

/**
 * Puts the controls in `place`; `go(changes)` is called with what shall change in the address. Returns `show(view)`:
 * `{ aggregate, interval, isUsual, isLog, seconds }`.
 */
export function createControls(place, go) {
  let isLog = true;
  const aggregate = h("select", { "aria-label": "Aggregate", onchange: () => go({ aggregate: aggregate.value === "mean" ? null : aggregate.value }) },
    AGGREGATES.map(([value, title]) => h("option", { value }, title)));
  const interval = h("select", { "aria-label": "Interval", onchange: () => go({ interval: interval.value }) },
    h("option", { value: "" }), INTERVALS.map((seconds) => h("option", { value: seconds }, `each ${age(seconds)}`)));
  const scale = h("button", { type: "button", onclick: () => go({ scale: isLog ? "linear" : null }) }, "Log scale");
  place.append(aggregate, interval, scale);
  return (shown) => {
    isLog = shown.isLog;
    aggregate.value = shown.aggregate;
    interval.value = shown.isUsual ? "" : String(shown.interval);
    interval.options[0].textContent = `Automatic${shown.isUsual ? ` (${age(shown.interval)})` : ""}`;
    for (const option of interval.options) option.disabled = option.value !== "" && !fits(Number(option.value), shown.seconds);
    scale.setAttribute("aria-pressed", String(isLog));
  };
}
