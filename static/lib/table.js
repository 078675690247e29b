/*
 * A table of many live rows: sorts, searches, filters by column, chooses columns, pins rows, exports, works by keyboard.
 *
 *   const table = createTable(place, { id, label, noun, key, columns, sort, … });
 *   table.merge(rows);               // add, or change the given fields of known rows; as often as you like
 *   table.replace(rows);             // these and no others
 *
 * It shows some forty rows of however many: table-view.js. static/README.md has an example.
 */
import { say } from "./elements.js";
import { onAddress, recall, remember } from "./address.js";
import { columnChooser, pinColumn, prepareColumn, NARROW } from "./table-columns.js";
import { exportMenu } from "./table-export.js";
import { faultOfFilter, wordsOfFilter } from "./table-filter.js";
import { TableFrame } from "./table-frame.js";
import { TableHead } from "./table-head.js";
import { gridKeys } from "./table-keys.js";
import { TableModel } from "./table-model.js";
import { Pace } from "./table-pace.js";
import { readView, writeView } from "./table-share.js";
import { TableView } from "./table-view.js";

// More pinned rows would leave no room for others.
const PINS_MAX = 10;

let tables = 0;

/**
 * Options: `id`: under which choices are remembered; `label`: for screen readers; `noun`: ["node", "nodes"]; `key`: the
 * field that identifies a row; `columns`: see table-columns.js; `sort`: `{ field, descending }`; `nameOf(row)`: the row
 * in words, and `isPinnable`; `open(row)`: the address to which a row leads; `totals(rows)`: texts or nodes beneath the
 * table; `tools`: elements for the bar; `isShared`: whether search, sort, filters and columns stand in the address;
 * `clock()`: Unix ms for cells that tick; `empty(place)`: shows why there are no rows at all; `choose(row)`: called in
 * place of leaving for `open`; `rowClass(row)`: a class for the row, or ""; `isFixed`: all columns are shown, there is no choice.
 */
export function createTable(place, options) {
  return new Table(place, options);
}

class Table {
  #options;
  #columns;
  #shown = [];
  #model;
  #frame;
  #head;
  #view;
  #keys;
  #chooser;
  #pace;
  #life = new AbortController();
  #ticks;
  // The row on which the keyboard stands, wherever it moves.
  #activeEntry = null;

