/*
 * What is wrong with nodes, and where their chains are. Pure: rows and times in, words and numbers out.
 */
import { isSilent, STATE_NAMES } from "./lib/status.js";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** A clock that is further off is told; messages take far less time on their way. */
export const CLOCK_OFF_MS = 2000;
// A node that falls silent so often within an hour flaps.
const FLAPS = 4;
// No chain has higher blocks; who claims one is left out.
const HEIGHT_MAX = 0xffff_ffff;

/** Kinds of trouble, the worst first, each with the words of a count. */
export const TROUBLES = {
  conflict: (number) => `${number} in conflict`,
  offline: (number) => `${number} offline`,
  missing: (number) => `${number} missing`,
  telemetry_lost: (number) => `${number} with telemetry lost`,
  stalled: (number) => `${number} stalled`,
  lagging: (number) => `${number} behind in finality`,
  late: (number) => `${number} late`,
  flapping: (number) => `${number} flapping`,
  clock: (number) => `${number} ${number === "1" ? "clock" : "clocks"} off`,
  syncing: (number) => `${number} syncing`,
};

/** What each filter of trouble is called. */
export const TROUBLE_CHOICES = [
  ["any", "needs attention"], ["conflict", "conflict"], ["offline", "offline"], ["missing", "missing"],
  ["telemetry_lost", "telemetry lost"], ["stalled", "stalled"], ["lagging", "behind in finality"], ["late", "late"],
  ["flapping", "flapping"], ["clock", "clock off"], ["syncing", "syncing"],
];

/** The state of a node; one that was never judged is what its connection is. Null while nothing is known. */
export function stateOf(row) {
  if (row.state) return row.state;
  return row.isListed ? (row.online ? "online" : "offline") : null;
}

/** Since when it is so, Unix ms; of a silent node its last message. Null if that is not known. */
export function sinceOf(row) {
  const since = Date.parse(row.state_since ?? (row.online ? row.connected_at : row.disconnected_at) ?? "");
  return Number.isNaN(since) ? null : since;
}

/** Whether it left more than a day ago. */
export function isGone(row, now) {
  if (row.online || (row.state && row.state !== "offline")) return false;
  const since = sinceOf(row);
  return since !== null && now - since > DAY_MS;
}

/** What is wrong with a node: names of TROUBLES. */
export function troublesOf(row, now) {
  const troubles = [];
  const state = stateOf(row);
  if (state in TROUBLES && !isGone(row, now)) troubles.push(state);
  if (isClockOff(row)) troubles.push("clock");
  if (row.falls >= FLAPS) troubles.push("flapping");
  return troubles;
}

/** Whether the clock of a connected node is off. */
export const isClockOff = (row) => Boolean(row.online) && Math.abs(row.clock_ahead_ms ?? 0) > CLOCK_OFF_MS;

/** Whether a node has the trouble that a filter names. */
export function hasTrouble(row, asked, now) {
  const troubles = troublesOf(row, now);
  return asked === "any" ? troubles.some((one) => one !== "syncing") : troubles.includes(asked);
}

const RANKS = [...Object.keys(TROUBLES), "online", "down"];
const NAMED_LAST = RANKS.length;

/** The place of a node in the order of trouble: the worst first, those that left long ago last. */
export function rankOf(row, now) {
  if (isGone(row, now)) return NAMED_LAST;
  const ranks = troublesOf(row, now).map((name) => RANKS.indexOf(name));
  return Math.min(...ranks, RANKS.indexOf(stateOf(row) === "down" ? "down" : "online"));
}

/** How many nodes have which trouble: `[[name, number]]`, the worst first; those that none has are left out. */
export function countTroubles(rows, now) {
  const counts = new Map(Object.keys(TROUBLES).map((name) => [name, 0]));
  for (const row of rows) {
    for (const trouble of troublesOf(row, now)) counts.set(trouble, counts.get(trouble) + 1);
  }
  return [...counts].filter(([, number]) => number > 0);
}

/**
 * Where the chains are: the best block that a fair part of the nodes of each has, the one after a quarter of them and
 * never the topmost of several, so that one node which claims a height of its own moves nothing.
 */
export function bestsOf(rows, chainOf) {
  const heights = new Map();
  for (const row of rows) {
    const { height } = row;
    if (!row.online || !(height >= 0 && height <= HEIGHT_MAX)) continue;
    const chain = chainOf(row);
    if (!heights.has(chain)) heights.set(chain, []);
    heights.get(chain).push(height);
  }
  const bests = new Map();
  for (const [chain, all] of heights) {
    all.sort((a, b) => b - a);
    bests.set(chain, all[all.length < 3 ? 0 : Math.max(1, Math.floor(all.length / 4))]);
  }
  return bests;
}

/** How often each node fell silent within the last hour, by the changes of status. */
export class Falls {
  #times = new Map();

  /** Takes over changes; returns the peers of those that are about nodes. */
  hear(changes) {
    for (const { subject, peer_id: peer, from_state: from, to_state: to, changed_at: at } of changes) {
      if (subject !== "node" || !isSilent(to) || isSilent(from)) continue;
      if (!this.#times.has(peer)) this.#times.set(peer, []);
      this.#times.get(peer).push(Date.parse(at));
    }
  }

  /** `[[peer, number]]` of all that fell silent; those that did not for an hour have 0, once. */
  counts(now) {
    const counts = [];
    for (const [peer, times] of this.#times) {
      const recent = times.filter((time) => now - time < HOUR_MS);
      counts.push([peer, recent.length]);
      if (recent.length > 0) this.#times.set(peer, recent);
      else this.#times.delete(peer);
    }
    return counts;
  }
}

/** The choices of the filter of states. */
export const stateChoices = (words) => STATE_NAMES.map((name) => [name, words(name)]);
