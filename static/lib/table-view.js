/*
 * The visible part of a table: some forty <tr> for any number of rows. Rows that scroll out are used again for those
 * that scroll in, a cell is touched only if its text changes, and cells of columns that are out of sight stay empty.
 * Rows have one height. Sizes are observed, never read while painting: reading makes the browser lay out twice.
 */
import { h } from "./elements.js";

// Rows above and beneath the window, so that quick scrolling shows no holes.
const SPARE_ROWS = 5;

export class TableView {
  #model;
  #scroller;
  #prefix;
  #rowClass;
  #pinnedBody = h("tbody", { class: "pinned" });
  #body = h("tbody");
  #above = spacer();
  #below = spacer();
  #slots = [];
  #pinnedSlots = [];
  #columns = [];
  #edges = [];
  // What can be seen, in px; the first values serve until the browser has measured.
  #seen = { top: 0, left: 0, width: 1400, height: 600, head: 32, row: 29, rem: 16 };

  /**
   * `scroller` scrolls the `table`, which has its <thead> `head` already. `prefix` begins the ids of cells. `rowClass(row)`:
   * a class, or "". `changed()` is called when something else is in sight.
   */
  constructor({ model, scroller, table, head, prefix, rowClass, changed }) {
    this.#model = model;
    this.#rowClass = rowClass;
    this.#scroller = scroller;
    this.#prefix = prefix;
    this.#body.append(this.#above, this.#below);
    table.append(this.#pinnedBody, this.#body);
    const probe = h("div", { class: "row-probe", "aria-hidden": "true" });
    scroller.append(probe);
    const measured = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = scroller;
      const row = probe.getBoundingClientRect().height;
      if (!row) return;
      const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
      Object.assign(this.#seen, { width, height, row, rem, head: head.offsetHeight });
      this.#edges = edgesOf(this.#columns, this.#seen);
      // Pinned rows stay beneath the head, which is as high as its filters are.
      this.#pinnedBody.style.top = `${this.#seen.head}px`;
      changed();
    });
    for (const element of [scroller, head, probe]) measured.observe(element);
    scroller.addEventListener("scroll", () => {
      this.#seen.top = scroller.scrollTop;
      this.#seen.left = scroller.scrollLeft;
      changed();
    }, { passive: true });
  }