  constructor(place, options) {
    this.#options = {
      noun: ["row", "rows"], clock: Date.now, tools: [], nameOf: (row) => row[options.key], ...options,
      sort: { field: null, descending: false, ...options.sort },
    };
    this.#columns = options.columns.map(prepareColumn);
    const pins = new Set(recall(`pins:${options.id}`, []));
    if (options.isPinnable) this.#columns.unshift(pinColumn({ ...this.#options, pins }));
    this.#model = new TableModel({ columns: this.#columns, key: options.key, pins });
    this.#model.sort = { ...this.#options.sort };
    this.#pace = new Pace({
      isChanged: () => this.#model.isStale || this.#model.isChanged, isEmpty: () => this.#model.view.length === 0,
      refresh: (isAsked) => this.#refresh(isAsked), paint: () => this.#paint(),
    });
    this.#build(place, `table${++tables}`);
    if (options.isShared) {
      this.#takeAddress();
      onAddress(() => this.#takeAddress(), this.#life.signal);
    }
    this.setColumns();
    NARROW.addEventListener("change", () => this.setColumns(), { signal: this.#life.signal });
    this.#ticks = setInterval(() => {
      if (this.#shown.some((column) => column.ticks)) this.#pace.touch();
    }, 1000);
  }

  /** Adds rows, and changes the given fields of those that are known. */
  merge(rows) {
    this.#model.merge(rows);
    this.#pace.touch();
  }

  /** Shows these rows and no others. */
  replace(rows) {
    const keys = new Set(rows.map((row) => row[this.#options.key]));
    this.#model.removeIf((row) => !keys.has(row[this.#options.key]));
    this.#model.merge(rows);
    this.explain();
  }

  removeIf(isGone) {
    this.#model.removeIf(isGone);
    this.#pace.touch();
  }

  /** Leaves out rows for which `keep(row)` is false; `fields`: what it looks at. */
  setKeep(keep, fields) {
    this.#model.setKeep(keep, fields);
    this.explain();
  }

  /** Calls `empty` again, for the reason why there are no rows may have changed. */
  explain() {
    this.#frame.showEmpty(this.#emptyKind(), true);
    this.#pace.ask();
  }

  has(key) {
    return this.#model.row(key) !== undefined;
  }

  /** The filter of a column, also of one that is not shown; "" if there is none. */
  filter(field) {
    return this.#model.filters.get(field) ?? "";
  }

  /** Sets or, by "", removes the filter of a column. */
  setFilter(field, text) {
    if (text) this.#model.filters.set(field, text);
    else this.#model.filters.delete(field);
    this.#head.setColumns(this.#shown);
    this.#filtered();
  }

  /** All rows, shown or not, to go through. */
  eachRow() {
    return this.#model.rows();
  }

  get size() {
    return this.#model.size;
  }

  /** The shown rows, in order. */
  get shownRows() {
    return this.#model.view.map((entry) => entry.row);
  }

  /** Takes the table away, for one with other columns. */
  destroy() {
    this.#life.abort();
    clearInterval(this.#ticks);
    this.#frame.remove();
  }

  /** Shows the columns that are chosen. */
  setColumns() {
    let left = 0;
    const columns = this.#options.isFixed ? this.#columns : this.#chooser.get();
    this.#shown = columns.map((column) => {
      const width = (NARROW.matches && column.narrow) || column.width;
      const shown = { ...column, width, left: column.sticky ? `${left}rem` : "" };
      if (column.sticky) left += width;
      return shown;
    });
    this.#frame.setColumns(this.#shown);
    this.#head.setColumns(this.#shown);
    this.#view.setColumns(this.#shown);
    this.#pace.ask();
  }

  /** Forgets search and filters of columns. */
  clearFilters() {
    this.#model.search = "";
    this.#model.filters.clear();
    this.#head.setColumns(this.#shown);
    this.#filtered();
  }

  #build(place, prefix) {
    const { id, noun, isFixed, isShared, key } = this.#options;
    this.#chooser = columnChooser({ id, columns: this.#columns, isShared, changed: () => this.setColumns() });
    // Rows are told apart by their keys wherever they go.
    const keyed = (columns) => (columns.some(({ field }) => field === key) ? columns : [...columns, { field: key, exported: (row) => row[key] }]);
    const exported = () => ({ rows: this.shownRows, columns: keyed(this.#shown.filter((column) => !column.isPlain)) });
    this.#frame = new TableFrame(place, this.#options, {
      prefix, buttons: [!isFixed && this.#chooser.element, exportMenu(noun, exported)], cleared: () => this.clearFilters(),
      searched: (text) => {
        this.#model.search = text;
        this.#filtered();
      },
      filtersShown: () => this.#showFilters(!this.#head.hasFilters, true),
    });
    const { table, scroller } = this.#frame;
    this.#head = new TableHead({
      model: this.#model, prefix, sorted: (field) => this.#sortBy(field), filtered: () => this.#filtered(),
    });
    table.append(this.#head.element);
    this.#view = new TableView({
      model: this.#model, scroller, table, head: this.#head.element, prefix, rowClass: this.#options.rowClass, changed: () => this.#pace.touch(),
    });
    this.#keys = gridKeys(table, {
      rows: () => this.#model.view.length, columns: () => this.#shown.length, page: () => this.#view.rowsSeen,
      activate: (active, isNewTab) => this.#activate(active, isNewTab), pin: (index) => this.#pin(this.#model.view[index]),
      shown: (active) => this.#stand(active),
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
      event.preventDefault();
      this.#frame.focusSearch();
    }, { signal: this.#life.signal });
    table.addEventListener("pointermove", () => this.#pace.point(), { passive: true });
    table.addEventListener("click", (event) => this.#clicked(event));
    // The middle button opens a link by itself; elsewhere on a row it does as on the link.
    table.addEventListener("auxclick", (event) => {
      if (event.button === 1) this.#clicked(event);
    });
  }

  #takeAddress() {
    readView(this.#model, this.#options.sort);
    this.#chooser.read();
    this.setColumns();
    const isFiltered = this.#shown.some(({ field }) => this.#model.filters.has(field));
    this.#showFilters(this.#head.hasFilters || isFiltered, false);
  }

  #paint() {
    const { active } = this.#keys;
    this.#view.paint(this.#options.clock(), active);
    this.#head.showActive(active && active.index < 0 ? active.column : -1);
    if (!active) return;
    const id = active.index < 0 ? this.#head.cellId(active.column) : this.#view.cellId(active.index, active.column);
    if (document.getElementById(id)) this.#frame.table.setAttribute("aria-activedescendant", id);
    else this.#frame.table.removeAttribute("aria-activedescendant");
  }

  #refresh(isAsked) {
    const model = this.#model;
    if (model.isStale || isAsked) model.refresh();
    model.isChanged = false;
    this.#frame.showNumbers(model.view.length, model.size, this.#options.totals?.(this.shownRows));
    this.#frame.showEmpty(this.#emptyKind());
    const { active } = this.#keys;
    if (active && active.index >= 0) {
      const index = model.view.indexOf(this.#activeEntry);
      active.index = index >= 0 ? index : Math.min(active.index, model.view.length - 1);
    }
  }

  #emptyKind() {
    const { view, search, filters } = this.#model;
    if (view.length > 0) return "";
    return search || filters.size > 0 ? "filtered" : "empty";
  }

  #filtered() {
    this.#changedView();
    this.#showAsked();
    this.#frame.sayNumber();
  }

  #sortBy(field) {
    const column = this.#columns.find((one) => one.field === field);
    const { sort } = this.#model;
    this.#model.sort = { field, descending: sort.field === field ? !sort.descending : Boolean(column.descending) };
    this.#head.showSort();
    this.#changedView();
  }

  #changedView() {
    this.#frame.scroller.scrollTop = 0;
    this.#pace.ask();
    if (this.#options.isShared) writeView(this.#model, this.#columns, this.#options.sort);
  }

  #showFilters(isShown, isFocused) {
    this.#head.showFilters(isShown, isFocused);
    this.#showAsked();
  }

  #showAsked() {
    this.#frame.showAsked(this.#model, this.#head.hasFilters);
    this.#frame.showChips([...this.#model.filters].map(([field, text]) => {
      const column = this.#columns.find((one) => one.field === field);
      return {
        title: column?.title ?? field, words: column ? wordsOfFilter(column, text) : text,
        fault: column ? faultOfFilter(column, text) : "There is no such column.", remove: () => this.setFilter(field, ""),
      };
    }));
  }

  #pin(entry) {
    const { pins } = this.#model;
    if (!this.#options.isPinnable || !entry) return;
    if (!pins.delete(entry.key)) {
      // Rows that are gone could not be unpinned.
      for (const key of pins) if (!this.#model.row(key)) pins.delete(key);
      if (pins.size >= PINS_MAX) {
        say(`At most ${this.#frame.counted(PINS_MAX)} can be pinned.`);
        return;
      }
      pins.add(entry.key);
    }
    say(`${this.#options.nameOf(entry.row)} ${pins.has(entry.key) ? "pinned" : "unpinned"}.`);
    remember(`pins:${this.#options.id}`, [...pins]);
    this.#pace.ask();
  }

  #clicked(event) {
    const place = this.#view.locate(event.target);
    if (!place) return;
    this.#keys.set(place);
    if (event.target.closest("td.pin")) this.#pin(this.#model.view[place.index]);
    else if (!event.target.closest("a, button, input") && getSelection().isCollapsed) {
      this.#activate(place, event.ctrlKey || event.metaKey || event.button === 1);
    }
  }

  #activate({ index, column }, isNewTab) {
    const { isPlain, field } = this.#shown[column];
    const entry = this.#model.view[index];
    if (index < 0 && !isPlain) this.#sortBy(field);
    else if (isPlain) this.#pin(entry);
    else if (this.#options.choose && entry && !isNewTab) this.#options.choose(entry.row);
    else if (this.#options.open && entry) {
      const address = this.#options.open(entry.row);
      if (isNewTab) window.open(address, "_blank", "noopener");
      else location.assign(address);
    }
  }

  #stand(active) {
    this.#activeEntry = this.#model.view[active.index] ?? null;
    this.#view.reveal(active);
    this.#pace.touch();
  }
}
