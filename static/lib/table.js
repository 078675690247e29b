/*
 * A table of many live rows: sorts, searches, filters by column, chooses columns, pins rows, exports, works by keyboard.
 *
 *   const table = createTable(place, { id, label, noun, key, columns, sort, … });
 *   table.merge(rows);               // add, or change the given fields of known rows; as often as you like
 *   table.replace(rows);             // these and no others
 *
 * Cells are painted once a frame, and only those that can be seen; order and totals follow at most once a second, so
 * that rows do not jump about. What the reader asks for happens at once. static/README.md has an example.
 */
import { h, menu, download, say } from "./elements.js";
import { readAddress, readAddressGroup, writeAddress, recall, remember } from "./address.js";
import { count } from "./format.js";
import { showEmpty } from "./states.js";
import { TableModel } from "./table-model.js";
import { TableView } from "./table-view.js";
import { TableHead } from "./table-head.js";
import { columnChooser, prepareColumn } from "./table-columns.js";
import { gridKeys } from "./table-keys.js";
import { toCsv, toJson } from "./table-export.js";

// Order and totals are computed again after changes at most this often.
const REFRESH_MS = 1000;
// While the pointer moves over rows their order is kept, but no longer than this: nobody likes to miss what they aim at.
const POINTED_MS = 1500;
const HELD_MS_MAX = 6000;
// More pinned rows would leave no room for others.
const PINS_MAX = 10;

let tables = 0;

/**
 * Options: `id`: under which choices are remembered; `label`: for screen readers; `noun`: ["node", "nodes"]; `key`: the
 * field that identifies a row; `columns`: see table-columns.js; `sort`: `{ field, descending }`; `nameOf(row)`: the row
 * in words, and `isPinnable`; `open(row)`: the address to which a row leads; `totals(rows)`: texts or nodes beneath the
 * table; `tools`: elements for the bar; `isShared`: whether search, sort and filters stand in the address;
 * `clock()`: Unix ms for cells that tick; `empty(place)`: shows why there are no rows at all.
 */
export function createTable(place, options) {
  return new Table(place, options);
}

class Table {
  #options;
  #columns;
  #model;
  #view;
  #head;
  #keys;
  #chooser;
  #shown = [];
  #refreshedAt = 0;
  #pointedAt = 0;
  #isAsked = true;
  #frame = 0;
  #timer = 0;
  #countSaid = 0;
  #parts;

