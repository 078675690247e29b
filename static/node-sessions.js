/*
 * The times at which a node was here and away, from its sessions. Pure.
 */
import { counted } from "./lib/format.js";
import { reasonWords } from "./lib/reasons.js";

const millisOf = (text) => (text ? Date.parse(text) : null);

/** When a session ended, Unix ms; null while it is open. */
export function endOf(session) {
  return session.online ? null : millisOf(session.disconnected_at) ?? millisOf(session.last_seen_at);
}

/**
 * The story of a node, oldest first: `{ kind: "online", from, to, session, before }` and
 * `{ kind: "away", from, to, ended, began }` (Unix ms; `to` is null while it lasts). `before` is the session before,
 * `ended` the one after which it was away, `began` the one with which it came back, or null. Sessions may overlap, as
 * when a node connects anew before the server notices that the old connection is dead: then it was not away.
 */
export function storyOf(sessions) {
  const sorted = [...sessions].sort((a, b) => millisOf(a.created_at) - millisOf(b.created_at) || a.id - b.id);
  const story = [];
  let last = null;
  let covered = -Infinity;
  for (const session of sorted) {
    const from = millisOf(session.created_at);
    const to = endOf(session);
    if (last && covered < from) story.push({ kind: "away", from: covered, to: from, ended: last, began: session });
    story.push({ kind: "online", from, to, session, before: story.findLast((one) => one.session)?.session ?? null });
    if ((to ?? Infinity) >= covered) {
      covered = to ?? Infinity;
      last = session;
    }
  }
  if (last && covered < Infinity) story.push({ kind: "away", from: covered, to: null, ended: last, began: null });
  return story;
}

/** What of a story lies within a span (Unix ms). */
export function within(story, { from, to }) {
  return story.filter((one) => one.from < to && (one.to ?? Infinity) > from);
}

/**
 * Sums over a span up to `now` (Unix ms): `{ known, away, times, longest }`, ms and how often away. Before the first
 * session nothing is known.
 */
export function sumsOf(story, { from, to }, now) {
  const start = Math.max(from, story[0]?.from ?? Infinity);
  const end = Math.min(to, now);
  const sums = { known: Math.max(0, end - start), away: 0, times: 0, longest: 0 };
  for (const one of within(story, { from: start, to: end })) {
    if (one.kind !== "away") continue;
    const length = Math.min(one.to ?? end, end) - Math.max(one.from, start);
    sums.away += length;
    sums.times += 1;
    sums.longest = Math.max(sums.longest, length);
  }
  return sums;
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** Why a node was away, and how it came back, in sentences. */
export function awayWords({ ended, began }) {
  const words = [sentence(reasonWords(ended.disconnect_reason))];
  if (!began) return words[0];
  if (ended.startup_time !== null && began.startup_time !== null) {
    words.push(ended.startup_time === began.startup_time
      ? "Its process kept running meanwhile."
      : "It came back as a new process.");
  }
  return [...words, ...changes(ended, began)].join(" ");
}

const FACTS = [["version", "version"], ["name", "name"], ["chain", "chain"], ["ip_addr", "address"]];

/** What changed in the facts of a node from one session to the next, in sentences. */
function changes(before, after) {
  const told = FACTS.filter(([field]) => before[field] !== null && after[field] !== null && before[field] !== after[field])
    .map(([field, word]) => `Its ${word} changed from ${before[field]} to ${after[field]}.`);
  if (before.authority !== null && after.authority !== null && before.authority !== after.authority) {
    told.push(after.authority ? "It became a validator." : "It is no longer a validator.");
  }
  return told;
}

/** "offline 2 times" */
export const timesAway = (times) => (times === 1 ? "offline once" : `offline ${counted(times, "time")}`);
