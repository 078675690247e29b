/*
 * How reputations are written and coloured, and what peers are called.
 */
import { get } from "./lib/api.js";
import { brief, count, hashShort, MISSING } from "./lib/format.js";

// Names of so many nodes are known, those that came last; others are shown by their ids.
const NAMES_MAX = 2000;
const EXACT_MAX = 10_000;
const SCALES = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];

// Reputations go to ±2^31, most by small steps: a node is banned near the lower end, a useful answer earns some ten.
const BANDS = [[-1_000_000, "rep-n4"], [-10_000, "rep-n3"], [-100, "rep-n2"], [0, "rep-n1"]];

/** A reputation, exact up to 9 999, else with three digits: −2.15 G. */
export function reputation(value) {
  if (value === null || value === undefined) return MISSING;
  const scale = Math.abs(value) < EXACT_MAX ? null : SCALES.find(([size]) => Math.abs(value) >= size);
  return scale ? `${brief(value / scale[0])}\u202f${scale[1]}` : count(value);
}

/** The class of its colour: red for bad, blue for good, the stronger the further from 0. */
export function band(value) {
  if (value === null || value === undefined) return "";
  const bad = BANDS.find(([below]) => value < below);
  if (bad) return bad[1];
  if (value === 0) return "rep-0";
  return value < 100 ? "rep-p1" : value < 10_000 ? "rep-p2" : "rep-p3";
}

/** "connected", "not connected", or that it is not reported. */
export function connection(isConnected) {
  if (isConnected === null || isConnected === undefined) return "connection unknown";
  return isConnected ? "connected" : "not connected";
}

/** The names of nodes that connected to this server. */
export class Names {
  #names = new Map();

  /** Reads them again. */
  async read() {
    const nodes = await get("nodes", { limit: NAMES_MAX });
    this.#names = new Map(nodes.map((node) => [node.peer_id, node.name]));
  }

  /** Whether the peer ever connected to this server, as far as is known. */
  isKnown(peer) {
    return this.#names.has(peer);
  }

  /** What a peer is called; its id, shortened, if it has no name. */
  of(peer) {
    return this.#names.get(peer) || hashShort(peer);
  }

  /** Peers that fit what is typed, `[peer, name]`. */
  find(typed, peers, limit) {
    const wanted = typed.trim().toLowerCase();
    const found = [];
    for (const peer of peers) {
      if (!wanted || peer.toLowerCase().includes(wanted) || this.of(peer).toLowerCase().includes(wanted)) found.push([peer, this.of(peer)]);
      if (found.length === limit) break;
    }
    return found;
  }
}
