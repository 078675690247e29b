/*
 * The status of a node: what it is now and since when, its uptime in the span of time, and each change with its reason.
 */
import { get, isAbort } from "./lib/api.js";
import { feed } from "./lib/feed.js";
import { h, timeElement } from "./lib/elements.js";
import { age, count, counted, percent } from "./lib/format.js";
import { showError } from "./lib/states.js";
import { isSilent, stateMeaning, stateTone, stateWords, whyWords } from "./lib/status.js";

const CHANGES_MAX = 200;
// The list begins with so many.
const SHOWN_FIRST = 5;
const EVERY_MS = 30_000;
const CLOCK_OFF_MS = 2000;

const OUTAGES = {
  not_judged: "nobody judged the nodes", projection: "the nodes were built anew", server_away: "its server was away",
  storage: "its server could not store at once",
};

/** Puts the status in `place`. `load(from, to)` reads it for a span (dates; `isLive`: to now); `state()`: `{ state, since }` or null. */
export function createStatus(place, { peer, changed }) {
  let span = null;
  let request = null;
  let timer = 0;
  let isWhole = false;
  let shown = null;

  const read = async () => {
    clearTimeout(timer);
    request?.abort();
    request = new AbortController();
    const { from, to, isLive } = span;
    const params = { start_time: isLive ? new Date(Date.now() - (to - from)).toISOString() : from.toISOString(), end_time: isLive ? null : to.toISOString(), limit: CHANGES_MAX };
    try {
      shown = await get(`api/v1/nodes/${encodeURIComponent(peer)}/status`, params, { signal: request.signal });
      show();
      changed();
    } catch (error) {
      if (isAbort(error)) return;
      if (!shown) showError(place, error, read);
    }
    if (isLive) timer = setTimeout(read, EVERY_MS);
  };

  const show = () => {
    const { state, reason, since, changes } = shown;
    const newest = isWhole ? changes : changes.slice(0, SHOWN_FIRST);
    place.replaceChildren(...[
      h("p", {}, h("span", { class: `chip ${stateTone(state)}`, title: stateMeaning(state) }, stateWords(state)), isSilent(state) ? " since its last message, " : " since ",
        timeElement(since), reason && h("span", { class: "quiet-text" }, ` – ${whyWords(reason)}`)),
      h("p", {}, uptimeWords(shown)),
      isClockOff(shown) && h("p", { class: "warn" }, `Its clock is ${age(Math.abs(shown.clock_ahead_ms) / 1000)} ${shown.clock_ahead_ms > 0 ? "ahead" : "behind"}.`),
      changes.length > 0 && h("ol", { class: "status-list" }, newest.map(change)),
      newest.length < changes.length && h("button", { type: "button", onclick: () => { isWhole = true; show(); } }, `Show all ${counted(changes.length, "change")}`),
      shown.outages.length > 0 && h("ul", { class: "status-list" }, shown.outages.slice(0, SHOWN_FIRST).map(outage)),
    ].filter(Boolean));
  };

  feed.subscribe({ topic: "status" }, {
    data({ status }) {
      if (!span?.isLive || !status.some((one) => one.peer_id === peer)) return;
      clearTimeout(timer);
      timer = setTimeout(read, 200);
    },
  });

  return {
    load(from, to, isLive) {
      span = { from, to, isLive };
      read();
    },
    state: () => shown && { state: shown.state, since: Date.parse(shown.since), reason: shown.reason },
  };
}

/** Further off than messages take on their way. */
const isClockOff = ({ clock_ahead_ms: ahead }) => ahead !== null && Math.abs(ahead) > CLOCK_OFF_MS;

function uptimeWords({ uptime, down_s: down, own_outage_s: own, judged_s: judged }) {
  if (uptime === null || !judged) return "Not judged in this time range.";
  const ours = own > 0 ? ` Left out: ${age(own)} of outages of our own.` : "";
  const lost = down > 0 ? `, down for ${age(down)}` : "";
  return `Up ${percent(Math.floor(uptime * 10_000) / 10_000)} of ${age(judged)}${lost}.${ours}`;
}

function change({ changed_at: at, since, from_state: from, to_state: to, reason, part_of: part }) {
  return h("li", { class: stateTone(to) }, timeElement(at), " ", from && `${stateWords(from)} → `, h("strong", {}, stateWords(to)),
    h("span", { class: "quiet-text" }, ` – ${whyWords(reason)}${part ? ", as most of its chain" : ""}`),
    isSilent(to) && h("span", { class: "quiet-text" }, ", last message ", timeElement(since)));
}

function outage({ start_time: start, end_time: end, cause }) {
  return h("li", {}, "Outage of our own: ", OUTAGES[cause] ?? cause, ", ", timeElement(start), " to ", end ? timeElement(end) : "now");
}

/**
 * Puts in `place` how much telemetry arrived of what was due, hour by hour, and what of it this server lost itself.
 * Returns `load(from, to)`.
 */
export function createLosses(place, { peer }) {
  let request = null;
  return async (from, to) => {
    request?.abort();
    request = new AbortController();
    try {
      const found = await get(`api/v1/nodes/${encodeURIComponent(peer)}/telemetry`, { start_time: from.toISOString(), end_time: to.toISOString() }, { signal: request.signal });
      showLosses(place, found);
    } catch (error) {
      showError(place, error, () => {});
    }
  };
}

function showLosses(place, { expected, received, missing, not_kept: notKept, hours }) {
  if (expected === 0) {
    place.replaceChildren(h("p", { class: "quiet-text" }, "No whole hours in this time range yet."));
    return;
  }
  const worst = hours.filter((hour) => hour.missing > 0 || hour.not_kept > 0).toSorted((a, b) => b.missing - a.missing).slice(0, SHOWN_FIRST);
  place.replaceChildren(...[
    h("p", {}, `${count(received)} of ${count(expected)} reports arrived that were due in the whole hours of this time range (system.interval, two each 5 s while connected). `,
      missing === 0 ? "None is missing." : h("strong", { class: "warn" }, `${count(missing)} were not sent.`)),
    h("p", {}, notKept === 0 ? "The servers that it was connected to kept all messages." : h("strong", { class: "bad" }, `The servers that it was connected to did not keep ${counted(notKept, "message")} of all nodes.`)),
    worst.length > 0 && h("ol", { class: "status-list" }, worst.map((hour) => h("li", {}, timeElement(hour.hour), ` ${count(hour.received)} of ${count(hour.expected)} reports`,
      hour.not_kept > 0 && `, ${counted(hour.not_kept, "message")} of all nodes not kept`))),
  ].filter(Boolean));
}
