/*
 * The Profiling page: how long spans (`tracing.profiling`) took, over time and altogether. In the address: the span of
 * time, `aggregate`, `interval` (seconds), `scale`, `peer_id`, and `show`: targets and names in the chart.
 */
import { openPage } from "./lib/shell.js";
import { get, isAbort } from "./lib/api.js";
import { readAddress, writeAddress } from "./lib/address.js";
import { h, say } from "./lib/elements.js";
import { feed } from "./lib/feed.js";
import { spanPicker } from "./lib/span.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { createSpanChart } from "./profiling-chart.js";
import { AGGREGATES, createControls } from "./profiling-controls.js";
import { createNodeField } from "./profiling-node.js";
import { createRanking } from "./profiling-table.js";
import { fits, INTERVALS, keyOf, usualInterval, Windows } from "./profiling-windows.js";

// There are so many colours.
const SHOWN_MAX = 8;
const SHOWN_USUAL = 5;
const RANKING_MAX = 300;
// The server refuses larger answers; then the shown spans are read one by one.
const ROWS_MAX = 19_000;
// How often a live page reads again: not more often than this, the longer the span the less, and at most a tenth of the
// time that the server needs for it.
const REFRESH_MS = 15_000;
const REFRESHES_PER_SPAN = 240;
const PACE = 10;
// New kinds of spans do not wait for that, but so long.
const HURRY_MS = 3000;
// Messages that came later than others are stored later.
const OVERLAP_MS = 5000;

const place = (id) => document.getElementById(id);
const asked = () => readAddress({ aggregate: "mean", interval: "", scale: "log", peer_id: "", show: "" });

let request = null;
let timer = 0;
let windows = new Windows(1);
let ranking = [];
let view = {};
let subscription = null;
let isStale = false;
// Targets and names of the ranking.
let known = new Set();
let refreshedAt = 0;

openPage({ page: "profiling" });
const picker = spanPicker(place("span"), { fallback: "1h", changed: () => load() });
const showNode = createNodeField(place("node"), (peer) => go({ peer_id: peer }));
const showControls = createControls(place("how"), go);
const drawChart = createSpanChart(place("chart"), { zoomed: (from, to) => picker.set(from, to), unzoomed: () => picker.reset() });
const table = createRanking(place("ranking"), toggle);

function go(changes) {
  writeAddress(changes, { push: true });
  load();
}

/** What the address chooses. */
function readView() {
  const { aggregate, interval, scale, peer_id: peer } = asked();
  const { from, to, live, name } = picker.get();
  const seconds = (to - from) / 1000;
  const wanted = Number(interval);
  const isUsual = !INTERVALS.includes(wanted) || !fits(wanted, seconds);
  return {
    from, to, live, peer, seconds, isUsual, isLog: scale === "log",
    aggregate: AGGREGATES.some(([known]) => known === aggregate) ? aggregate : "mean",
    interval: isUsual ? usualInterval(seconds) : wanted,
    name: live ? name : `${from.toISOString()} ${to.toISOString()}`,
  };
}

/** What decides which data are read. */
const questionOf = ({ name, aggregate, interval, peer }) => JSON.stringify([name, aggregate, interval, peer]);

/** Shows what the address says; sends requests only if that needs other data. */
async function load() {
  const before = view;
  view = readView();
  showControls(view);
  showNode(view.peer);
  if (before.name && questionOf(before) === questionOf(view)) {
    paint();
    readMissing();
    return;
  }
  clearTimeout(timer);
  request?.abort();
  request = new AbortController();
  windows = new Windows(view.interval);
  ranking = [];
  refreshedAt = 0;
  listen();
  if (place("content").hidden) showLoading(place("state"));
  place("content").setAttribute("aria-busy", "true");
  await refresh(view.from);
}

/** Reads ranking and windows from a time on, and again after a while if the span is live. */
async function refresh(from) {
  const { signal } = request;
  const begun = performance.now();
  try {
    const span = readView();
    const { start_time, end_time } = times(span.from, span);
    ranking = await get("api/v1/profiling/ranking", { start_time, end_time, peer_id: view.peer, limit: RANKING_MAX }, { signal });
    await readWindows(from, signal);
    known = new Set(ranking.map(keyOf));
    place("problem").hidden = true;
    place("content").removeAttribute("aria-busy");
    showContent();
  } catch (error) {
    if (isAbort(error)) return;
    fail(error);
  }
  if (!view.live) return;
  const wait = Math.max(REFRESH_MS, view.seconds * 1000 / REFRESHES_PER_SPAN, (performance.now() - begun) * PACE);
  refreshedAt = Date.now();
  timer = setTimeout(refreshAgain, wait);
}

/** What ended since the last time; the window that was open then is whole now. */
function refreshAgain() {
  whenSeen(() => refresh(new Date(refreshedAt - 2 * view.interval * 1000 - OVERLAP_MS)));
}

/** There is something that the feed does not send, as a kind of span that is new: the ranking is due soon. */
function hurry() {
  if (ranking.length >= RANKING_MAX || !refreshedAt) return;
  clearTimeout(timer);
  timer = setTimeout(refreshAgain, Math.max(0, refreshedAt + HURRY_MS - Date.now()));
}

function whenSeen(act) {
  if (!document.hidden) act();
  else document.addEventListener("visibilitychange", act, { once: true, signal: request.signal });
}

