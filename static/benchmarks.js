/*
 * The Benchmarks page: runs, their machines, phases and spans; two runs beside each other; forms to enter them.
 */
import { openPage } from "./lib/shell.js";
import { get, getToken, setToken } from "./lib/api.js";
import { onAddress, readAddress, writeAddress } from "./lib/address.js";
import { feed } from "./lib/feed.js";
import { h, menu, say, timeElement } from "./lib/elements.js";
import { count } from "./lib/format.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { createTable } from "./lib/table.js";
import { machineName, showFacts, showSummary, sinceStart, titleOf, windowOf } from "./benchmarks-run.js";
import { showPhases } from "./benchmarks-phases.js";
import { Spans } from "./benchmarks-spans.js";
import { enterMachine, enterPhase, enterRun } from "./benchmarks-forms.js";

openPage({ page: "benchmarks" });

const POLL_MS = 5000;
// Spans of a run that goes on are requested at most this often, and at most this share of the time.
const SPANS_MS = 5000;
const PACE = 20;
// Messages may be stored a while after they came.
const GOING_ON_MS = 60_000;
const PEERS_MAX = 200;

const place = (id) => document.getElementById(id);

let runs = [];
let machines = new Map();
let isRead = false;
let failure = null;
let timer = 0;
let asking = null;
// What the table and the parts show.
let tabled = "";
let drawn = "";
let spansAsked = "";
let spansAt = 0;
let spansPause = SPANS_MS;

const parts = buildParts();
const table = buildTable();
buildTools();

feed.subscribe({ topic: "presence" }, { begin: () => poll() });
onAddress(() => poll());
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) poll();
});
poll();

async function poll() {
  clearTimeout(timer);
  asking?.abort();
  const request = new AbortController();
  asking = request;
  const options = { signal: request.signal };
  const begun = performance.now();
  try {
    const [systems, all] = await Promise.all([get("host_systems", {}, options), get("benchmarks", {}, options)]);
    machines = new Map(systems.map((machine) => [machine.id, machine]));
    runs = all;
    isRead = true;
    failure = null;
    showRuns();
    await showChosen(options);
    place("updated").replaceChildren("Updated ", timeElement(Date.now()));
  } catch (error) {
    if (request.signal.aborted) return;
    fail(error);
  }
  const pause = Math.max(POLL_MS, (performance.now() - begun) * PACE);
  if (!document.hidden && asking === request) timer = setTimeout(poll, pause);
}

function fail(error) {
  failure = error;
  tabled = "";
  const before = place("updated").querySelector("time");
  place("updated").replaceChildren(h("span", { class: "bad", role: "alert" }, `${error.message} `), ...(before ? ["What is shown is from ", before] : []));
  table.explain();
}

/** The runs that the address names: the one, and the one beside it. */
function chosen() {
  const { run, beside } = readAddress({ run: "", beside: "" });
  const find = (id) => runs.find((one) => String(one.id) === id) ?? null;
  const first = find(run) ?? (run ? null : runs[0] ?? null);
  const second = find(beside);
  return first ? [first, ...(second && second !== first ? [second] : [])] : [];
}

function showRuns() {
  const [first, second] = chosen();
  const rows = runs.map((run) => ({
    ...run, machine: machines.has(run.host_system_id) ? machineName(machines.get(run.host_system_id)) : null,
    length: (Date.parse(run.ts_end) - Date.parse(run.ts_start)) / 1000, shown: run === first ? "shown" : run === second ? "compared" : "",
  }));
  // Without a change it is not explained anew why there are none: that has a button that may have the focus.
  const state = JSON.stringify(rows);
  if (state === tabled) return;
  tabled = state;
  table.replace(rows);
}

async function showChosen(options) {
  const now = chosen();
  place("shown").hidden = now.length === 0;
  if (now.length === 0) {
    drawn = "";
    const { run } = readAddress({ run: "" });
    if (run) say(`There is no run ${run}.`);
    return;
  }
  const events = await Promise.all(now.map((run) => get(`benchmarks/${run.id}/events`, {}, options)));
  const shown = now.map((run, index) => ({
    run, events: events[index], window: windowOf(run, events[index]), machine: machines.get(run.host_system_id) ?? null,
  }));
  const state = JSON.stringify([shown, runs.map(({ id, description }) => [id, description])]);
  // What did not change is left alone, with all that the reader has unfolded and marked in it.
  if (state !== drawn) {
    drawn = state;
    parts.showHead(shown);
    showSummary(parts.summary, shown);
    showFacts(parts.facts, shown);
    showPhases(parts.phases, shown, (run) => enterPhase(run, [...new Set(shown.flatMap((one) => one.events.map(({ name }) => name)))], () => poll()));
  }
  showSpans(shown);
}

/** Requests spans if the runs are others, or one goes on. Does not wait for them. */
async function showSpans(shown) {
  const key = JSON.stringify(shown.map(({ run, window }) => [run.id, window]));
  const goesOn = shown.some(({ window }) => window.to > Date.now() - GOING_ON_MS);
  if (key === spansAsked && !(goesOn && Date.now() - spansAt > spansPause)) return;
  spansAsked = key;
  spansAt = Date.now();
  await parts.spans.load(shown);
  spansPause = Math.max(SPANS_MS, (Date.now() - spansAt) * PACE);
  spansAt = Date.now();
}

