/*
 * Rows as CSV (RFC 4180) and JSON: the shown rows in their order, the shown columns by their field names, values as the
 * server gave them rather than as they are displayed.
 */
import { download, h, menu, say } from "./elements.js";
import { count } from "./format.js";

/** A menu to save what `shown()` gives: `{ rows, columns }`. */
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
  const element = menu("Export", save("Shown rows as CSV", "text/csv", "csv", toCsv),
    save("Shown rows as JSON", "application/json", "json", toJson));
  return element;
}

/** CSV with a line of field names. */
export function toCsv(rows, columns) {
  const lines = [columns.map((column) => cell(column.field))];
  for (const row of rows) lines.push(columns.map((column) => cell(column.exported(row))));
  return lines.map((line) => `${line.join(",")}\r\n`).join("");
}

/** An array of objects. */
export function toJson(rows, columns) {
  const objects = rows.map((row) => Object.fromEntries(columns.map((column) => [column.field, column.exported(row) ?? null])));
  return `${JSON.stringify(objects, null, 2)}\n`;
}

const PLAIN_NUMBER = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/**
 * A field of CSV. Spreadsheets run texts that begin like formulas, and nodes choose their texts: those get an
 * apostrophe in front.
 */
function cell(value) {
  if (value === null || value === undefined) return "";
  let text = typeof value === "object" ? JSON.stringify(value) : String(value);
  if (/^[=+\-@\t\r]/.test(text) && !PLAIN_NUMBER.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
