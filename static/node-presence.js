/*
 * When a node was here and away: a bar over the span of time, and the same in words.
 */
import { h, timeElement } from "./lib/elements.js";
import { age, percent, timeLocal } from "./lib/format.js";
import { factList } from "./node-facts.js";
import { awayWords, sumsOf, timesAway, within } from "./node-sessions.js";

// Nodes that connect anew all the time have thousands of sessions: the list begins with so many.
const ITEMS_MAX = 5;
// What is shorter could not be seen, or aimed at.
const PERCENT_MIN = 0.35;

const duration = (millis) => age(millis / 1000);

/**
 * Puts bar and list in `place`. `linkTo({ from, to })` gives an <a> to a span (Unix ms).
 * Returns `show({ story, span, now, at, isCut })`; `span` as Unix ms; `isCut`: there are older sessions.
 */
export function createPresence(place, linkTo) {
  const sums = h("p", { class: "presence-sums" });
  const bar = h("div", { class: "presence-bar", role: "img" });
  const ends = h("div", { class: "presence-ends" });
  const list = h("ol", { class: "presence-list" });
  const more = h("button", { type: "button", onclick: () => { isWhole = true; show(shown); } });
  place.replaceChildren(sums, bar, ends, list, more);
  let isWhole = false;
  let shown = null;
  let listed = "";

  const show = (state) => {
    shown = state;
    const { story, span, now, at, isCut } = state;
    const parts = within(story, span);
    const told = sumsWords(story, span, now);
    if (sums.textContent !== told) sums.textContent = told;
    bar.setAttribute("aria-label", told);
    bar.replaceChildren(...parts.map((part) => segment(part, span, now)), ...marks(at, span));
    ends.replaceChildren(timeElement(new Date(span.from)), timeElement(new Date(span.to)));
    // The list is made anew only if it says something else, which keeps its scroll position.
    const name = JSON.stringify([parts.map(({ kind, from, to }) => [kind, from, to]), isWhole, isCut]);
    if (name === listed) return;
    listed = name;
    const newest = parts.toReversed();
    list.replaceChildren(...newest.slice(0, isWhole ? Infinity : ITEMS_MAX).map((part) => item(part, linkTo)),
      ...(isCut ? [h("li", { class: "quiet-text" }, "Older sessions are not shown.")] : []));
    more.hidden = isWhole || newest.length <= ITEMS_MAX;
    more.textContent = `Show all ${newest.length}`;
  };
  return show;
}

function sumsWords(story, span, now) {
  const { known, away, times, longest } = sumsOf(story, span, now);
  if (known <= 0) return story.length === 0 || story[0].from >= span.to ? "Not connected yet." : "No data for this time range.";
  const share = percent(Math.floor((1 - away / known) * 1000) / 1000);
  const since = story[0].from > span.from ? ` since it first connected, ${timeLocal(story[0].from)}` : "";
  if (times === 0) return `Online all the time${since}.`;
  if (away >= known) return `Offline all the time${since}.`;
  return `Online ${share} of the time${since}: ${timesAway(times)}, ${times === 1 ? `for ${duration(longest)}` : `${duration(away)} in all, ${duration(longest)} at most`}.`;
}

function segment(part, span, now) {
  const from = Math.max(part.from, span.from);
  const to = Math.min(part.to ?? now, span.to);
  const length = span.to - span.from;
  const share = ((to - from) / length) * 100;
  const element = h("span", { class: part.kind, title: `${part.kind === "away" ? "Offline" : "Online"} for ${duration((part.to ?? now) - part.from)}: ${timeLocal(part.from)} to ${part.to ? timeLocal(part.to) : "now"}` });
  element.style.left = `${((from - span.from) / length) * 100}%`;
  element.style.width = `${part.kind === "away" ? Math.max(share, PERCENT_MIN) : share}%`;
  return element;
}

function marks(at, span) {
  if (at === null || at < span.from || at > span.to) return [];
  const mark = h("span", { class: "moment" });
  mark.style.left = `${((at - span.from) / (span.to - span.from)) * 100}%`;
  return [mark];
}

function item(part, linkTo) {
  const { kind, from, to } = part;
  const isAway = kind === "away";
  const length = to === null ? null : duration(to - from);
  const what = isAway ? (length ? `Offline for ${length}` : "Offline") : length ? `Online for ${length}` : "Online";
  const times = to === null ? ["since ", timeElement(new Date(from))]
    : [timeElement(new Date(from)), " to ", isSameDay(from, to) ? clockElement(to) : timeElement(new Date(to))];
  const around = linkTo(surroundings(part));
  around.textContent = isAway ? "Messages around the outage" : "Show this time";
  return h("li", { class: kind },
    h("div", { class: "presence-what" }, h("strong", {}, what), h("span", { class: "quiet-text" }, times), around),
    isAway ? h("p", {}, awayWords(part)) : sessionFacts(part));
}

const isSameDay = (one, other) => timeLocal(one).slice(0, 10) === timeLocal(other).slice(0, 10);

function clockElement(millis) {
  const element = timeElement(new Date(millis));
  element.textContent = timeLocal(millis).slice(11);
  return element;
}

function sessionFacts({ session }) {
  const told = [session.version && `version ${session.version}`, session.ip_addr && `from ${session.ip_addr}`].filter(Boolean).join(", ");
  const facts = h("details", {}, h("summary", {}, told || "Facts"));
  facts.addEventListener("toggle", () => {
    if (facts.open && facts.childElementCount === 1) facts.append(factList(session));
  });
  return facts;
}

/** A little before and after, for what led there and what came of it. */
function surroundings({ kind, from, to }) {
  const end = to ?? Date.now();
  const room = kind === "away" ? Math.max(120_000, Math.min(end - from, 3_600_000)) : 30_000;
  return { from: from - room, to: end + (to === null ? 0 : room) };
}
