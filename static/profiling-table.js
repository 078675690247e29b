/*
 * The ranking of spans: which took longest altogether.
 */
import { h } from "./lib/elements.js";
import { count, nanos, percent } from "./lib/format.js";
import { createTable } from "./lib/table.js";

/**
 * Puts the table in `place`; `toggle(key)` is called when a row is chosen for the chart, or no longer. Rows are those
 * of the server with `key`, `share` (of the time of all), and `colour`: 1 to 8 of those in the chart, else 0.
 */
export function createRanking(place, toggle) {
  return createTable(place, {
    id: "spans", label: "Costliest spans", noun: ["kind of span", "kinds of span"], key: "key", isShared: true,
    sort: { field: "total", descending: true }, choose: (row) => toggle(row.key), columns: columns(toggle), totals,
  });
}

function columns(toggle) {
  const time = (field, title, help, more) => ({
    field, title, help, width: 6, end: true, filter: "number", descending: true, text: (row) => nanos(row[field]),
    hint: (row) => `${count(row[field])} ns`, ...more,
  });
  return [
    {
      field: "colour", title: "Chart", width: 4, narrow: 2.8, sticky: true, filter: [["true", "in the chart"], ["false", "not in it"]], descending: true,
      value: (row) => row.colour > 0, text: (row) => String(row.colour), fields: ["colour"],
      cell: (row, before) => mark(row, before, toggle),
    },
    { field: "target", title: "Target", width: 11, narrow: 6.5, search: true, hint: (row) => row.target ?? "" },
    { field: "name", title: "Name", width: 11, narrow: 6.5, search: true, hint: (row) => row.name ?? "" },
    time("total", "Total", "Time of all together", { width: 6.5, narrow: 5 }),
    {
      field: "share", title: "Share", help: "Of the time of all spans", width: 5.5, end: true, filter: "number", descending: true,
      text: (row) => percent(row.share),
    },
    { field: "count", title: "Spans", width: 5.5, end: true, filter: "number", descending: true, text: (row) => count(row.count) },
    time("mean", "Mean"), time("median", "Median"), time("percentile90", "90 %", "90 % were shorter"),
    time("min", "Min", "The quickest"), time("max", "Max", "The slowest"),
  ];
}

/** A box that shows whether a row is in the chart, in the colour of its line. */
function mark(row, before, toggle) {
  const box = before ?? h("input", { type: "checkbox", class: "span-mark", tabindex: -1 });
  box.checked = row.colour > 0;
  box.setAttribute("aria-label", `Show ${[row.target, row.name].filter(Boolean).join(" ")} in the chart`);
  box.style.accentColor = row.colour > 0 ? `var(--series-${row.colour})` : "";
  box.onchange = () => toggle(row.key);
  return box;
}

function totals(rows) {
  const spans = rows.reduce((sum, row) => sum + row.count, 0);
  const time = rows.reduce((sum, row) => sum + row.total, 0);
  return [h("span", {}, `${count(spans)} spans`), h("span", {}, `${nanos(time)} altogether`), h("span", {}, "Choose a row to show it in the chart, or to take it out.")];
}
