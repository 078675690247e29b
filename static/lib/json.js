/*
 * JSON as nodes send it: read to the digit, written as text, and shown as a tree whose branches fold.
 */
import { copyText, h } from "./elements.js";

// Numbers of JavaScript are exact up to 2^53; what is longer may not be.
const LONG_NUMBER = /\d{16}/;
const PLAIN_INTEGER = /^-?\d+$/;
// Branches deeper or wider than this are folded at first.
const OPEN_DEPTH = 2;
const OPEN_CHILDREN = 25;

/** As JSON.parse, but integers beyond 2^53 become BigInt, where the browser tells their digits. */
export function parseExact(text) {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) => {
    const isInexact = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isInexact && PLAIN_INTEGER.test(context?.source ?? "") ? BigInt(context.source) : value;
  });
}

/**
 * As text: on one line with spaces after `:` and `,`; `isPretty` on several; `isSorted` with the keys in the order in
 * which PostgreSQL keeps them (shorter ones first), so that it is the text that the server searches.
 */
export function jsonText(value, { isPretty = false, isSorted = false } = {}, margin = "\n") {
  if (value === null || typeof value !== "object") return typeof value === "bigint" ? String(value) : JSON.stringify(value) ?? "null";
  const inner = `${margin}  `;
  const deeper = (child) => jsonText(child, { isPretty, isSorted }, inner);
  const isList = Array.isArray(value);
  const keys = isList ? null : Object.keys(value);
  if (isSorted) keys?.sort(compareKeys);
  const parts = isList ? value.map(deeper) : keys.map((key) => `${JSON.stringify(key)}: ${deeper(value[key])}`);
  const [open, close] = isList ? "[]" : "{}";
  if (!isPretty || parts.length === 0) return `${open}${parts.join(", ")}${close}`;
  return `${open}${inner}${parts.join(`,${inner}`)}${margin}${close}`;
}

const lengthOf = (key) => new TextEncoder().encode(key).length;

function compareKeys(a, b) {
  return lengthOf(a) - lengthOf(b) || (a < b ? -1 : 1);
}

/** An element that shows a value, with a button to copy it; `buttons`: more beside it. */
export function jsonView(value, buttons = []) {
  const copy = h("button", { type: "button", onclick: () => copyText(jsonText(value, { isPretty: true })) }, "Copy JSON");
  const content = isBranch(value) && sizeOf(value) > 0 ? children(value, 1) : leaf(value);
  return h("div", { class: "json" }, h("div", { class: "bar" }, copy, buttons), content);
}

const isBranch = (value) => value !== null && typeof value === "object";
const sizeOf = (value) => (Array.isArray(value) ? value.length : Object.keys(value).length);

function children(value, depth) {
  return h("ul", {}, Object.entries(value).map(([key, child]) => h("li", {}, entry(key, child, depth))));
}

function entry(key, value, depth) {
  const name = h("span", { class: "json-key" }, key === "" ? '""' : key);
  if (!isBranch(value) || sizeOf(value) === 0) return [name, ": ", leaf(value)];
  const size = sizeOf(value);
  const [one, open, close] = Array.isArray(value) ? ["item", "[", "]"] : ["field", "{", "}"];
  const told = h("span", { class: "json-size" }, `${open} ${size} ${one}${size === 1 ? "" : "s"} ${close}`);
  const branch = h("details", { open: depth < OPEN_DEPTH && size <= OPEN_CHILDREN }, h("summary", {}, name, " ", told));
  // What is folded is built when it is opened.
  const build = () => {
    if (branch.open && branch.childElementCount === 1) branch.append(children(value, depth + 1));
  };
  branch.addEventListener("toggle", build);
  build();
  return [branch];
}

function leaf(value) {
  const kind = value === null ? "null" : typeof value === "bigint" ? "number" : typeof value;
  return h("span", { class: `json-${isBranch(value) ? "null" : kind}` }, jsonText(value));
}
