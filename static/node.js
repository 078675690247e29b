/*
 * The page of a node: `node?peer_id=…`, with a span of time (`span`, or `from` and `to`), a moment in it (`at`), and
 * filters for its messages (`msg`, `target`, `text`). Whatever is shown is in the address.
 */
import { openPage } from "./lib/shell.js";
import { get, getWithHeaders, isAbort } from "./lib/api.js";
import { readAddress, writeAddress } from "./lib/address.js";
import { h, hashElement, timeElement } from "./lib/elements.js";
import { age, hashShort, toDate } from "./lib/format.js";
import { spanPicker } from "./lib/span.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { createCharts } from "./node-charts.js";
import { createFigures, factCards } from "./node-facts.js";
import { createFilters } from "./node-filters.js";
import { listen } from "./node-live.js";
import { linkTo, showLinks, spanParams } from "./node-link.js";
import { createMessages } from "./node-messages.js";
import { createPresence } from "./node-presence.js";
import { Series } from "./node-series.js";
import { storyOf, within, awayWords } from "./node-sessions.js";
import { createAuthored } from "./node-authored.js";
import { createLosses, createStatus } from "./node-status.js";
import { stateMeaning, stateTone, stateWords } from "./lib/status.js";

const SESSIONS_MAX = 1000;
const POINTS = 300;
// How often the height of the chain is read, at most.
const CHAIN_MS = 10_000;
// What the feed repeats at the start, so that nothing falls between its first message and the pages of history.
const OVERLAP_MS = 60_000;
// A moment without a span is shown with so much before and after it.
const AROUND_MS = 900_000;
// Charts and figures of a live span move at most once, and at least every so many, seconds.
const TICK_MS = 1000;
const TICKS_IDLE = 5;
// Other pages, and the kind of message that they show.
const PAGES = [["to-profiling", "profiling", "tracing.profiling"], ["to-reputation", "reputation", "system.network_state"]];
// The database may have a session a little later than the feed.
const SESSION_TRIES = 8;
// A node that talks is looked for among the sessions so often.
const CHECK_TRIES = 30;
const CHECK_MS = 1000;

const peer = readAddress({ peer_id: "" }).peer_id;
const part = (id) => document.getElementById(id);
const title = peer ? hashShort(peer) : "Node";

let sessions = [];
// How often they were asked for, and which of the questions the shown ones answer.
let sessionTurns = 0;
let sessionTurn = 0;
let isChecking = false;
let story = [];
let series = new Series();
// What the server's clock is ahead of ours, ms.
let ahead = 0;
let heardAt = null;
let isStale = true;
let idleTicks = 0;
let chainAskedAt = 0;
let request = null;
let shownSpan = "";
let shownMessages = "";

const clock = () => Date.now() + ahead;
const asked = () => readAddress({ at: "", msg: "", target: "", text: "" });

openPage({ page: "nodes", exact: false, section: "node" });
const picker = spanPicker(part("span"), { fallback: "1h", changed: () => show() });
const showFigures = createFigures(part("figures"));
const showPresence = createPresence(part("presence"), ({ from, to }) => linkTo(spanParams(from, to), go));
const showCharts = createCharts(part("charts"), {
  zoomed: (from, to) => picker.set(from, to), unzoomed: () => picker.reset(),
  picked: (moment) => go({ at: moment.toISOString() }),
  bands: () => awayParts().map(({ from, to }) => ({ from: from / 1000, to: (to ?? clock()) / 1000 })),
  marks: () => (momentOf() === null ? [] : [momentOf() / 1000]),
});
const status = createStatus(part("status"), { peer, changed: () => showState() });
const loadLosses = createLosses(part("losses"), { peer });
const loadAuthored = createAuthored(part("authored"), { peer, card: part("authored-card"), link: part("to-authored") });
const filters = createFilters(part("filters"), { changed: go, paused: (isPaused) => messages.pause(isPaused), clock });
const messages = createMessages(part("messages"), {
  peer, linkTo: (at) => linkTo({ ...spanParams(...spanMillis()), at }, go), only: (msg) => go({ msg }),
  clearFilters: () => go({ msg: null, target: null, text: null }), explainEmpty, clock,
});

/** The span of time that is shown, by the clock of the server. */
function spanNow() {
  const span = picker.get();
  const shift = span.live ? ahead : 0;
  return { ...span, from: new Date(span.from.getTime() + shift), to: new Date(span.to.getTime() + shift) };
}

const asMillis = ({ from, to }) => ({ from: from.getTime(), to: to.getTime() });
const spanMillis = () => Object.values(asMillis(spanNow()));
const momentOf = () => toDate(asked().at)?.getTime() ?? null;
const awayParts = () => within(story, asMillis(spanNow())).filter(({ kind }) => kind === "away");

