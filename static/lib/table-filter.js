/*
 * The filters of columns, as people type them. Pure.
 * Texts: `abc` contains, `!abc` contains not, `=abc` is exactly, `-` is not known, `!-` is known; case does not matter.
 * Numbers: also `> 5`, `<= 2GiB`, `5..10`, `= 7`, `30s` in columns of time. Choices: the value.
 */
import { readAmount } from "./format.js";

/** A function that decides whether a row passes; null if the text is empty; none passes what is no filter. */
export function compileFilter(column, text) {
  const asked = text.trim();
  if (asked === "") return null;
  if (column.passes) return (row) => column.passes(row, asked);
  if (Array.isArray(column.filter)) return (row) => String(column.value(row)) === asked;
  if (asked === "-" || asked === "!-") {
    return (row) => isMissing(column.value(row)) === (asked === "-");
  }
  return column.filter === "number" ? compileNumber(column, asked) : compileText(column, asked);
}

/** What is wrong with the text of a filter, to be shown; "" if nothing. */
export function faultOfFilter(column, text) {
  if (Array.isArray(column.filter)) {
    const choices = column.filter.map(([value]) => value);
    return text.trim() === "" || choices.includes(text.trim()) ? "" : `Not understood. It can be ${choices.join(", ")}`;
  }
  const wrong = column.filter === "number" && compileFilter(column, text) === never;
  return wrong ? "Not understood. Examples: > 5, <= 2k, 5..10, = 7, - (not known)" : "";
}

/** The text of a filter, as people read it. */
export function wordsOfFilter(column, text) {
  const choice = Array.isArray(column.filter) && column.filter.find(([value]) => value === text.trim());
  return choice ? choice[1] : text.trim();
}

const isMissing = (value) => value === null || value === undefined || value === "";
const never = () => false;

function compileText(column, asked) {
  const isNegated = asked.startsWith("!");
  const isExact = asked.startsWith("=");
  const wanted = asked.slice(isNegated || isExact ? 1 : 0).trim().toLowerCase();
  const textOf = (row) => String(column.value(row) ?? "").toLowerCase();
  if (isExact) return (row) => textOf(row) === wanted;
  return (row) => textOf(row).includes(wanted) !== isNegated;
}

function compileNumber(column, asked) {
  const amount = (text) => readAmount(text, column.second ?? null);
  const range = asked.split("..");
  if (range.length === 2) {
    const [low, high] = range.map(amount);
    return low === null || high === null ? never : between(column, low, high);
  }
  const [, sign, rest] = /^(>=|<=|>|<|=|!)?(.*)$/.exec(asked);
  const limit = amount(rest);
  if (limit === null) return never;
  const tests = {
    ">": (value) => value > limit, ">=": (value) => value >= limit, "<": (value) => value < limit,
    "<=": (value) => value <= limit, "!": (value) => value !== limit,
  };
  const test = tests[sign] ?? ((value) => value === limit);
  return (row) => {
    const value = column.value(row);
    return !isMissing(value) && test(Number(value));
  };
}

function between(column, low, high) {
  return (row) => {
    const value = column.value(row);
    return !isMissing(value) && value >= low && value <= high;
  };
}
