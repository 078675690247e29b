/*
 * Rows as CSV (RFC 4180), JSON, and text with tabs to paste: the shown rows in their order, the shown columns by their field names, values as the
 * server gave them rather than as they are displayed.
 */
import { copyText, download, h, menu, say } from "./elements.js";
import { count } from "./format.js";

/** A menu to save or copy what `shown()` gives: `{ rows, columns }`. */
export function exportMenu(noun, shown) {
  const save = (text, type, extension, write) => h("button", {
    type: "button", class: "quiet",
    onclick: () => {
      const { rows, columns } = shown();
      download(`${noun[1].replaceAll(" ", "-")}.${extension}`, type, write(rows, columns));
      element.open = false;
      say(`${count(rows.length)} ${noun[rows.length === 1 ? 0 : 1]} with ${columns.length} columns saved.`);
    },
  }, text);
  const copy = h("button", {
    type: "button", class: "quiet",
    onclick: () => {
      const { rows, columns } = shown();
      element.open = false;
      copyText(toTabs(rows, columns), `${count(rows.length)} ${noun[rows.length === 1 ? 0 : 1]} with ${columns.length} columns copied.`);
    },
  }, "Copy shown rows");
  const element = menu("Export", copy, save("Shown rows as CSV", "text/csv", "csv", toCsv),
    save("Shown rows as JSON", "application/json", "json", toJson));
  return element;
}

/** CSV with a line of field names. */
export function toCsv(rows, columns) {
  const lines = [columns.map((column) => cell(column.field))];
  for (const row of rows) lines.push(columns.map((column) => cell(column.exported(row))));
  return lines.map((line) => `${line.join(",")}\r\n`).join("");
}

/** Lines with tabs between the fields, the first with their names: what spreadsheets take from the clipboard. */
export function toTabs(rows, columns) {
  const lines = [columns.map(({ field }) => field), ...rows.map((row) => columns.map((column) => plain(column.exported(row)).replace(/[\t\r\n]+/g, " ")))];
  return lines.map((line) => `${line.join("\t")}\n`).join("");
}

/** An array of objects. */
export function toJson(rows, columns) {
  const objects = rows.map((row) => Object.fromEntries(columns.map((column) => [column.field, column.exported(row) ?? null])));
  return `${JSON.stringify(objects, null, 2)}\n`;
}

const PLAIN_NUMBER = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/**
 * A value as text. Spreadsheets run texts that begin like formulas, and nodes choose their texts: those get an
 * apostrophe in front.
 */
function plain(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return /^[=+\-@\t\r]/.test(text) && !PLAIN_NUMBER.test(text) ? `'${text}` : text;
}

/** A field of CSV. */
function cell(value) {
  const text = plain(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