/** Changes the address, and shows what it says then. */
function go(changes, { push = true } = {}) {
  writeAddress(changes, { push });
  picker.show();
  show();
}

async function readSessions() {
  const turn = sessionTurns += 1;
  const { body, headers } = await getWithHeaders("api/v1/sessions", { peer_id: peer, limit: SESSIONS_MAX });
  // An answer that comes after that to a later question is older.
  if (turn < sessionTurn) return;
  sessionTurn = turn;
  const told = Date.parse(headers.get("Date")) - Date.now();
  // The header has whole seconds.
  ahead = Math.abs(told) > 2000 ? told : 0;
  sessions = body;
  story = storyOf(sessions);
  showIdentity();
  paint();
}

function showIdentity() {
  const [session] = sessions;
  const name = session.name || hashShort(peer);
  document.title = `${name} · tetcore-analytics`;
  part("name").textContent = name;
  part("facts").replaceChildren(...factCards(session));
}

function showState() {
  const last = story.at(-1);
  const length = age(Math.max(0, clock() - last.from) / 1000);
  const isOnline = last.kind === "online";
  // A connection that is open says little: what is wrong with the node is its status.
  const judged = isOnline ? status.state() : null;
  const isIll = judged && !["online", "late", "down"].includes(judged.state) && judged.since !== null;
  const text = isIll ? `${sentence(stateWords(judged.state))} for ${age(Math.max(0, clock() - judged.since) / 1000)}`
    : isOnline ? `Online for ${length}` : `Offline for ${length}`;
  const place = part("state");
  if (place.textContent === text) return;
  place.className = `chip ${isIll ? stateTone(judged.state) : isOnline ? "good" : "bad"}`;
  place.textContent = text;
  place.title = isIll ? stateMeaning(judged.state) : isOnline ? "" : awayWords(last);
}

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** Shows what the address says; requests only what changed. */
async function show() {
  const span = spanNow();
  const wanted = asked();
  const moment = momentOf();
  if (wanted.at && (moment === null || moment < span.from || moment > span.to)) {
    writeAddress({ at: null });
    show();
    return;
  }
  filters.show(wanted);
  showMoment(wanted.at);
  const spanName = span.live ? span.name : `${span.from.getTime()} ${span.to.getTime()}`;
  const messagesName = JSON.stringify([spanName, wanted]);
  if (messagesName !== shownMessages) {
    const { at, msg, target, text } = wanted;
    messages.load({ from: span.from, to: span.to, isLive: span.live, at, filters: { msg, target, text } });
  }
  shownMessages = messagesName;
  filters.setLive(span.live && !wanted.at);
  if (spanName !== shownSpan) {
    shownSpan = spanName;
    status.load(span.from, span.to, span.live);
    loadLosses(span.from, span.to);
    loadAuthored(span.from, span.to);
    await readSeries();
  } else paint();
}

async function readSeries() {
  request?.abort();
  request = new AbortController();
  const { signal } = request;
  const { from, to, live } = spanNow();
  const times = { peer_id: peer, start_time: from.toISOString(), end_time: live ? null : to.toISOString() };
  part("charts").setAttribute("aria-busy", "true");
  filters.load(times, signal).then((kinds) => showLinks(PAGES, kinds, peer));
  try {
    const answer = await get("api/v1/series", { ...times, points: POINTS }, { signal });
    // Another one, so that what is drawn meanwhile stays whole.
    series = new Series();
    series.load(answer);
    chainAskedAt = Date.now();
    showProblem(null);
    paint();
  } catch (error) {
    if (!isAbort(error)) showProblem(error);
  } finally {
    if (!signal.aborted) part("charts").removeAttribute("aria-busy");
  }
}

/** Reads the last buckets again: the chain grows also where this node reports nothing. */
async function readChain() {
  const { step } = series;
  if (document.hidden || Date.now() - chainAskedAt < Math.max(CHAIN_MS, step * 1000)) return;
  chainAskedAt = Date.now();
  const start = (Math.floor(clock() / 1000 / step) - 2) * step * 1000;
  const times = { start_time: new Date(start).toISOString(), end_time: new Date(start + 3 * step * 1000).toISOString() };
  try {
    const answer = await get("api/v1/series", { peer_id: peer, ...times, points: 3 }, { signal: request.signal, tries: 1 });
    if (series.merge(answer)) isStale = true;
  } catch {
    // The next one may succeed; the state of the connection is shown in the header.
  }
}

