/*
 * The matrix of reputations: a row for each reported peer, a column for each reporter. Rows may be as many as there
 * are; columns are limited to what can be read.
 */
import { createTable } from "./lib/table.js";
import { readAddress, writeAddress } from "./lib/address.js";
import { h } from "./lib/elements.js";
import { counted, timeLocal } from "./lib/format.js";
import { band, connection, reputation } from "./reputation-words.js";

const REPORTERS_MAX = 24;
const AGES = [["900", "of the last 15 min"], ["3600", "of the last hour"], ["86400", "of the last day"], ["604800", "of the last week"]];
const AGE_USUAL = "3600";
/** At most so many reports are read; each may have hundreds of peers. */
export const REPORTS_MAX = 100;

/**
 * `names`: see reputation-words.js; `choose(peer)`: a row was chosen; `asked()`: other reports are wanted;
 * `empty(place)`: says why there is nothing.
 */
export function createMatrix(place, { names, choose, asked, empty }) {
  return new Matrix(place, names, { choose, asked, empty });
}

class Matrix {
  /** All reported peers, the lowest reputation first. */
  peers = [];
  // Peer → what all reports together say of it.
  #sums = new Map();
  #names;
  #events;
  #reports = [];
  #table = null;
  #shownReporters = "";
  // The age of reports for which there are none.
  #emptyFor = "";
  #place = h("div");
  #note = h("p", { class: "quiet-text" });
  #age;
  #logged;
  #search;

