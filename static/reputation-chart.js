/*
 * The reputation of one peer over time: a line for each reporter, and a table of them.
 *
 * The server answers with the newest report of each reporter within a span of time, so the span is read in slices,
 * the latest first. What is past does not change: slices are read once.
 */
import { get } from "./lib/api.js";
import { createChart } from "./lib/chart.js";
import { createTable } from "./lib/table.js";
import { h, say } from "./lib/elements.js";
import { age, count, counted } from "./lib/format.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { band, reputation } from "./reputation-words.js";
import { opinion } from "./reputation-matrix.js";

const LINES_MAX = 8;
const REPORTERS_MAX = 1000;
const SLICES = 60;
const STEPS_S = [1, 5, 15, 30, 60, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 604_800];
// Requests at the same time, which leaves places for others.
const REQUESTS_MAX = 3;
// What came so far is shown at most this often.
const DRAW_MS = 250;
// A message may be stored a moment later than it is stamped.
const SETTLED_MS = 30_000;
// In a slice of this length an active peer is reported.
const TAIL_MS = 120_000;
// A reporter that was silent for more slices than this has a gap in its line.
const GAP_SLICES = 3;

/** `chartPlace`, `tablePlace`: elements; `picker`: the span of time; `names`: see reputation-words.js. */
export class OverTime {
  #chartPlace;
  #picker;
  #names;
  #peer = "";
  #request = new AbortController();
  #stepMs = 0;
  // Start of a slice (Unix ms) → `{ isSettled, opinions }`: the last report of each reporter in it.
  #slices = new Map();
  // Reporters with a line, and their colours (1 to 8).
  #lines = new Map();
  #isChosen = false;
  #isFilling = false;
  #reporters = new Map();
  #chart = null;
  #chartKey = "";
  #table;
  #tablePlace;
  #isDrawn = false;

  constructor({ chartPlace, tablePlace, picker, names }) {
    this.#chartPlace = chartPlace;
    this.#picker = picker;
    this.#names = names;
    this.#tablePlace = tablePlace;
    this.#table = this.#makeTable(tablePlace);
    tablePlace.hidden = true;
  }

