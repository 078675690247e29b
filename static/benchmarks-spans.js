/*
 * The spans (tracing.profiling) that came during one run, or during two: a chart for each target, and a table of all
 * names that compares them. Time is counted from the start of each run.
 */
import { get } from "./lib/api.js";
import { readAddress, writeAddress } from "./lib/address.js";
import { createChart } from "./lib/chart.js";
import { createTable } from "./lib/table.js";
import { h } from "./lib/elements.js";
import { count, counted, nanos, percent, MISSING } from "./lib/format.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { peerOf, sinceStart } from "./benchmarks-run.js";
import { phasesOf } from "./benchmarks-phases.js";

const AGGREGATES = [["median", "Median"], ["mean", "Mean"], ["percentile90", "90 %"], ["max", "Longest"], ["min", "Shortest"]];
const POINTS = 240;
const NAMES_MAX = { 1: 8, 2: 4 };
const TARGETS_MAX = 8;
const COSTS_MAX = 1000;
// A line breaks off where nothing came for so many times as long as usual.
const GAP_TIMES = 5;
// Less than this is no change worth a colour.
const CHANGE_MIN = 0.05;

export class Spans {
  #charts = h("div", { class: "cards" });
  #costs = h("div");
  #note = h("p", { class: "quiet-text" });
  #more = h("p", {});
  #aggregate;
  #shown = [];
  #request = new AbortController();
  #targetsMax = TARGETS_MAX;
  #built = new Map();
  #table = null;
  #tableKey = "";