  constructor(place, names, events) {
    this.#names = names;
    this.#events = events;
    const { age, logged, by } = readAddress({ age: AGE_USUAL, logged: "", by: "" });
    this.#age = h("select", { "aria-label": "Age of reports", onchange: () => this.#ask({ age: this.#age.value === AGE_USUAL ? "" : this.#age.value }) },
      AGES.map(([value, text]) => h("option", { value, selected: value === age }, `Reports ${text}`)));
    this.#logged = h("input", { type: "checkbox", checked: logged === "1", onchange: () => this.#ask({ logged: this.#logged.checked ? "1" : "" }) });
    this.#search = h("input", {
      type: "search", value: by, placeholder: "Search reporter", "aria-label": "Search reporter", spellcheck: "false", autocomplete: "off",
      oninput: () => {
        writeAddress({ by: this.#search.value.trim() });
        this.#show();
      },
    });
    const legend = h("p", { class: "rep-legend quiet-text" }, "From worst to best: ",
      [["rep-n4", "< −1 M"], ["rep-n3", "< −10 k"], ["rep-n2", "< −100"], ["rep-n1", "< 0"], ["rep-0", "0"], ["rep-p1", "> 0"], ["rep-p2", "≥ 100"], ["rep-p3", "≥ 10 k"]]
        .map(([name, text]) => h("span", { class: `rep-key ${name}` }, text)),
      h("span", { class: "linked" }, "connected"));
    place.append(h("div", { class: "bar" }, this.#age, h("label", { class: "check" }, this.#logged, "Only peers that connected to this server"), this.#search),
      legend, this.#note, this.#place);
    this.#note.hidden = true;
    events.empty(this.#place);
  }

  /** The request to `/reputation`: `{ path, params }`. */
  get question() {
    return { path: this.#logged.checked ? "reputation/logged" : "reputation", params: { max_age_s: this.#age.value, limit: REPORTS_MAX } };
  }

  /** The words of the chosen age. */
  get ageText() {
    return AGES.find(([value]) => value === this.#age.value)[1];
  }

  /** Says again why there is nothing, if there is nothing. */
  explain() {
    this.#emptyFor = "";
    if (this.#table) this.#table.explain();
    else this.#events.empty(this.#place);
  }

  /** Shows these reports, as `/reputation` answers. */
  update(reports) {
    // Without a change the explanation of an empty table stays as it is.
    const isEmpty = reports.length === 0 && this.#reports.length === 0;
    if (isEmpty && this.#emptyFor === this.#age.value) return;
    this.#emptyFor = reports.length === 0 ? this.#age.value : "";
    this.#sums = sumsOf(reports, this.#names);
    this.peers = [...this.#sums.values()].sort((a, b) => (a.median ?? Infinity) - (b.median ?? Infinity)).map(({ peer }) => peer);
    this.#reports = [...reports].sort((a, b) => (this.#names.of(a.reporting_peer) < this.#names.of(b.reporting_peer) ? -1 : 1));
    this.#show();
  }

  #ask(changes) {
    writeAddress(changes);
    this.#events.asked();
  }

  #show() {
    const wanted = this.#search.value.trim().toLowerCase();
    const fits = ({ reporting_peer: peer }) => !wanted || peer.toLowerCase().includes(wanted) || this.#names.of(peer).toLowerCase().includes(wanted);
    const found = this.#reports.filter(fits);
    const shown = found.slice(0, REPORTERS_MAX);
    const notes = [];
    if (wanted && found.length === 0 && this.#reports.length > 0) notes.push("No reporter of this name or id.");
    if (found.length > shown.length) notes.push(`Columns for ${shown.length} of ${counted(found.length, "reporter")}: search for the others. Sums count all.`);
    if (this.#reports.length >= REPORTS_MAX) notes.push(`Only the ${REPORTS_MAX} newest reports are here.`);
    this.#note.textContent = notes.join(" ");
    this.#note.hidden = notes.length === 0;

    const reporters = shown.map(({ reporting_peer: peer }) => `${peer} ${this.#names.of(peer)}`).join("\n");
    if (!this.#table || reporters !== this.#shownReporters) this.#build(shown);
    this.#shownReporters = reporters;
    this.#table.replace(rowsOf(this.#sums, shown));
  }

  #build(reports) {
    this.#table?.destroy();
    const quantity = (column) => ({ end: true, filter: "number", descending: true, ...column });
    const number = (column) => ({ end: true, filter: "number", width: 6, text: (row) => reputation(row[column.field]), tone: (row) => band(row[column.field]), ...column });
    this.#table = createTable(this.#place, {
      id: "reputation", label: "Latest reputation, by reporter", noun: ["peer", "peers"], key: "peer", sort: { field: "median" }, isShared: true, isFixed: true,
      nameOf: (row) => row.name, choose: (row) => this.#events.choose(row.peer), empty: this.#events.empty,
      columns: [
        { field: "name", title: "Peer", width: 12, narrow: 8, sticky: true, search: true, hint: (row) => `${row.name}\n${row.peer}` },
        { field: "peer", title: "Peer id", width: 9, className: "mono", search: true, hint: (row) => row.peer },
        quantity({ field: "opinions", title: "Reports", help: "Peers that report a reputation of it", width: 5.5 }),
        quantity({ field: "connected", title: "Connected", help: "To how many of them it is connected", width: 6 }),
        number({ field: "lowest", title: "Lowest" }),
        number({ field: "median", title: "Median" }),
        number({ field: "highest", title: "Highest" }),
        ...reports.map((report) => this.#column(report.reporting_peer)),
      ],
    });
  }

  /** The column of one reporter. */
  #column(reporter) {
    const [value, linked, time] = fieldsOf(reporter);
    const name = this.#names.of(reporter);
    return {
      field: value, title: name, help: `Reported by ${name}\n${reporter}`, end: true, filter: "number", width: 6, fields: [value, linked, time],
      text: (row) => (row[time] ? `${reputation(row[value])} ${row[linked]}` : ""),
      cell: (row) => opinion(row[value], row[linked], row[time]),
      tone: (row) => band(row[value]),
      hint: (row) => (row[time] ? `${name} reports ${row[value] ?? "no number"} for ${row.name}; ${connection(row[linked])}; reported ${timeLocal(row[time])}` : `${name} reports nothing of ${row.name}`),
    };
  }
}

/** What all reports together say of each peer. */
function sumsOf(reports, names) {
  const sums = new Map();
  for (const { remote_peer: remotes, reputation: reputations, connected } of reports) {
    remotes.forEach((peer, index) => {
      let sum = sums.get(peer);
      if (!sum) sums.set(peer, sum = { peer, name: names.of(peer), all: [], opinions: 0, connected: 0 });
      sum.opinions += 1;
      if (connected[index]) sum.connected += 1;
      if (reputations[index] !== null) sum.all.push(reputations[index]);
    });
  }
  for (const sum of sums.values()) {
    const { all } = sum;
    all.sort((a, b) => a - b);
    Object.assign(sum, { lowest: all[0] ?? null, median: medianOf(all), highest: all.at(-1) ?? null });
    delete sum.all;
  }
  return sums;
}

/** A row for each reported peer, with the reputations of the shown reporters. */
function rowsOf(sums, shown) {
  // Rows are merged into what is there, so a reporter that no longer lists a peer has to be removed.
  const nothing = Object.fromEntries(shown.flatMap(({ reporting_peer: reporter }) => fieldsOf(reporter)).map((field) => [field, null]));
  const rows = new Map([...sums].map(([peer, sum]) => [peer, { ...sum, ...nothing }]));
  for (const { reporting_peer: reporter, remote_peer: remotes, reputation: reputations, connected, ts } of shown) {
    const [value, linked, time] = fieldsOf(reporter);
    remotes.forEach((peer, index) => {
      const row = rows.get(peer);
      row[value] = reputations[index];
      row[linked] = connected[index];
      row[time] = ts;
    });
  }
  return [...rows.values()];
}

/** Fields of a row for a reporter: the reputation, whether they are connected, the time of the report. */
const fieldsOf = (reporter) => [`by ${reporter}`, `connected to ${reporter}`, `reported by ${reporter}`];

/** A number in a cell, with a mark if the two are connected. */
export function opinion(value, isConnected, isThere = true) {
  if (!isThere) return document.createTextNode("");
  return h("span", { class: isConnected ? "linked" : null }, reputation(value), isConnected && h("span", { class: "unseen" }, " connected"));
}

/** The middle of ascending numbers, rounded; null of none. */
export function medianOf(sorted) {
  if (sorted.length === 0) return null;
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : Math.round((sorted[half - 1] + sorted[half]) / 2);
}