function choose(id) {
  writeAddress({ run: id, beside: chosen()[1]?.id === id ? null : readAddress({ beside: "" }).beside }, { push: true });
  poll();
}

function buildParts() {
  const title = h("h2", {});
  const state = h("span", { class: "chip good", hidden: true }, "going on");
  const beside = h("select", {
    onchange: () => {
      writeAddress({ run: chosen()[0].id, beside: beside.value }, { push: true });
      poll();
    },
  });
  const summary = h("div", { class: "run-summary" });
  const facts = h("section", { class: "card" });
  const phases = h("section", { class: "card" });
  const spans = h("section");
  place("shown").append(h("div", { class: "run-head" }, title, state, h("label", {}, "Compare with", beside)), summary, phases, spans, facts);
  const showHead = ([first, second]) => {
    title.textContent = titleOf(first.run);
    state.hidden = Date.parse(first.run.ts_end) < Date.now();
    beside.replaceChildren(h("option", { value: "" }, "no other run"), ...runs.filter((run) => run !== first.run).map((run) =>
      h("option", { value: run.id, selected: run === second?.run }, titleOf(run))));
    beside.disabled = runs.length < 2;
  };
  return { summary, facts, phases, spans: new Spans(spans), showHead };
}

function buildTable() {
  return createTable(place("runs"), {
    id: "benchmarks", label: "Benchmark runs", noun: ["run", "runs"], key: "id", sort: { field: "ts_start", descending: true }, isShared: true,
    nameOf: titleOf, choose: (run) => choose(run.id), empty: explainEmpty,
    columns: [
      { field: "id", title: "Run", width: 4.5, sticky: true, end: true, filter: "number", descending: true },
      { field: "description", title: "Description", width: 18, narrow: 12, search: true, hint: (run) => run.description ?? "" },
      { field: "shown", title: "Shown", width: 6, filter: [["shown", "shown"], ["compared", "compared"]], text: (run) => ({ shown: "● shown", compared: "◌ compared" }[run.shown] ?? "") },
      { field: "machine", title: "Machine", width: 12, search: true },
      { field: "ts_start", title: "Started", width: 11, filter: false, descending: true, text: (run) => run.ts_start, cell: (run) => timeElement(run.ts_start) },
      { field: "length", title: "Length", width: 6, end: true, filter: "number", second: 1, descending: true, text: (run) => sinceStart(run.length) },
      { field: "created_at", title: "Entered", width: 11, filter: false, isHidden: true, descending: true, text: (run) => run.created_at, cell: (run) => timeElement(run.created_at) },
    ],
  });
}

function explainEmpty(where) {
  if (failure && !isRead) showError(where, failure, () => poll());
  else if (!isRead) showLoading(where, "Loading runs…");
  else {
    showEmpty(where, "No benchmark runs yet.",
      "A run records when a benchmark ran, on which machine and with which specification; its phases and the spans that nodes sent meanwhile are shown together.",
      h("p", {}, h("button", { type: "button", class: "primary", onclick: () => newRun() }, "Add run")),
      h("p", {}, "Programs send POST /host_systems, /benchmarks and /benchmarks/events: see the ", h("a", { href: "../api/" }, "interface"), "."));
  }
}

async function newRun() {
  let peers = [];
  try {
    peers = (await get("nodes", { limit: PEERS_MAX })).map(({ peer_id: peer }) => peer);
  } catch {
    // Suggestions only: the form does without.
  }
  enterRun([...machines.values()], peers.filter(Boolean), (run) => choose(run.id));
}

function buildTools() {
  const list = h("div", { class: "scroll" });
  const forget = h("button", {
    type: "button",
    onclick: () => {
      setToken("");
      say("The token was forgotten.");
      showMachines();
    },
  }, "Forget the token for writing");
  const showMachines = () => {
    const rows = [...machines.values()].map((machine) => h("tr", {}, h("th", { scope: "row" }, `${machine.id}: ${machineName(machine)}`),
      h("td", {}, machine.os), h("td", { class: "end" }, `${count(machine.cpu_qty)} × ${count(machine.cpu_clock)} MHz`),
      h("td", { class: "end" }, `${count(machine.ram_mb)} MiB`), h("td", {}, machine.disk_info)));
    list.replaceChildren(rows.length === 0 ? h("p", { class: "quiet-text" }, "None yet.") : h("table", { class: "machine-list" },
      h("thead", {}, h("tr", {}, ["Machine", "System", "Processors", "Memory", "Disks"].map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, rows)));
    forget.hidden = !getToken();
  };
  const known = menu("Machines", list, forget);
  known.addEventListener("toggle", showMachines);
  // The list may be open before the next look at the server.
  const entered = (machine) => {
    machines.set(machine.id, machine);
    showMachines();
    poll();
  };
  place("tools").append(known, h("button", { type: "button", onclick: () => enterMachine(entered) }, "Add machine"),
    h("button", { type: "button", class: "primary", onclick: () => newRun() }, "Add run"));
}