const times = (from, { to, live }) => ({ start_time: from.toISOString(), end_time: live ? null : to.toISOString() });

async function readWindows(from, signal) {
  const { aggregate, interval, peer, seconds } = view;
  const params = { ...times(from < view.from ? view.from : from, view), aggregate, interval, peer_id: peer };
  if (isSmall()) {
    windows.take(await get("api/v1/profiling", params, { signal }));
    return;
  }
  for (const key of shownKeys()) {
    const [target, name] = JSON.parse(key);
    const found = await get("api/v1/profiling", { ...params, target, name }, { signal });
    windows.take(found.filter((one) => keyOf(one) === key));
  }
}

/** Whether all spans fit into one answer. */
function isSmall() {
  return ranking.length < RANKING_MAX && ranking.length * (view.seconds / view.interval + 1) <= ROWS_MAX;
}

/** Reads what was chosen and is not there yet. */
async function readMissing() {
  if (isSmall() || shownKeys().every((key) => windows.has(key))) return;
  const { signal } = request;
  try {
    await readWindows(view.from, signal);
    paint();
  } catch (error) {
    if (!isAbort(error)) fail(error);
  }
}

function fail(error) {
  if (place("content").hidden) {
    showError(place("state"), error, again);
    return;
  }
  place("problem").hidden = false;
  place("problem").replaceChildren(error.message, h("button", { type: "button", onclick: () => again() }, "Try again"));
}

/** Windows as they end. The one that was open at the subscription is not whole: the server has all of it. */
function listen() {
  subscription?.close();
  subscription = null;
  if (!view.live) return;
  let since = null;
  subscription = feed.subscribe({
    msg: "tracing.profiling", peer_id: view.peer || undefined, aggregate_type: view.aggregate, aggregate_interval: view.interval,
  }, {
    begin: () => { since ??= Date.now(); },
    data: ({ data }) => {
      const whole = data.filter(({ created_at: start }) => Date.parse(start) >= since);
      windows.take(whole);
      isStale ||= whole.length > 0;
      if (whole.length < data.length || whole.some((one) => !known.has(keyOf(one)))) hurry();
      // The first spans after silence bring the page to life.
      if (place("content").hidden && data.length > 0) again();
    },
    lagged: () => again(),
    error: (text) => fail(new Error(`Live spans are refused: ${text}`)),
  });
}

/** Reads everything again. */
function again() {
  view = {};
  load();
}

/** Targets and names in the chart: those of the address, or the costliest. */
function shownKeys() {
  try {
    const wanted = JSON.parse(asked().show || "null");
    if (Array.isArray(wanted)) return wanted.map(([target, name]) => keyOf({ target, name })).slice(0, SHOWN_MAX);
  } catch {
    // The address was cut: as without.
  }
  return ranking.slice(0, SHOWN_USUAL).map(keyOf);
}

function toggle(key) {
  const keys = shownKeys();
  const rest = keys.filter((one) => one !== key);
  if (rest.length === keys.length && keys.length >= SHOWN_MAX) {
    say(`At most ${SHOWN_MAX} fit into the chart. Take one out first.`);
    showRanking();
    return;
  }
  go({ show: JSON.stringify((rest.length < keys.length ? rest : [...keys, key]).map((one) => JSON.parse(one))) });
}

function showContent() {
  const isEmpty = ranking.length === 0;
  place("content").hidden = isEmpty;
  place("state").replaceChildren();
  if (isEmpty) explainEmpty(place("state"));
  else paint();
}

function paint() {
  if (place("content").hidden) return;
  isStale = false;
  showRanking();
  showChart();
}

function showRanking() {
  const keys = shownKeys();
  const all = ranking.reduce((sum, { total }) => sum + total, 0);
  table.replace(ranking.map((row) => {
    const key = keyOf(row);
    return { ...row, key, share: all > 0 ? row.total / all : null, colour: keys.indexOf(key) + 1 };
  }));
}

function showChart() {
  const { interval, live } = view;
  const keys = shownKeys();
  const span = live ? readView() : view;
  if (live) windows.forget(span.from.getTime() / 1000 - interval);
  drawChart(view, keys, windows.columns(keys), span);
}

function explainEmpty(where) {
  const { peer } = view;
  const longer = picker.get().name === "7d" ? null
    : h("p", {}, h("button", { type: "button", onclick: () => { writeAddress({ span: "7d", from: null, to: null }, { push: true }); picker.show(); load(); } }, "Show the last 7 days"));
  showEmpty(where, peer ? "This node sent no spans in this time." : "No node sent spans in this time.",
    "Spans are messages of the kind tracing.profiling. Nodes since 2021 send none. Nodes of 2020 up to early 2021 do, and custom ones whose tracing goes to telemetry, when started with",
    h("pre", { tabindex: 0 }, "--tracing-receiver Telemetry --tracing-targets pallet_babe,frame_executive"),
    "The page shows them by itself as they arrive.", longer);
}

setInterval(() => {
  const content = place("content");
  if (!view.live || document.hidden || content.hidden || content.hasAttribute("aria-busy")) return;
  if (isStale) showChart();
  isStale = false;
}, 1000);
// After the server was away, what it counted meanwhile is read.
let wasLive = false;
feed.addEventListener("state", () => {
  const isLive = feed.state.kind === "live";
  if (isLive && wasLive) setTimeout(again);
  wasLive ||= isLive;
});
load();