  /** Shows these columns; all cells are made anew. */
  setColumns(columns) {
    this.#columns = columns;
    this.#edges = edgesOf(columns, this.#seen);
    // A filter that gets the focus must not lie beneath the sticky columns.
    const sticky = columns.reduce((sum, column) => sum + (column.sticky ? column.width : 0), 0);
    this.#scroller.style.scrollPaddingLeft = `${sticky}rem`;
    this.#resize(this.#slots, 0);
    this.#resize(this.#pinnedSlots, 0);
    for (const space of [this.#above, this.#below]) space.firstChild.colSpan = columns.length;
  }

  /** Brings the visible rows up to date. `now`: Unix ms, for cells whose text depends on the time; `active`: a cell. */
  paint(now, active) {
    const { view, pinnedCount } = this.#model;
    const { top, height, row } = this.#seen;
    const { left, width } = this.#seen;
    const sight = this.#edges.map(({ start, end, isSticky }) => isSticky || (end > left && start < left + width));
    this.#resize(this.#pinnedSlots, pinnedCount, this.#pinnedBody, null);
    this.#pinnedSlots.forEach((slot, index) => this.#fill(slot, index, now, active, sight));

    const rows = view.length - pinnedCount;
    const needed = Math.min(rows, Math.ceil(height / row) + 2 * SPARE_ROWS);
    const first = Math.max(0, Math.min(Math.floor(top / row) - SPARE_ROWS, rows - needed));
    this.#resize(this.#slots, needed, this.#body, this.#below);
    this.#rotate(first + pinnedCount);
    this.#slots.forEach((slot, index) => this.#fill(slot, pinnedCount + first + index, now, active, sight));
    setHeight(this.#above, first * row);
    setHeight(this.#below, (rows - first - needed) * row);
  }

  /** Scrolls so that a cell can be seen; `index` below 0 is the head. */
  reveal({ index, column }) {
    const { top, left, width, height, head, row } = this.#seen;
    const { pinnedCount } = this.#model;
    const to = {};
    if (index >= pinnedCount) {
      const start = (index - pinnedCount) * row;
      const room = height - head - pinnedCount * row;
      if (start < top) to.top = start;
      else if (start + row > top + room) to.top = start + row - room;
    }
    const { start, end, isSticky, covered } = this.#edges[column];
    if (!isSticky && start - covered < left) to.left = start - covered;
    else if (!isSticky && end > left + width) to.left = end - width;
    if ("top" in to || "left" in to) this.#scroller.scrollTo(to);
  }

  /** Rows that fit into the window, for paging by keys. */
  get rowsSeen() {
    const { height, head, row } = this.#seen;
    return Math.max(1, Math.floor((height - head) / row) - this.#model.pinnedCount - 1);
  }

  /** The id of a cell, for `aria-activedescendant`; it is there only while it is painted. */
  cellId(index, column) {
    return `${this.#prefix}-${index}-${column}`;
  }

  /** Row and column in which an element lies: `{ index, column }`, or null. */
  locate(element) {
    const td = element.closest?.("td");
    const slot = td && [...this.#pinnedSlots, ...this.#slots].find(({ tr }) => tr === td.parentNode);
    return slot ? { index: slot.index, column: td.cellIndex } : null;
  }

  #resize(slots, needed, body, before) {
    while (slots.length > needed) slots.pop().tr.remove();
    while (slots.length < needed) {
      const tr = h("tr");
      const cells = this.#columns.map((column) => {
        const td = h("td", { class: column.className });
        if (column.left) td.style.left = column.left;
        tr.append(td);
        return { td, entry: null, version: -1, text: undefined, tone: "" };
      });
      body.insertBefore(tr, before);
      slots.push({ tr, cells, index: -1, active: -1, name: "" });
    }
  }

  /** Moves rows from one end to the other so that most keep what they show. */
  #rotate(first) {
    const slots = this.#slots;
    if (slots.length === 0) return;
    const moved = first - slots[0].index;
    if (slots[0].index < 0 || moved === 0 || Math.abs(moved) >= slots.length) return;
    if (moved > 0) {
      for (const slot of slots.splice(0, moved)) {
        slots.push(slot);
        this.#below.before(slot.tr);
      }
    } else {
      for (const slot of slots.splice(moved).reverse()) {
        slots.unshift(slot);
        this.#above.after(slot.tr);
      }
    }
  }

  #fill(slot, index, now, active, sight) {
    const entry = this.#model.view[index];
    if (slot.index !== index) {
      slot.index = index;
      slot.tr.setAttribute("aria-rowindex", index + 2);
      slot.cells.forEach(({ td }, column) => { td.id = this.cellId(index, column); });
    }
    const name = this.#rowClass?.(entry.row) ?? "";
    if (slot.name !== name) {
      slot.name = name;
      slot.tr.className = name;
    }
    const activeColumn = active && active.index === index ? active.column : -1;
    if (slot.active !== activeColumn) {
      slot.cells[slot.active]?.td.classList.remove("active");
      slot.cells[activeColumn]?.td.classList.add("active");
      slot.active = activeColumn;
    }
    for (let i = 0; i < this.#columns.length; i += 1) {
      const cell = slot.cells[i];
      if (!sight[i]) {
        if (cell.entry !== null && cell.entry !== entry) clearCell(cell);
      } else if (cell.entry !== entry || cell.version !== entry.version || this.#columns[i].ticks) {
        paintCell(cell, this.#columns[i], entry, now);
      }
    }
  }
}

/** Where columns begin and end, px; `covered`: by sticky columns before. */
function edgesOf(columns, { width: room, rem }) {
  const widths = columns.map((column) => column.width * rem);
  // A table that is narrower than its place is stretched.
  const stretch = Math.max(1, room / widths.reduce((all, width) => all + width, 0));
  let start = 0;
  let covered = 0;
  return columns.map((column, index) => {
    const width = widths[index] * stretch;
    const edge = { start, end: start + width, isSticky: Boolean(column.sticky), covered };
    start = edge.end;
    if (edge.isSticky) covered += width;
    return edge;
  });
}

function paintCell(cell, column, entry, now) {
  const { row } = entry;
  const text = column.text(row, now);
  // Elements in cells (links, times) belong to a row, even if another has the same text.
  if (cell.text !== text || (column.cell && cell.entry !== entry)) {
    if (column.cell) {
      const before = cell.td.firstChild;
      const element = column.cell(row, before);
      if (element !== before) cell.td.replaceChildren(element);
    } else cell.td.textContent = text;
    cell.text = text;
  }
  if (column.hint) {
    const hint = column.hint(row);
    if (cell.td.title !== hint) cell.td.title = hint;
  }
  setTone(cell, column.tone?.(row, now) ?? "");
  cell.entry = entry;
  cell.version = entry.version;
}

function clearCell(cell) {
  cell.td.textContent = "";
  cell.td.removeAttribute("title");
  setTone(cell, "");
  cell.text = undefined;
  cell.entry = null;
}

function setTone(cell, tone) {
  if (cell.tone === tone) return;
  if (cell.tone) cell.td.classList.remove(cell.tone);
  if (tone) cell.td.classList.add(tone);
  cell.tone = tone;
}

const spacer = () => h("tr", { class: "space", "aria-hidden": "true" }, h("td"));

function setHeight(space, height) {
  const text = `${Math.max(0, height)}px`;
  if (space.firstChild.style.height !== text) space.firstChild.style.height = text;
  space.hidden = height <= 0;
}
