/*
 * The status of nodes in words, and the tone of each; docs/STATUS.md says what they mean. Pure.
 */
import { reasonWords } from "./reasons.js";

// The worst first: the order in which trouble is listed.
const STATES = {
  conflict: ["conflict", "bad", "Two processes use its peer id at once."],
  offline: ["offline", "bad", "Silent for long, since its last message."],
  missing: ["missing", "bad", "Silent: several heartbeats are missed."],
  telemetry_lost: ["telemetry lost", "warn", "Silent since most nodes of its chain fell silent at once."],
  stalled: ["stalled", "bad", "It sends messages, but its best block stands while that of its chain moves."],
  lagging: ["finality lags", "warn", "Its finalized block is far behind that of its chain."],
  late: ["late", "warn", "Silent: one heartbeat is missed."],
  syncing: ["syncing", "warn", "Far behind its chain, and catching up."],
  online: ["online", "good", "Messages arrive, and nothing is wrong with them."],
  down: ["maintenance", "", "Out of service on purpose."],
};

/** All states, the worst first. */
export const STATE_NAMES = Object.keys(STATES);

/** "finality lags". */
export const stateWords = (state) => STATES[state]?.[0] ?? state?.replaceAll("_", " ") ?? "";

/** "good", "warn", "bad" or nothing. */
export const stateTone = (state) => STATES[state]?.[1] ?? "";

/** What a state means, as a sentence. */
export const stateMeaning = (state) => STATES[state]?.[2] ?? "";

/** Whether no messages arrive: such a node is so since its last message. */
export const isSilent = (state) => ["offline", "missing", "telemetry_lost", "late"].includes(state);

const REASONS = {
  first_seen: "seen for the first time",
  recovered: "messages arrive again",
  silent: "no message over a connection that is open",
  disconnected: "its end closed the connection: it stopped, or was killed",
  connection_lost: "its connection broke",
  server_lost: "the server that it was connected to is gone",
  best_block_stands: "its best block stands while that of its chain moves",
  finality_behind: "its finalized block is far behind that of its chain",
  catching_up: "far behind its chain, and catching up",
  two_machines: "two processes use its peer id",
  telemetry_lost: "most nodes of its chain fell silent at once",
  announced: "announced by the service",
};

/** Why a state changed, in words. */
export const whyWords = (reason) => (reason ? REASONS[reason] ?? reasonWords(reason) : "");
