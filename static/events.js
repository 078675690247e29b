/*
 * The Events page: what runtimes and services said in a structured form, measured by any field, and as it comes. The view
 * stands in the address.
 */
import { openPage } from "./lib/shell.js";
import { address, get, getWithHeaders } from "./lib/api.js";
import { feed } from "./lib/feed.js";
import { onAddress, readAddress, writeAddress } from "./lib/address.js";
import { h } from "./lib/elements.js";
import { count, counted, timeLocal } from "./lib/format.js";
import { parseExact } from "./lib/json.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { spanPicker } from "./lib/span.js";
import { eventItem } from "./events-item.js";
import { createMeasures } from "./events-chart.js";
import { showJobs } from "./events-jobs.js";
import { showTransports } from "./events-transports.js";

const PAGE = 100;
const LIVE_MAX = 500;
// What comes live moves the chart so often.
const CHART_EVERY_MS = 10_000;
const MALFORMED_MAX = 20;
const FILTERS = { source: "", name: "", severity: "", where: "", text: "", peer_id: "" };
const MEASURE = { measure: "count", field: "", group_by: "name" };

openPage({ page: "events" });
const part = (id) => document.getElementById(id);
const picker = spanPicker(part("span"), { fallback: "24h", changed: () => load() });
const measures = createMeasures(part("chart"), { zoomed: (from, to) => picker.set(from, to) });
let subscription = null;
let older = null;
let known = new Set();
let held = [];
let reading = null;
let chartTimer = 0;

const filters = () => readAddress(FILTERS);
const measure = () => readAddress(MEASURE);

function showForms() {
  for (const [name, value] of Object.entries(filters())) {
    if (part("filters").elements[name]) part("filters").elements[name].value = value;
  }
  for (const [name, value] of Object.entries(measure())) part("measure").elements[name].value = value;
}

const changesOf = (form, defaults) => Object.fromEntries([...new FormData(form)].map(([name, value]) => {
  const text = value.trim();
  return [name, text === defaults[name] ? null : text];
}));

part("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  writeAddress(changesOf(event.target, FILTERS), { push: true });
  load();
});
part("filters").elements.severity.addEventListener("change", () => part("filters").requestSubmit());
part("measure").addEventListener("submit", (event) => {
  event.preventDefault();
  const changes = changesOf(event.target, MEASURE);
  // No group is a choice of its own.
  if (event.target.elements.group_by.value.trim() === "") changes.group_by = "-";
  writeAddress(changes, { push: true });
  draw();
});
part("measure").elements.measure.addEventListener("change", () => {
  const { measure: chosen, field } = part("measure").elements;
  if (chosen.value === "count" || field.value.trim()) part("measure").requestSubmit();
  else field.focus();
});
part("older").addEventListener("click", () => readMore());
part("newer").addEventListener("click", () => showHeld());
onAddress(() => load());

async function load() {
  showForms();
  subscription?.close();
  subscription = null;
  reading?.abort();
  reading = new AbortController();
  held = [];
  known = new Set();
  part("newer").hidden = true;
  part("older").hidden = true;
  part("stream").replaceChildren();
  showLoading(part("state"));
  const span = picker.get();
  draw();
  try {
    const { events, cursor } = await ask(span, null);
    older = { span, cursor };
    part("older").hidden = cursor === null;
    part("state").replaceChildren();
    add(events, (item) => part("stream").append(item));
    if (events.length === 0) tellEmpty();
    if (span.live) follow();
    tell();
  } catch (error) {
    showError(part("state"), error, load);
  }
}

async function ask(span, cursor) {
  const params = { ...filters(), limit: PAGE, cursor, start_time: span.from.toISOString(), end_time: span.live ? null : span.to.toISOString() };
  const { body, headers } = await getWithHeaders("api/v1/events", params, { signal: reading.signal, text: true });
  return { events: parseExact(body), cursor: headers.get("X-Next-Cursor") };
}

async function readMore() {
  part("older").disabled = true;
  try {
    const { events, cursor } = await ask(older.span, older.cursor);
    older.cursor = cursor;
    part("older").hidden = cursor === null;
    add(events, (item) => part("stream").append(item));
    tell();
  } catch (error) {
    showError(part("state"), error, readMore);
  }
  part("older").disabled = false;
}

function tellEmpty() {
  const isAll = Object.values(filters()).every((value) => value === "");
  if (isAll) {
    showEmpty(part("state"), "No events in this time range.",
      h("p", {}, "An event is a line of JSON with ", h("code", {}, "\"_e\":1"), ": in any message of a node, or posted to ", h("code", {}, "/events"), "."));
  } else showEmpty(part("state"), "No event fits in this time range.", "Choose another range, or fewer filters.");
}

function add(events, put) {
  const fresh = events.filter(({ id }) => !known.has(id));
  for (const event of fresh) {
    known.add(event.id);
    put(eventItem(event, filterBy));
  }
  for (const [list, values] of [["sources", fresh.map(({ source }) => source)], ["names", fresh.map(({ name }) => name)]]) {
    const there = new Set([...part(list).children].map(({ value }) => value));
    for (const value of new Set(values)) if (value && !there.has(value) && there.size < 100) part(list).append(h("option", { value }));
  }
  if (fresh.length > 0) part("state").replaceChildren();
}

function filterBy(changes) {
  writeAddress(changes, { push: true });
  load();
}

function follow() {
  subscription = feed.subscribe({ topic: "events", ...filters() }, {
    data(_, text) {
      const { events } = parseExact(text);
      held.push(...events);
      if (held.length > LIVE_MAX) held.splice(0, held.length - LIVE_MAX);
      if (isRead()) {
        part("newer").hidden = held.length === 0;
        part("newer").textContent = `Show ${counted(held.length, "new event")}`;
      } else showHeld();
      if (events.length > 0 && !chartTimer) chartTimer = setTimeout(draw, CHART_EVERY_MS);
    },
    error(text) { showError(part("state"), new Error(text)); },
  });
}

/** What is being read must not move. */
const isRead = () => part("stream").querySelector("details[open]") !== null || part("stream").matches(":hover") || part("stream").getBoundingClientRect().top < 0;

function showHeld() {
  add(held, (item) => part("stream").prepend(item));
  held = [];
  part("newer").hidden = true;
  while (part("stream").childElementCount > LIVE_MAX) part("stream").lastChild.remove();
  tell();
}

function tell() {
  const shown = part("stream").childElementCount;
  part("told").textContent = shown === 0 ? "" : `${count(shown)} shown`;
}

async function draw() {
  clearTimeout(chartTimer);
  chartTimer = 0;
  const { measure: what, field, group_by: group } = measure();
  await measures.draw({ filters: filters(), span: picker.get(), measure: what, field, group: group === "-" ? "" : group });
  showJobs(part("jobs-card"), part("jobs"), picker.get());
  showTransports(part("transports-card"), part("transports"));
  showMalformed();
}

async function showMalformed() {
  try {
    const lines = await get("api/v1/events/malformed");
    part("malformed-card").hidden = lines.length === 0;
    part("malformed").replaceChildren(...lines.slice(0, MALFORMED_MAX).map((one) => h("li", {}, h("div", { class: "row" },
      h("span", {}, timeLocal(one.created_at)), h("span", { class: "name" }, one.reason), one.peer_id && h("a", { href: address("dashboard/node", { peer_id: one.peer_id }) }, one.peer_id),
      h("code", { class: "said-text" }, one.line)))));
  } catch {
    // The stream says whether the server answers.
  }
}

load();