  constructor(place) {
    const { aggregate } = readAddress({ aggregate: "median" });
    this.#aggregate = h("select", {
      "aria-label": "What of the spans in a point of the charts",
      onchange: () => {
        writeAddress({ aggregate: this.#aggregate.value === "median" ? "" : this.#aggregate.value });
        this.load(this.#shown);
      },
    }, AGGREGATES.map(([value, text]) => h("option", { value, selected: value === aggregate }, text)));
    place.append(h("div", { class: "section-head" }, h("h2", {}, "Spans"), h("span", { class: "end" }, this.#aggregate)),
      this.#note, this.#charts, this.#more, this.#costs);
  }

  /** Shows the spans of these runs, `[{ run, events, window }]`; what is shown stays until the answers are there. */
  async load(shown) {
    const isOther = shown.map(({ run }) => run.id).join() !== this.#shown.map(({ run }) => run.id).join();
    this.#shown = shown;
    this.#request.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    if (isOther) {
      this.#targetsMax = TARGETS_MAX;
      this.#clear();
      showLoading(this.#charts, "Loading spans…");
    }
    try {
      const asked = await Promise.all(shown.map((one) => this.#ask(one, signal)));
      await this.#show(asked, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#clear();
      showError(this.#charts, error, () => this.load(this.#shown));
    }
  }

  #clear() {
    for (const { chart } of this.#built.values()) chart.destroy();
    this.#built.clear();
    this.#charts.replaceChildren();
    this.#costs.hidden = true;
    this.#more.replaceChildren();
    this.#note.textContent = "";
  }

  /** The costs of all spans of a run. */
  async #ask({ run, window }, signal) {
    if (window.to <= window.from) return [];
    // 404: the node under test never connected.
    const costs = await get("api/v1/profiling/ranking", { ...spanOf(window), peer_id: peerOf(run), limit: COSTS_MAX }, { signal, accepted: [404] });
    return Array.isArray(costs) ? costs : [];
  }

  async #show(costs, signal) {
    const totals = new Map();
    for (const { target, total } of costs.flat()) totals.set(target, (totals.get(target) ?? 0) + total);
    const targets = [...totals].sort(([, a], [, b]) => b - a).map(([target]) => target);
    if (targets.length === 0) {
      this.#clear();
      showEmpty(this.#charts, this.#shown.length > 1 ? "No spans came during these runs." : "No spans came during this run.",
        "Spans come with tracing.profiling, which only nodes up to early 2021 and custom ones send (with --tracing-receiver telemetry). A run lasts from its start or first phase to its end or last phase.");
      return;
    }
    if (this.#built.size === 0) this.#charts.replaceChildren();
    this.#showCosts(costs);
    const wanted = targets.slice(0, this.#targetsMax);
    for (const [target, { chart, card }] of this.#built) {
      if (wanted.includes(target)) continue;
      chart.destroy();
      card.remove();
      this.#built.delete(target);
    }
    for (const target of wanted) {
      const answers = await Promise.all(this.#shown.map((one) => this.#askTarget(one, target, signal)));
      this.#showTarget(target, answers, namesOf(costs.flat(), target));
    }
    this.#more.replaceChildren(...(targets.length > wanted.length ? [h("button", {
      type: "button",
      onclick: () => {
        this.#targetsMax += TARGETS_MAX;
        this.load(this.#shown);
      },
    }, `Charts of ${counted(targets.length - wanted.length, "more target")}`)] : []));
  }

  /** The spans of a target over time: `[{ name, time, seconds }]`, counted from the start of the run. */
  async #askTarget({ run, window }, target, signal) {
    if (window.to <= window.from) return { interval: 1, points: [] };
    const interval = Math.max(1, Math.ceil((window.to - window.from) / 1000 / POINTS));
    const told = await get("api/v1/profiling", { ...spanOf(window), interval, aggregate: this.#aggregate.value, target, peer_id: peerOf(run) }, { signal, accepted: [404] });
    const points = (Array.isArray(told) ? told : []).map(({ name, time, created_at: at }) => ({ name, time, seconds: Math.max(0, (Date.parse(at) - window.from) / 1000) }));
    return { interval, points };
  }

  #showTarget(target, answers, all) {
    const names = all.slice(0, NAMES_MAX[answers.length]);
    const series = names.flatMap((name, colour) => answers.map((_, run) => ({
      label: answers.length > 1 ? `${name}, run ${this.#shown[run].run.id}` : name, format: nanos, colour: colour + 1, isDashed: run > 0,
    })));
    const key = series.map(({ label }) => label).join("\n");
    let built = this.#built.get(target);
    if (built && built.key !== key) {
      built.chart.destroy();
      built.card.replaceChildren();
    }
    if (!built || built.key !== key) {
      const card = built?.card ?? h("div", { class: "card" });
      if (!built) this.#charts.append(card);
      const chart = createChart(card, {
        title: target, series, sync: "benchmark", formatTime: sinceStart, min: 0, empty: "No span of this target came.", bands: () => this.#bands(),
      });
      if (all.length > names.length) card.append(h("p", { class: "quiet-text" }, `The costliest ${names.length} of ${all.length} names; the table has all.`));
      built = { key, card, chart };
      this.#built.set(target, built);
    }
    const lines = names.flatMap((name) => answers.map(({ interval, points }) => lineOf(points.filter((point) => point.name === name), interval)));
    const length = Math.max(...this.#shown.map(({ window }) => window.to - window.from));
    built.chart.setData(columnsOf(lines), { from: new Date(0), to: new Date(length) });
  }

  /** Every second phase of the first run is shaded, so that phases can be told apart. */
  #bands() {
    const [first] = this.#shown;
    if (!first) return [];
    const phases = phasesOf(first.events, first.window).filter(({ to }) => to !== null);
    return phases.filter((_, index) => index % 2 === 1).map(({ from, to, name }) => ({
      from: (from - first.window.from) / 1000, to: (to - first.window.from) / 1000, label: name,
    }));
  }

  #showCosts(costs) {
    const key = this.#shown.map(({ run }) => run.id).join();
    if (key !== this.#tableKey) {
      this.#table?.destroy();
      this.#table = this.#makeTable();
      this.#tableKey = key;
    }
    this.#costs.hidden = false;
    const rows = new Map();
    costs.forEach((of, run) => of.forEach(({ target, name, ...cost }) => {
      const id = `${target} ${name}`;
      if (!rows.has(id)) rows.set(id, { id, target, name, change: null, ...Object.fromEntries(costs.flatMap((_, at) => FIGURES.map((figure) => [`${figure}${at}`, null]))) });
      for (const figure of FIGURES) rows.get(id)[`${figure}${run}`] = cost[figure];
    }));
    for (const row of rows.values()) if (row.median0 !== null && row.median1) row.change = row.median0 / row.median1 - 1;
    this.#table.replace([...rows.values()]);
  }

  #makeTable() {
    const isTwo = this.#shown.length > 1;
    const figures = this.#shown.flatMap(({ run }, at) => {
      const of = isTwo ? ` · ${run.id}` : "";
      const help = (words) => `${words} of run ${run.id}`;
      const time = (field, title, words) => ({ field: `${field}${at}`, title: title + of, help: help(words), end: true, filter: "number", descending: true, width: 6.5, text: (row) => nanos(row[`${field}${at}`]) });
      return [
        { field: `count${at}`, title: `Spans${of}`, help: help("Number of spans"), end: true, filter: "number", descending: true, width: 6, text: (row) => count(row[`count${at}`]) },
        time("total", "Total", "Time of all spans"), time("median", "Median", "Median"), time("percentile90", "90 %", "90 % were shorter"),
        { ...time("max", "Longest", "Longest"), isHidden: isTwo },
      ];
    });
    const [first, second] = this.#shown.map(({ run }) => run.id);
    const change = {
      field: "change", title: "Change", help: `Median of run ${first} against that of run ${second}`, end: true, filter: false, descending: true, width: 6,
      text: ({ change: share }) => (share === null || share === undefined ? MISSING : `${share > 0 ? "+" : ""}${percent(share)}`),
      tone: ({ change: share }) => (share > CHANGE_MIN ? "bad" : share < -CHANGE_MIN ? "good" : ""),
    };
    return createTable(this.#costs, {
      id: isTwo ? "benchmark-spans-two" : "benchmark-spans", label: "Spans by target and name", noun: ["span name", "span names"], key: "id",
      sort: { field: "total0", descending: true },
      columns: [
        { field: "name", title: "Name", width: 12, narrow: 9, sticky: true, search: true },
        { field: "target", title: "Target", width: 12, search: true },
        ...(isTwo ? [change] : []), ...figures,
      ],
    });
  }
}

