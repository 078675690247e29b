/*
 * A chart in words: the legend with the values under the cursor, and a table of its points for screen readers and for
 * exact numbers.
 */
import { h, timeElement } from "./elements.js";
import { count, timeLocal, MISSING } from "./format.js";

// More lines cannot be read; the export of the page has them all.
const LINES_MAX = 60;

/**
 * Buttons that show and hide series, each with its value at the cursor or, without one, its latest. `time`, the time at
 * the cursor, has a place of its own, for a legend that grows would move the chart away under the pointer.
 */
export function chartLegend(series, { data, colour, toggled, formatTime = localTime }) {
  const time = h("span", { class: "chart-time number" });
  const entries = series.map((one, index) => {
    const mark = h("span", { class: one.isDashed ? "chart-mark dashed" : "chart-mark", "aria-hidden": "true" });
    const value = h("span", { class: "number" });
    const button = h("button", {
      type: "button", class: "quiet", "aria-pressed": String(!one.isHidden), title: `Show or hide ${one.label}`,
      onclick: () => {
        const isShown = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(isShown));
        toggled(index, isShown);
      },
    }, mark, one.label, value);
    return { button, mark, value };
  });
  const element = h("span", { class: "chart-legend" }, entries.map(({ button }) => button));
  const show = (index) => {
    const columns = data();
    time.textContent = index === null ? "" : formatTime(columns[0][index]);
    entries.forEach(({ mark, value }, at) => {
      mark.style.color = colour(at);
      const known = index === null ? lastOf(columns[at + 1]) : columns[at + 1][index];
      value.textContent = words(series[at], known);
    });
  };
  return { element, time, show };
}

/** `{ element, show(), summary(), words(index) }`: the points, thinned to a length that can be read. */
export function chartTable(title, series, data, formatTime = null) {
  const body = h("tbody");
  const element = h("details", { class: "chart-table", ontoggle: () => show() },
    h("summary", {}, "As a table"),
    h("div", { class: "chart-table-scroll", tabindex: 0, role: "region", "aria-label": `Points of ${title}` },
      h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"),
        series.map((one) => h("th", { scope: "col" }, one.label)))), body)));
  const show = () => {
    if (!element.open) return;
    const columns = data();
    const every = Math.max(1, Math.ceil(columns[0].length / LINES_MAX));
    const lines = [];
    for (let index = columns[0].length - 1; index >= 0; index -= every) {
      lines.push(h("tr", {}, h("th", { scope: "row" }, formatTime ? formatTime(columns[0][index]) : timeElement(columns[0][index] * 1000)),
        series.map((one, at) => h("td", {}, words(one, columns[at + 1][index])))));
    }
    body.replaceChildren(...lines);
  };
  const summary = () => series.map((one, at) => {
    const known = data()[at + 1].filter((value) => value !== null && value !== undefined);
    if (known.length === 0) return `${one.label}: no data.`;
    const [low, high] = known.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [known[0], known[0]]);
    return `${one.label}: from ${words(one, low)} to ${words(one, high)}, latest ${words(one, known.at(-1))}.`;
  }).join(" ");
  const wordsAt = (index) => `${(formatTime ?? localTime)(data()[0][index])}: ${series.map((one, at) =>
    `${one.label} ${words(one, data()[at + 1][index])}`).join(", ")}.`;
  return { element, show, summary, words: wordsAt };
}

const localTime = (seconds) => timeLocal(seconds * 1000);

const words = (one, value) => (value === null || value === undefined ? MISSING : (one.format ?? count)(value));

function lastOf(column) {
  for (let index = column.length - 1; index >= 0; index -= 1) {
    if (column[index] !== null && column[index] !== undefined) return column[index];
  }
  return null;
}