  /** Shows a peer from scratch, or the same peer for another span of time. */
  async load(peer) {
    if (peer !== this.#peer) {
      this.#lines.clear();
      this.#isChosen = false;
    }
    this.#peer = peer;
    this.#request.abort();
    this.#request = new AbortController();
    this.#slices.clear();
    this.#reporters.clear();
    this.#dropChart();
    showLoading(this.#chartPlace, "Loading reports…");
    const { signal } = this.#request;
    try {
      await this.#fill(signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /** Shows nothing. */
  clear() {
    this.#peer = "";
    this.#request.abort();
    this.#dropChart();
    this.#tablePlace.hidden = true;
  }

  /** Requests what came since. */
  async refresh() {
    if (!this.#peer || this.#isFilling || !this.#picker.get().live) return;
    await this.#fill(this.#request.signal);
  }

  #fail(error) {
    this.#dropChart();
    showError(this.#chartPlace, error, () => this.load(this.#peer));
    this.#tablePlace.hidden = true;
  }

  async #fill(signal) {
    this.#isFilling = true;
    try {
      await this.#askSlices(signal);
    } finally {
      // Another peer may be filling by now.
      if (!signal.aborted) this.#isFilling = false;
    }
  }

  async #askSlices(signal) {
    const span = this.#picker.get();
    const stepMs = stepOf(span) * 1000;
    if (stepMs !== this.#stepMs) this.#slices.clear();
    this.#stepMs = stepMs;
    const first = Math.floor(span.from.getTime() / stepMs) * stepMs;
    const last = Math.floor((span.to.getTime() - 1) / stepMs) * stepMs;
    // The whole span first: who reports, and whether there is anything at all.
    if (this.#reporters.size === 0) this.#takeNewest(await this.#ask(first, last + stepMs, signal));
    for (const start of this.#slices.keys()) if (start < first) this.#slices.delete(start);
    const settledUpTo = Date.now() - SETTLED_MS;
    const missing = [];
    let unsettled = last + stepMs;
    for (let start = last; start >= first; start -= stepMs) {
      if (start + stepMs > settledUpTo) unsettled = start;
      else if (!this.#slices.get(start)?.isSettled) missing.push(start);
    }
    if (this.#reporters.size === 0) {
      this.#draw(span);
      return;
    }
    let drawnAt = 0;
    const work = async () => {
      for (let start = missing.shift(); start !== undefined; start = missing.shift()) {
        this.#slices.set(start, { isSettled: true, opinions: await this.#ask(start, start + stepMs, signal) });
        if (Date.now() - drawnAt < DRAW_MS) continue;
        drawnAt = Date.now();
        this.#draw(span);
      }
    };
    await Promise.all([...Array.from({ length: REQUESTS_MAX }, work), this.#askTail(unsettled, last + stepMs, signal)]);
    this.#draw(span);
  }

  /** The latest slices may still grow: the last report goes where it belongs. */
  async #askTail(from, to, signal) {
    if (from >= to) return;
    const opinions = await this.#ask(Math.min(from, to - TAIL_MS), to, signal);
    this.#takeNewest(opinions);
    for (const one of opinions) {
      const time = Date.parse(one.ts);
      const start = Math.floor(time / this.#stepMs) * this.#stepMs;
      const slice = this.#slices.get(start) ?? { isSettled: false, opinions: [] };
      if (slice.isSettled) continue;
      slice.opinions = [...slice.opinions.filter((other) => other.reporting_peer !== one.reporting_peer), one];
      this.#slices.set(start, slice);
    }
  }

  /** The newest report of each reporter within a span (Unix ms). */
  async #ask(from, to, signal) {
    const span = { start_time: new Date(from).toISOString(), end_time: new Date(to).toISOString(), limit: REPORTERS_MAX };
    // 404: no report lists the peer.
    const told = await get(`reputation/${encodeURIComponent(this.#peer)}`, span, { signal, accepted: [404] });
    return Array.isArray(told) ? told : [];
  }

  #takeNewest(opinions) {
    for (const one of opinions) {
      const known = this.#reporters.get(one.reporting_peer);
      if (!known || known.ts <= one.ts) this.#reporters.set(one.reporting_peer, one);
    }
  }

  #draw(span) {
    const rows = this.#rows();
    this.#chooseLines(rows);
    this.#tablePlace.hidden = rows.length === 0;
    this.#table.replace(rows.map((row) => ({ ...row, line: this.#lines.get(row.reporter) ?? null })));
    if (rows.length === 0) {
      this.#dropChart();
      showEmpty(this.#chartPlace, "No reputation reports of this peer in this time range.",
        "Only nodes up to early 2021 and custom ones send system.network_state. Choose a longer span, or another peer.");
      return;
    }
    const lines = [...this.#lines].sort(([, a], [, b]) => a - b);
    const key = lines.map(([reporter, colour]) => `${reporter} ${colour} ${this.#names.of(reporter)}`).join("\n");
    if (!this.#chart || key !== this.#chartKey) {
      this.#dropChart();
      this.#chartPlace.replaceChildren();
      this.#chartKey = key;
      this.#chart = createChart(this.#chartPlace, {
        title: `Reputation, newest of each ${age(this.#stepMs / 1000)}`, height: 220, zoomed: this.#picker.set,
        series: lines.map(([reporter, colour]) => ({ label: this.#names.of(reporter), format: reputation, colour })),
        empty: "No report of the chosen peers in this span of time.",
      });
    }
    const starts = [...this.#slices.keys()].sort((a, b) => a - b);
    const columns = lines.map(([reporter]) => bridge(starts.map((start) => this.#valueOf(start, reporter))));
    this.#chart.setData([starts.map((start) => start / 1000), ...columns], span);
  }

  #valueOf(start, reporter) {
    return this.#slices.get(start).opinions.find((one) => one.reporting_peer === reporter)?.reputation ?? null;
  }

  #rows() {
    const starts = [...this.#slices.keys()].sort((a, b) => a - b);
    const known = new Map();
    for (const start of starts) {
      for (const { reporting_peer: reporter, reputation: value } of this.#slices.get(start).opinions) {
        if (value === null) continue;
        const one = known.get(reporter) ?? { first: value, lowest: value, highest: value };
        one.lowest = Math.min(one.lowest, value);
        one.highest = Math.max(one.highest, value);
        one.last = value;
        known.set(reporter, one);
      }
    }
    return [...this.#reporters.values()].map(({ reporting_peer: reporter, reputation: value, connected, ts }) => {
      const { first = null, last = null, lowest = value, highest = value } = known.get(reporter) ?? {};
      return {
        reporter, name: this.#names.of(reporter), value, connected, ts, lowest, highest, change: first === null ? null : last - first,
      };
    });
  }

  /** The reporters with the lowest reputations have lines, until the reader chooses. */
  #chooseLines(rows) {
    if (this.#isChosen) return;
    const least = [...rows].sort((a, b) => (a.value ?? Infinity) - (b.value ?? Infinity) || (a.reporter < b.reporter ? -1 : 1));
    for (const { reporter } of least) {
      if (this.#lines.size >= LINES_MAX) return;
      if (!this.#lines.has(reporter)) this.#lines.set(reporter, this.#freeColour());
    }
  }

  #freeColour() {
    const taken = new Set(this.#lines.values());
    return Array.from({ length: LINES_MAX }, (_, index) => index + 1).find((colour) => !taken.has(colour));
  }

  #toggle({ reporter, name }) {
    this.#isChosen = true;
    if (this.#lines.delete(reporter)) say(`Line of ${name} removed.`);
    else if (this.#lines.size >= LINES_MAX) {
      say(`At most ${LINES_MAX} lines: remove another one first.`);
      return;
    } else {
      this.#lines.set(reporter, this.#freeColour());
      say(`${name} has a line.`);
    }
    this.#draw(this.#picker.get());
  }

  #dropChart() {
    this.#chart?.destroy();
    this.#chart = null;
  }

  #makeTable(place) {
    const number = (column) => ({ end: true, filter: "number", width: 6.5, text: (row) => reputation(row[column.field]), tone: (row) => band(row[column.field]), ...column });
    return createTable(place, {
      id: "opinions", label: "Reputation of the peer", noun: ["reporting peer", "reporting peers"], key: "reporter", sort: { field: "value" },
      nameOf: (row) => row.name, choose: (row) => this.#toggle(row),
      totals: (rows) => (rows.length > LINES_MAX ? [h("span", {}, `${counted(this.#lines.size, "line")}; choose a row to show or hide its line`)] : []),
      columns: [
        { field: "line", title: "Line", width: 3.5, filter: false, text: (row) => (row.line ? `line ${row.line}` : "no"), cell: lineMark },
        { field: "name", title: "Reporter", width: 12, narrow: 8, sticky: true, search: true, hint: (row) => `${row.name}\n${row.reporter}` },
        { field: "reporter", title: "Peer id", width: 10, className: "mono", search: true, hint: (row) => row.reporter, isWide: true },
        number({ field: "value", title: "Now", fields: ["value", "connected"], text: (row) => `${reputation(row.value)} ${row.connected}`, cell: (row) => opinion(row.value, row.connected), hint: (row) => String(row.value ?? "") }),
        number({ field: "change", title: "Change", help: "From the first to the last report of the span", text: (row) => (row.change > 0 ? `+${reputation(row.change)}` : reputation(row.change)), tone: undefined }),
        number({ field: "lowest", title: "Lowest", isWide: true }),
        number({ field: "highest", title: "Highest", isWide: true }),
        {
          field: "ts", title: "Reported", width: 7, descending: true, filter: false, ticks: true, hint: (row) => new Date(row.ts).toLocaleString(),
          text: (row, now) => `${age(Math.max(0, (now - Date.parse(row.ts)) / 1000))} ago`,
        },
      ],
    });
  }
}

function lineMark({ line }) {
  if (!line) return h("span", { class: "unseen" }, "no line");
  const mark = h("span", { class: "chart-mark line-mark" });
  mark.style.color = `var(--series-${line})`;
  return h("span", {}, mark, h("span", { class: "unseen" }, `line ${count(line)}`));
}

/** Slices so long that there are about sixty. */
function stepOf({ from, to }) {
  const wanted = (to - from) / 1000 / SLICES;
  return STEPS_S.find((step) => step >= wanted) ?? STEPS_S.at(-1);
}

/** Short silences are no gaps: a chart draws on where a value is undefined, and breaks off where it is null. */
function bridge(values) {
  const bridged = [...values];
  let last = -1;
  values.forEach((value, index) => {
    if (value === null) return;
    if (last >= 0 && index - last > 1 && index - last <= GAP_SLICES) bridged.fill(undefined, last + 1, index);
    last = index;
  });
  return bridged;
}