  constructor(place, options) {
    this.#options = { noun: ["row", "rows"], clock: Date.now, tools: [], nameOf: (row) => row[options.key], ...options };
    this.#columns = options.columns.map(prepareColumn);
    if (options.isPinnable) this.#columns.unshift(this.#pinColumn());
    this.#model = new TableModel({ columns: this.#columns, key: options.key });
    this.#model.sort = { field: null, descending: false, ...options.sort };
    this.#model.pins = new Set(recall(`pins:${options.id}`, []));
    if (options.isShared) this.#readAddress();
    this.#build(place, `table${++tables}`);
    this.setColumns();
    setInterval(() => {
      if (this.#shown.some((column) => column.ticks)) this.#askFrame();
    }, 1000);
  }

  /** Adds rows, and changes the given fields of those that are known. */
  merge(rows) {
    this.#model.merge(rows);
    this.#askFrame();
  }

  /** Shows these rows and no others. */
  replace(rows) {
    const keys = new Set(rows.map((row) => row[this.#options.key]));
    this.#model.removeIf((row) => !keys.has(row[this.#options.key]));
    this.#model.merge(rows);
    this.refresh();
  }

  removeIf(isGone) {
    this.#model.removeIf(isGone);
    this.#askFrame();
  }

  /** Leaves out rows for which `keep(row)` is false; `fields`: what it looks at. */
  setKeep(keep, fields) {
    this.#model.setKeep(keep, fields);
    this.refresh();
  }

  /** Order, filters and totals at once, for the reader asked for it. */
  refresh() {
    this.#isAsked = true;
    this.#askFrame();
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

  /** Shows the columns that are chosen. */
  setColumns() {
    this.#shown = this.#chooser.get();
    let left = 0;
    for (const column of this.#shown) {
      column.left = column.sticky ? `${left}rem` : "";
      if (column.sticky) left += column.width;
    }
    const { table, columns } = this.#parts;
    columns.replaceChildren(...this.#shown.map((column) => {
      const col = h("col");
      col.style.width = `${column.width}rem`;
      return col;
    }));
    table.style.width = `${this.#shown.reduce((sum, column) => sum + column.width, 0)}rem`;
    table.setAttribute("aria-colcount", this.#shown.length);
    this.#head.setColumns(this.#shown);
    this.#view.setColumns(this.#shown);
    this.refresh();
  }

  #build(place, prefix) {
    const { id, label, noun, tools } = this.#options;
    const help = h("p", { class: "unseen", id: `${prefix}-help` },
      `Arrow keys move between cells. Enter opens a row, or sorts by a title.${this.#options.isPinnable ? " Space pins a row." : ""}`);
    const columns = h("colgroup");
    const table = h("table", { role: "grid", tabindex: 0, "aria-label": label, "aria-describedby": `${prefix}-help` }, columns);
    const scroller = h("div", { class: "table-scroll" }, table);
    const search = h("input", {
      type: "search", class: "table-search", "aria-label": `Search ${noun[1]}`, placeholder: `Search ${noun[1]}`,
      value: this.#model.search, spellcheck: "false", autocomplete: "off",
      oninput: () => {
        this.#model.search = search.value;
        this.#filtered();
      },
    });
    const filterSwitch = h("button", {
      type: "button", "aria-pressed": "false",
      onclick: () => this.#showFilters(!this.#head.hasFilters),
    }, "Filters");
    this.#head = new TableHead({
      model: this.#model, prefix, sorted: (field) => this.#sortBy(field), filtered: () => this.#filtered(),
    });
    table.append(this.#head.element);
    this.#chooser = columnChooser({ id, columns: this.#columns, changed: () => this.setColumns() });
    this.#view = new TableView({ model: this.#model, scroller, table, head: this.#head.element, prefix });
    const status = h("p", { class: "unseen", role: "status" });
    const empty = h("div", { class: "table-empty", "data-kind": "", hidden: true });
    const number = h("span", { class: "table-count" });
    const totals = h("span", { class: "table-totals" });
    place.replaceChildren(h("div", { class: this.#options.open ? "table opens" : "table" },
      h("div", { class: "bar table-bar" }, search, ...tools,
        h("span", { class: "end bar" }, filterSwitch, this.#chooser.element, this.#exportMenu())),
      help, scroller, empty, h("div", { class: "table-foot" }, number, totals), status));
    this.#parts = { table, columns, scroller, filterSwitch, status, empty, number, totals };
    this.#keys = gridKeys(table, {
      rows: () => this.#model.view.length, columns: () => this.#shown.length, page: () => this.#view.rowsSeen,
      activate: (active, isNewTab) => this.#activate(active, isNewTab), pin: (index) => this.#pin(this.#model.view[index]),
      shown: (active) => this.#showActive(active),
    });
    scroller.addEventListener("scroll", () => this.#askFrame(), { passive: true });
    new ResizeObserver(() => this.#askFrame()).observe(scroller);
    table.addEventListener("pointermove", () => { this.#pointedAt = performance.now(); }, { passive: true });
    table.addEventListener("click", (event) => this.#clicked(event));
    if (this.#model.filters.size > 0) this.#showFilters(true, false);
  }

  #pinColumn() {
    return prepareColumn({
      field: "pin", title: "Pin", width: 2, sticky: true, isPlain: true, filter: false, className: "pin",
      exported: (row) => this.#model.pins.has(row[this.#options.key]),
      text: (row) => String(this.#model.pins.has(row[this.#options.key])),
      cell: (row) => {
        const isPinned = this.#model.pins.has(row[this.#options.key]);
        const label = `${isPinned ? "Unpin" : "Pin"} ${this.#options.nameOf(row)}`;
        return h("button", { type: "button", class: "icon", tabindex: -1, "aria-pressed": String(isPinned), "aria-label": label, title: label },
          isPinned ? "★" : "☆");
      },
    });
  }

  #exportMenu() {
    const save = (type, extension, write) => () => {
      const rows = this.shownRows;
      const columns = this.#shown.filter((column) => !column.isPlain);
      download(`${this.#options.noun[1].replaceAll(" ", "-")}.${extension}`, type, write(rows, columns));
      say(`${count(rows.length)} ${this.#noun(rows.length)} with ${columns.length} columns saved.`);
    };
    return menu("Export",
      h("button", { type: "button", class: "quiet", onclick: save("text/csv", "csv", toCsv) }, "Shown rows as CSV"),
      h("button", { type: "button", class: "quiet", onclick: save("application/json", "json", toJson) }, "Shown rows as JSON"));
  }

  #askFrame() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  #paint() {
    const time = performance.now();
    const model = this.#model;
    if (model.isStale || model.isChanged || this.#isAsked) {
      const due = this.#dueAt(time);
      if (this.#isAsked || due <= time) this.#refreshNow(time);
      else this.#timer ||= setTimeout(() => {
        this.#timer = 0;
        this.#askFrame();
      }, due - time);
    }
    this.#view.paint(this.#options.clock(), this.#keys.active);
    this.#markActive();
  }

  #dueAt(time) {
    const due = this.#refreshedAt + REFRESH_MS;
    const isPointed = time - this.#pointedAt < POINTED_MS && time - this.#refreshedAt < HELD_MS_MAX;
    return this.#model.view.length > 0 && isPointed ? Math.max(due, this.#pointedAt + POINTED_MS) : due;
  }

  #refreshNow(time) {
    const model = this.#model;
    if (model.isStale || this.#isAsked) model.refresh();
    model.isChanged = false;
    this.#isAsked = false;
    this.#refreshedAt = time;
    const { table, number, totals } = this.#parts;
    const shown = model.view.length;
    table.setAttribute("aria-rowcount", shown + 1);
    const text = shown === model.size ? `${count(shown)} ${this.#noun(shown)}` : `${count(shown)} of ${count(model.size)} ${this.#noun(model.size)}`;
    if (number.textContent !== text) number.textContent = text;
    if (this.#options.totals) totals.replaceChildren(...[this.#options.totals(this.shownRows)].flat());
    this.#showEmpty(shown > 0 ? "" : model.size > 0 ? "filtered" : "empty");
  }

  /** Calls `empty` again, for the reason why there are no rows changed. */
  explain() {
    delete this.#parts.empty.dataset.kind;
    this.refresh();
  }

  /** Says why there are no rows: "filtered", "empty", or "" if there are some. */
  #showEmpty(kind) {
    const { empty, scroller } = this.#parts;
    if (empty.dataset.kind === kind) return;
    empty.dataset.kind = kind;
    empty.hidden = kind === "";
    scroller.classList.toggle("is-empty", kind !== "");
    if (kind === "filtered") {
      showEmpty(empty, `No ${this.#options.noun[0]} fits.`,
        h("button", { type: "button", onclick: () => this.clearFilters() }, "Clear search and filters"));
    } else if (kind === "empty") {
      if (this.#options.empty) this.#options.empty(empty);
      else showEmpty(empty, `No ${this.#options.noun[1]} yet.`);
    }
  }

  /** Forgets search and filters of columns. */
  clearFilters() {
    this.#model.search = "";
    this.#model.filters.clear();
    this.#parts.scroller.parentNode.querySelector(".table-search").value = "";
    this.#head.setColumns(this.#shown);
    this.#filtered();
  }

  #noun(number) {
    return this.#options.noun[number === 1 ? 0 : 1];
  }

  #filtered() {
    this.#parts.scroller.scrollTop = 0;
    this.refresh();
    this.#writeAddress();
    clearTimeout(this.#countSaid);
    this.#countSaid = setTimeout(() => { this.#parts.status.textContent = this.#parts.number.textContent; }, 800);
  }

  #showFilters(isShown, isFocused = true) {
    this.#parts.filterSwitch.setAttribute("aria-pressed", String(isShown));
    this.#head.showFilters(isShown, isFocused);
    this.#askFrame();
  }

  #sortBy(field) {
    const column = this.#columns.find((one) => one.field === field);
    const { sort } = this.#model;
    const descending = sort.field === field ? !sort.descending : Boolean(column.descending);
    this.#model.sort = { field, descending };
    this.#head.showSort();
    this.#parts.scroller.scrollTop = 0;
    this.refresh();
    this.#writeAddress();
  }

  #pin(entry) {
    const { pins } = this.#model;
    if (!this.#options.isPinnable || !entry) return;
    if (!pins.delete(entry.key)) {
      if (pins.size >= PINS_MAX) {
        say(`At most ${PINS_MAX} ${this.#options.noun[1]} can be pinned.`);
        return;
      }
      pins.add(entry.key);
    }
    say(`${this.#options.nameOf(entry.row)} ${pins.has(entry.key) ? "pinned" : "unpinned"}.`);
    remember(`pins:${this.#options.id}`, [...pins]);
    this.refresh();
  }

  #clicked(event) {
    const place = this.#view.locate(event.target);
    if (!place) return;
    this.#keys.set(place);
    if (event.target.closest("td.pin")) this.#pin(this.#model.view[place.index]);
    else if (!event.target.closest("a, button, input") && getSelection().isCollapsed) {
      this.#activate(place, event.ctrlKey || event.metaKey);
    }
  }

  #activate({ index, column }, isNewTab) {
    if (index < 0) {
      if (!this.#shown[column].isPlain) this.#sortBy(this.#shown[column].field);
      return;
    }
    const entry = this.#model.view[index];
    if (this.#shown[column].isPlain) this.#pin(entry);
    else if (this.#options.open && entry) {
      const address = this.#options.open(entry.row);
      if (isNewTab) window.open(address, "_blank", "noopener");
      else location.assign(address);
    }
  }

  #showActive(active) {
    if (active && active.index >= 0) this.#view.reveal(active.index);
    this.#askFrame();
  }

  #markActive() {
    const { active } = this.#keys;
    this.#head.showActive(active && active.index < 0 ? active.column : -1);
    if (!active) return;
    const id = active.index < 0 ? this.#head.cellId(active.column) : this.#view.cellId(active.index, active.column);
    const cell = document.getElementById(id);
    if (cell) this.#parts.table.setAttribute("aria-activedescendant", id);
    else this.#parts.table.removeAttribute("aria-activedescendant");
  }

  #readAddress() {
    const { q, sort } = readAddress({ q: "", sort: "" });
    this.#model.search = q;
    if (sort) this.#model.sort = { field: sort.replace(/^-/, ""), descending: sort.startsWith("-") };
    this.#model.filters = new Map(Object.entries(readAddressGroup("where.")));
  }

  #writeAddress() {
    if (!this.#options.isShared) return;
    const { sort, search, filters } = this.#model;
    const changes = { q: search, sort: sort.field ? `${sort.descending ? "-" : ""}${sort.field}` : "" };
    for (const column of this.#columns) changes[`where.${column.field}`] = filters.get(column.field) ?? "";
    writeAddress(changes);
  }
}