function showProblem(error) {
  part("problem").replaceChildren();
  if (error) showError(part("problem"), error, () => readSeries());
}

function showMoment(at) {
  const place = part("moment");
  place.hidden = !at;
  if (!at) return;
  place.replaceChildren(h("span", {}, "Viewing ", timeElement(at, { millis: true })),
    h("button", { type: "button", onclick: () => go({ at: null }) }, "Back to live"));
}

/** Brings charts, figures and times up to date. */
function paint() {
  isStale = false;
  idleTicks = 0;
  if (story.length === 0) return;
  const span = spanNow();
  const [times, moment] = [asMillis(span), momentOf()];
  if (span.live) series.forget(times.from);
  const away = awayParts();
  const columns = series.columns(times, (from, to) => away.some((one) => one.from <= from && (one.to ?? Infinity) >= to));
  showCharts(columns, span);
  const at = moment === null ? -1 : columns.times.findLastIndex((time) => time * 1000 <= moment);
  showFigures(columns, at < 0 ? null : at, span.live && moment === null ? heardAt : null, clock());
  showPresence({ story, span: times, now: clock(), at: moment, isCut: sessions.length === SESSIONS_MAX });
  showState();
}

function explainEmpty(place) {
  const last = Date.parse(sessions[0].last_seen_at);
  const seen = linkTo(spanParams(last - AROUND_MS, last + AROUND_MS), go);
  seen.append("Show that time");
  showEmpty(place, "No messages in this time range.", h("p", {}, "Last message ", timeElement(new Date(last)), ". ", seen));
}

/** Reads the sessions until they have what the feed sent: the database may be a moment behind. */
async function refreshSessions({ event, session }) {
  for (let tries = 0; tries < SESSION_TRIES; tries += 1) {
    try {
      await readSessions();
    } catch {
      // Tried again, and at the latest when the connection is back.
    }
    const found = sessions.find(({ id }) => id === session);
    if (found && found.online === (event === "online")) return;
    await pause(1000);
  }
}

/**
 * A node that talks is there, though its sessions do not say so: it came back before the feed did, and its session was
 * stored after they were read.
 */
async function checkPresence() {
  if (isChecking) return;
  isChecking = true;
  for (let tries = 0; tries < CHECK_TRIES && story.at(-1).kind === "away"; tries += 1) {
    await pause(CHECK_MS);
    await readSessions().catch(() => {
      // Tried again.
    });
  }
  isChecking = false;
}

const pause = (millis) => new Promise((resolve) => { setTimeout(resolve, millis); });

function hear(arrived) {
  const { live } = picker.get();
  const last = story.at(-1);
  if (last?.kind === "away" && arrived.some(({ micros }) => micros / 1000 > last.from)) checkPresence();
  for (const { msg, logs, micros } of arrived) {
    heardAt = Math.max(heardAt ?? 0, micros / 1000);
    if (live && series.hear(msg, logs, micros / 1e6)) isStale = true;
  }
  messages.hear(arrived);
  if (live) filters.count(arrived);
}

/** Reads again what the feed does not send. */
function reload() {
  shownSpan = "";
  readSessions().catch(showProblem);
  show();
}

async function start() {
  if (!peer) {
    showEmpty(part("problem"), "Which node?", h("p", {}, h("a", { class: "button", href: "./" }, "Choose one from all nodes")));
    return;
  }
  part("name").textContent = title;
  showLoading(part("problem"), "Loading its sessions…");
  try {
    await readSessions();
  } catch (error) {
    if (error.status !== 404) showError(part("problem"), error, start);
    else showEmpty(part("problem"), "No node with this peer id ever connected.", h("p", {}, hashElement(peer)), h("p", {}, h("a", { class: "button", href: "./" }, "All nodes")));
    return;
  }
  part("problem").replaceChildren();
  for (const id of ["story", "span"]) part(id).hidden = false;
  heardAt = sessions[0].online ? null : Date.parse(sessions[0].last_seen_at);
  const at = momentOf();
  const { from, to } = spanNow();
  if (at !== null && (at < from || at > to)) {
    writeAddress({ ...spanParams(at - AROUND_MS, at + AROUND_MS), span: null, at: asked().at });
    picker.show();
  }
  show();
  listen(peer, new Date(clock() - OVERLAP_MS), { heard: hear, presence: refreshSessions, lagged: () => { shownMessages = ""; reload(); }, returned: reload, problem: showProblem });
  setInterval(() => {
    if (!picker.get().live || document.hidden) return;
    idleTicks += 1;
    if (isStale || idleTicks >= TICKS_IDLE) paint();
    readChain();
  }, TICK_MS);
}

start();