const FIGURES = ["count", "total", "median", "percentile90", "max"];

/** The end belongs to a run, but not to a query. */
const spanOf = ({ from, to }) => ({ start_time: new Date(from).toISOString(), end_time: new Date(to + 1).toISOString() });

/** Names of a target, the costliest first. */
function namesOf(costs, target) {
  const totals = new Map();
  for (const cost of costs) if (cost.target === target) totals.set(cost.name, (totals.get(cost.name) ?? 0) + cost.total);
  return [...totals].sort(([, a], [, b]) => b - a).map(([name]) => name);
}

/** Points of a line, seconds → ns, with null where it breaks off. */
function lineOf(points, interval) {
  const line = new Map();
  const pauses = points.slice(1).map(({ seconds }, index) => seconds - points[index].seconds).sort((a, b) => a - b);
  const usual = Math.max(interval, pauses[pauses.length >> 1] ?? 0);
  let last = null;
  for (const { seconds, time } of points) {
    if (last !== null && seconds - last > GAP_TIMES * usual) line.set(last + usual, null);
    line.set(seconds, time);
    last = seconds;
  }
  return line;
}

/** Lines with times of their own as columns of one chart; undefined where a line has no point and goes on. */
function columnsOf(lines) {
  const times = [...new Set(lines.flatMap((line) => [...line.keys()]))].sort((a, b) => a - b);
  return [times, ...lines.map((line) => times.map((time) => line.get(time)))];
}
