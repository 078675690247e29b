/*
 * A message of a node: what identifies it, and how it looks in a list.
 */
import { h } from "./lib/elements.js";
import { hashShort, timeLocal, timeUtc } from "./lib/format.js";
import { jsonText, jsonView } from "./lib/json.js";

const LONG_HASH = /^0x[0-9a-f]{20,}$/i;
const BRIEF_TEXT_MAX = 80;

/** Microseconds since 1970 of a time of the server, which Dates would cut to milliseconds. */
export function micros(text) {
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  return Math.floor(Date.parse(text) / 1000) * 1_000_000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

/** The time that is so many microseconds since 1970, as the server takes it. */
export function timeOfMicros(value) {
  const seconds = Math.floor(value / 1_000_000);
  return new Date(seconds * 1000).toISOString().replace(/\.\d+Z/, `.${String(value - seconds * 1_000_000).padStart(6, "0")}Z`);
}

/** What is kept of a message: `{ key, micros, createdAt, msg, logs }`. Two ways to the same message give the same key. */
export function toMessage(msg, createdAt, logs) {
  const at = micros(createdAt);
  return { key: `${at} ${msg} ${jsonText(logs, { isSorted: true })}`, micros: at, createdAt, msg, logs };
}

/** Whether a message passes filters, by the rules of the server: `{ msg, target, text }`, "" for all. */
export function passes(message, { msg, target, text }) {
  if (msg && message.msg !== msg) return false;
  if (target && message.logs.target !== target) return false;
  return !text || lower(jsonText(message.logs, { isSorted: true })).includes(lower(text));
}

// As the server: only the letters A to Z.
const lower = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

/** The fields of a message on one line. */
export function briefOf(logs) {
  return Object.entries(logs).map(([name, value]) => `${name} ${briefValue(value)}`.trim()).join(" · ");
}

function briefValue(value) {
  if (Array.isArray(value)) return `[${value.length}]`;
  if (value !== null && typeof value === "object") return `{${Object.keys(value).length}}`;
  if (typeof value !== "string") return String(value);
  if (LONG_HASH.test(value)) return hashShort(value);
  return value.length > BRIEF_TEXT_MAX ? `${value.slice(0, BRIEF_TEXT_MAX)}…` : value;
}

/**
 * An <li>; `link`: an <a> to the moment of the message; `isMoment`: it is the one that was asked for;
 * `only(msg)`: shows only messages of its kind.
 */
export function messageItem(message, { link, isMoment, only }) {
  const { createdAt, msg, logs } = message;
  const time = timeLocal(createdAt, true);
  const [day, clock] = time.split(" ");
  link.append(h("time", { datetime: createdAt, title: timeUtc(createdAt) }, h("span", { class: "message-day" }, `${day} `), clock));
  link.setAttribute("aria-label", `Link to ${time}, ${msg}`);
  const details = h("details", {}, h("summary", {},
    h("span", { class: "message-kind" }, msg), " ", h("span", { class: "message-brief" }, briefOf(logs))));
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    details.append(jsonView(logs, [h("button", { type: "button", onclick: () => only(msg) }, `Only ${msg}`)]));
  });
  return h("li", { class: "message", "aria-current": isMoment ? "true" : null }, link, details);
}
