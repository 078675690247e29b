/*
 * The rows of a table and which of them are shown, in which order. Knows no DOM. Made for ten thousand rows that change
 * all the time: what is sorted and searched by is kept with each row, and an order that is almost right is cheap to mend.
 */
import { compileFilter } from "./table-filter.js";

/** A row with what is kept for it. `version` grows with each change. */
class Entry {
  version = 0;
  haystack = null;
  sortKey = null;
  texts = new Map();

  constructor(key, row) {
    this.key = key;
    this.row = row;
  }
}

export class TableModel {
  /** What is shown, in order: pinned rows first. */
  view = [];
  pinnedCount = 0;
  /** Whether `refresh` would change more than single cells; whether any row changed since the last `refresh`. */
  isStale = false;
  isChanged = false;
  sort = { field: null, descending: false };
  search = "";
  filters = new Map();
  pins;

  #key;
  #columns;
  #entries = new Map();
  #order = [];
  #keep = null;
  #watched = new Set();
  #searched = new Set();
  // Columns whose texts are found in other forms, too.
  #alike;

  constructor({ columns, key, pins }) {
    this.pins = pins;
    this.#key = key;
    this.#columns = new Map(columns.map((column) => [column.field, column]));
    for (const column of columns) {
      if (column.search) for (const field of column.fields) this.#searched.add(field);
    }
    this.#alike = columns.filter((column) => column.search && column.sameAs);
  }

  get size() {
    return this.#entries.size;
  }

  /** All rows, shown or not. */
  *rows() {
    for (const entry of this.#entries.values()) yield entry.row;
  }

  row(key) {
    return this.#entries.get(key)?.row;
  }

  /** Adds rows, and changes those that are known: only the fields that are given. */
  merge(changes) {
    for (const change of changes) {
      const key = change[this.#key];
      const entry = this.#entries.get(key);
      if (!entry) {
        const added = new Entry(key, change);
        this.#entries.set(key, added);
        this.#order.push(added);
        this.isStale = true;
        continue;
      }
      for (const field in change) {
        if (entry.row[field] === change[field]) continue;
        entry.row[field] = change[field];
        if (this.#watched.has(field)) this.isStale = true;
        if (this.#searched.has(field)) {
          entry.haystack = null;
          if (this.search) this.isStale = true;
        }
      }
      entry.version += 1;
    }
    this.isChanged ||= changes.length > 0;
  }

  /** Removes the rows for which `isGone(row)` holds. */
  removeIf(isGone) {
    for (const [key, entry] of this.#entries) {
      if (isGone(entry.row)) this.#entries.delete(key);
    }
    if (this.#order.length === this.#entries.size) return;
    this.#order = this.#order.filter((entry) => this.#entries.has(entry.key));
    this.isStale = this.isChanged = true;
  }

  /** What the page itself leaves out; `fields`: what the answer depends on. Null keeps all. */
  setKeep(keep, fields = []) {
    this.#keep = keep && { keep, fields };
    this.isStale = true;
  }

  /** Computes the order and the view again. */
  refresh() {
    const passes = this.#compile();
    this.#sort();
    const pinned = [];
    const rest = [];
    const asked = this.search.trim();
    const searches = [asked.toLowerCase(), ...this.#alike.map(({ sameAs }) => sameAs(asked)).filter(Boolean)];
    for (const entry of this.#order) {
      if (this.#keep && !this.#keep.keep(entry.row)) continue;
      // Pinned rows stay in sight whatever is searched; another chain is another table.
      if (this.pins.has(entry.key)) pinned.push(entry);
      else if (passes.every((pass) => pass(entry)) && (!asked || searches.some((search) => this.#haystack(entry).includes(search)))) rest.push(entry);
    }
    this.pinnedCount = pinned.length;
    this.view = pinned.concat(rest);
    this.isStale = this.isChanged = false;
  }

  /** The filters as functions, and the fields whose change makes the view stale. */
  #compile() {
    const passes = [];
    this.#watched = new Set(this.#keep?.fields ?? []);
    const watch = (column) => column.fields.forEach((field) => this.#watched.add(field));
    for (const [field, text] of this.filters) {
      const column = this.#columns.get(field);
      const filter = column && compileFilter(column, text);
      if (!filter) continue;
      passes.push((entry) => filter(entry.row));
      watch(column);
    }
    const sorted = this.#columns.get(this.sort.field);
    if (sorted) watch(sorted);
    return passes;
  }

  #sort() {
    const column = this.#columns.get(this.sort.field);
    if (!column) return;
    const order = this.sort.descending ? -1 : 1;
    for (const entry of this.#order) entry.sortKey = sortable(entry, column);
    this.#order.sort((a, b) => {
      const [left, right] = [a.sortKey, b.sortKey];
      if (left === right) return 0;
      // What is not known stands last in both directions.
      if (left === null) return 1;
      if (right === null) return -1;
      return left < right ? -order : order;
    });
  }

  #haystack(entry) {
    if (entry.haystack === null) {
      let text = "";
      for (const field of this.#searched) text += `${entry.row[field] ?? ""}\n`;
      for (const { sameAs, field } of this.#alike) text += `${sameAs(entry.row[field])}\n`;
      entry.haystack = text.toLowerCase();
    }
    return entry.haystack;
  }
}

/** Numbers as they are; texts so that node-2 comes before node-10, whatever the case, computed once for each text. */
function sortable(entry, column) {
  const value = column.sortBy ? column.sortBy(entry.row) : column.value(entry.row);
  if (value === null || value === undefined || value === "" || Number.isNaN(value)) return null;
  if (typeof value !== "string") return Number(value);
  const kept = entry.texts.get(column.field);
  if (kept?.value === value) return kept.sortKey;
  const sortKey = value.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
  entry.texts.set(column.field, { value, sortKey });
  return sortKey;
}
