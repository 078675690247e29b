/*
 * The phases of one run, or of two, on a time line that begins where each run begins.
 */
import { h, timeElement } from "./lib/elements.js";
import { MISSING } from "./lib/format.js";
import { sinceStart, titleOf } from "./benchmarks-run.js";

const STARTS = /^(start|begin|began|open)/i;
const ENDS = /^(end|stop|finish|done|complete|close)/i;
const STEPS_S = [0.001, 0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000];
const TICKS_MAX = 6;

/**
 * What the events of a run stand for, each as `{ name, from, to, isOpen, phase }` in Unix ms: "start" and "end" of one name make a
 * phase, anything else is a moment (`to` is null). What began and did not end lasts as long as the run.
 */
export function phasesOf(events, window) {
  const phases = [];
  const open = new Map();
  for (const { name, phase, created_at: at } of events) {
    const time = Date.parse(at);
    if (STARTS.test(phase)) {
      const begun = { name, from: time, to: window.to, isOpen: true, phase };
      phases.push(begun);
      open.set(name, begun);
    } else if (ENDS.test(phase) && open.has(name)) {
      Object.assign(open.get(name), { to: time, isOpen: false });
      open.delete(name);
    } else phases.push({ name, from: time, to: null, isOpen: false, phase });
  }
  return phases;
}

/** `shown`: `[{ run, events, window }]`; `addEvent(run)` enters a phase. */
export function showPhases(place, shown, addEvent) {
  const all = shown.map(({ events, window }) => phasesOf(events, window));
  const length = Math.max(...shown.map(({ window }) => window.to - window.from), 1);
  const names = [...new Set(all.flat().map(({ name }) => name))];
  const buttons = shown.map(({ run }) => h("button", { type: "button", onclick: () => addEvent(run) },
    shown.length > 1 ? `Add phase to run ${run.id}` : "Add phase"));
  const head = h("div", { class: "section-head" }, h("h2", {}, "Phases"), h("span", { class: "end bar" }, buttons));
  if (names.length === 0) {
    place.replaceChildren(head, h("p", { class: "quiet-text" }, "No phases. Add one, or have the benchmark send POST /benchmarks/events at start and end of a phase."));
    return;
  }
  const line = h("div", { class: "phases", role: "img", "aria-label": inWords(shown, all) });
  for (const name of names) {
    shown.forEach(({ window }, index) => {
      const track = h("div", { class: index ? "track second" : "track" });
      for (const phase of all[index].filter((one) => one.name === name)) track.append(bar(phase, window, length));
      line.append(h("span", { class: "name" }, index === 0 ? name : ""), track);
    });
  }
  line.append(h("span"), axis(length));
  place.replaceChildren(head, line, list(shown));
}

function bar({ name, from, to, isOpen, phase }, window, length) {
  const seconds = to === null ? null : (to - from) / 1000;
  const words = seconds === null ? `${name}: ${phase}` : `${name}: ${sinceStart(seconds)}${isOpen ? ", not ended" : ""}`;
  const element = h("span", { class: seconds === null ? "point" : isOpen ? "open" : null, title: `${words}, ${sinceStart((from - window.from) / 1000)} after the start` },
    seconds === null ? "" : sinceStart(seconds));
  element.style.left = `${((from - window.from) / length) * 100}%`;
  if (seconds !== null) element.style.width = `${((to - from) / length) * 100}%`;
  return element;
}

function axis(length) {
  const seconds = length / 1000;
  const step = STEPS_S.find((one) => seconds / one <= TICKS_MAX - 1) ?? STEPS_S.at(-1);
  const element = h("div", { class: "phase-axis" });
  for (let at = 0; at <= seconds; at += step) {
    // The last text hangs from its end, so it must be at the end.
    const isLast = at + step > seconds;
    const tick = h("span", {}, sinceStart(isLast ? seconds : at));
    tick.style.left = `${isLast ? 100 : (at / seconds) * 100}%`;
    element.append(tick);
  }
  return element;
}

function inWords(shown, all) {
  return shown.map(({ run, window }, index) => `${titleOf(run)}. ${all[index].map(({ name, from, to, phase }) =>
    `${name} ${to === null ? phase : sinceStart((to - from) / 1000)}, ${sinceStart((from - window.from) / 1000)} after the start`).join("; ")}.`).join(" ");
}

/** All that was entered, as it was entered. */
function list(shown) {
  const body = h("tbody", {}, shown.flatMap(({ run, events, window }) => events.map((event) => h("tr", {},
    shown.length > 1 && h("td", {}, `Run ${run.id}`), h("th", { scope: "row" }, event.name), h("td", {}, event.phase || MISSING),
    h("td", {}, sinceStart((Date.parse(event.created_at) - window.from) / 1000)), h("td", {}, timeElement(event.created_at, { millis: true }))))));
  return h("details", {}, h("summary", {}, "As a table"), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Phases as a table" },
    h("table", { class: "phase-list" }, h("thead", {}, h("tr", {}, shown.length > 1 && h("th", { scope: "col" }, "Run"),
      ["Name", "Phase", "After the start", "Time"].map((title) => h("th", { scope: "col" }, title)))), body)));
}
