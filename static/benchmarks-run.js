/*
 * The facts of benchmark runs: when, on which machine, with which specification; one run, or two beside each other.
 */
import { hashElement, h, timeElement } from "./lib/elements.js";
import { age, count, nanos, MISSING } from "./lib/format.js";
import { jsonView } from "./lib/json.js";

/** "Run 3", with its description. */
export const titleOf = (run) => `Run ${run.id}${run.description ? `: ${run.description}` : ""}`;

/** The node under test, if the run names one. */
export const peerOf = (run) => run.setup?.substrate?.peerId ?? null;

/** From when to when a run went, with its phases: `{ from, to }`, Unix ms. */
export function windowOf(run, events) {
  const times = [run.ts_start, run.ts_end, ...events.map((event) => event.created_at)].map(Date.parse);
  return { from: Math.min(...times), to: Math.max(...times) };
}

/** Seconds since the start of a run. */
export function sinceStart(seconds) {
  return Math.abs(seconds) < 10 && !Number.isInteger(seconds) ? nanos(seconds * 1e9) : age(Math.round(seconds));
}

/** A machine in words: "rack 4, slot 2". */
export const machineName = (machine) => machine.description || `machine ${machine.id}`;

/** A line for each run: when, how long, and on what. */
export function showSummary(place, shown) {
  place.replaceChildren(...shown.map(({ run, machine }, index) => h("p", { class: "quiet-text" },
    shown.length > 1 && h("span", { class: index ? "run-b" : "run-a" }, `Run ${run.id}`),
    h("span", {}, timeElement(run.ts_start), ` for ${lengthOf(run)}`,
      machine && ` on ${machineName(machine)} (${processorsOf(machine)}, ${memoryOf(machine)}, ${machine.os})`))));
}

const lengthOf = (run) => sinceStart((Date.parse(run.ts_end) - Date.parse(run.ts_start)) / 1000);
const processorsOf = (machine) => `${count(machine.cpu_qty)} × ${count(machine.cpu_clock)} MHz`;
const memoryOf = (machine) => `${count(machine.ram_mb)} MiB`;

/** `place` shows the runs `[{ run, machine, events }]`, one column each. */
export function showFacts(place, shown) {
  const rows = FACTS.map(([title, read]) => {
    const cells = shown.map(read);
    if (cells.every((cell) => cell === null)) return null;
    const texts = cells.map((cell) => (cell === null ? "" : cell.text ?? cell.textContent ?? String(cell)));
    return row(title, cells.map((cell) => cell?.node ?? cell ?? MISSING), texts);
  });
  const head = shown.length > 1 && h("thead", {}, h("tr", {}, h("td"), shown.map(({ run }, index) =>
    h("th", { scope: "col" }, h("span", { class: index ? "run-b" : "run-a" }, titleOf(run))))));
  place.replaceChildren(h("h2", {}, "Machine and specification"), h("table", { class: "facts-of-runs" }, h("colgroup", {}, h("col"), shown.map(() => h("col"))), head,
    h("tbody", {}, rows.filter(Boolean))));
}

function row(title, cells, texts) {
  const differs = texts.length > 1 && texts[0] !== texts[1];
  return h("tr", { class: differs ? "differs" : null }, h("th", { scope: "row" }, title, differs && h("span", { class: "differs-mark" }, " ≠")),
    cells.map((cell) => h("td", {}, cell)));
}

const ofMachine = (read) => ({ machine }) => (machine ? read(machine) : null);

const FACTS = [
  ["Started", ({ run }) => ({ node: timeElement(run.ts_start), text: "" })],
  ["End", ({ run }) => ({ node: timeElement(run.ts_end), text: "" })],
  ["Length", ({ run }) => lengthOf(run)],
  ["Node under test", ({ run }) => (peerOf(run) ? { node: hashElement(peerOf(run)), text: peerOf(run) } : null)],
  ["Machine", ofMachine(machineName)],
  ["System", ofMachine((machine) => machine.os)],
  ["Processors", ofMachine(processorsOf)],
  ["Memory", ofMachine(memoryOf)],
  ["Disks", ofMachine((machine) => machine.disk_info)],
  ["What it did", ({ run }) => specification(run.benchmark_spec, "benchmark specification")],
  ["Chain", ({ run }) => specification(run.chain_spec, "chain specification")],
  ["Setup", ({ run }) => specification(run.setup, "setup")],
  ["Entered", ({ run }) => ({ node: timeElement(run.created_at), text: "" })],
];

/** JSON that unfolds; that of a chain may be megabytes, so it is built when it is opened. */
function specification(value, title) {
  if (value === null || value === undefined) return null;
  const text = JSON.stringify(value);
  const name = value.name ?? value.id;
  if (text.length < 80) return { node: h("code", {}, text), text };
  const details = h("details", {
    ontoggle: () => {
      if (details.open && details.childElementCount === 1) details.append(jsonView(value));
    },
  }, h("summary", {}, typeof name === "string" ? `${name}: ${title}` : title));
  return { node: details, text };
}
