/*
 * The visible part of a table: about fifty <tr> for any number of rows. Rows that scroll out are used again for those
 * that scroll in, and a cell is touched only if its text changes. Rows have one height.
 */
import { h } from "./elements.js";

// Rows above and beneath the window, so that quick scrolling shows no holes.
const SPARE_ROWS = 8;

export class TableView {
  #model;
  #scroller;
  #head;
  #pinnedBody = h("tbody", { class: "pinned" });
  #body = h("tbody");
  #above = spacer();
  #below = spacer();
  #slots = [];
  #pinnedSlots = [];
  #columns = [];
  #rowHeight = 28;
  #prefix;

  /** `scroller` scrolls the `table`, which has its <thead> `head` already. `prefix` begins the ids of cells. */
  constructor({ model, scroller, table, head, prefix }) {
    this.#model = model;
    this.#scroller = scroller;
    this.#head = head;
    this.#prefix = prefix;
    this.#body.append(this.#above, this.#below);
    table.append(this.#pinnedBody, this.#body);
  }

  /** Shows these columns; all cells are made anew. */
  setColumns(columns) {
    this.#columns = columns;
    this.#resize(this.#slots, 0);
    this.#resize(this.#pinnedSlots, 0);
    for (const space of [this.#above, this.#below]) space.firstChild.colSpan = columns.length;
  }

  /** Brings the visible rows up to date. `now`: Unix ms, for cells whose text depends on the time; `active`: a cell. */
  paint(now, active) {
    const { view, pinnedCount } = this.#model;
    this.#resize(this.#pinnedSlots, pinnedCount, this.#pinnedBody, null);
    // Pinned rows stay beneath the head, which is as high as its filters are.
    setTop(this.#pinnedBody, this.#head.offsetHeight);
    this.#pinnedSlots.forEach((slot, index) => this.#fill(slot, index, now, active));

    const rows = view.length - pinnedCount;
    const height = this.#scroller.clientHeight || 600;
    const needed = Math.min(rows, Math.ceil(height / this.#rowHeight) + 2 * SPARE_ROWS);
    const top = Math.floor(this.#scroller.scrollTop / this.#rowHeight) - SPARE_ROWS;
    const first = Math.max(0, Math.min(top, rows - needed));
    this.#resize(this.#slots, needed, this.#body, this.#below);
    this.#rotate(first + pinnedCount);
    this.#slots.forEach((slot, index) => this.#fill(slot, pinnedCount + first + index, now, active));
    setHeight(this.#above, first * this.#rowHeight);
    setHeight(this.#below, (rows - first - needed) * this.#rowHeight);
    this.#measure();
  }

  /** Scrolls so that a row of the view can be seen. */
  reveal(index) {
    const { pinnedCount } = this.#model;
    if (index < pinnedCount) return;
    const covered = this.#head.offsetHeight + this.#pinnedBody.offsetHeight;
    const top = (index - pinnedCount) * this.#rowHeight;
    const seen = this.#scroller.clientHeight - covered;
    if (top < this.#scroller.scrollTop) this.#scroller.scrollTop = top;
    else if (top + this.#rowHeight > this.#scroller.scrollTop + seen) this.#scroller.scrollTop = top + this.#rowHeight - seen;
  }

  /** Rows that fit into the window, for paging by keys. */
  get rowsSeen() {
    const covered = this.#head.offsetHeight + this.#pinnedBody.offsetHeight;
    return Math.max(1, Math.floor((this.#scroller.clientHeight - covered) / this.#rowHeight) - 1);
  }

  /** The id of a cell, for `aria-activedescendant`; it is there only while it is painted. */
  cellId(index, column) {
    return `${this.#prefix}-${index}-${column}`;
  }

  cell(index, column) {
    return document.getElementById(this.cellId(index, column));
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
        return { td, text: undefined, tone: "" };
      });
      body.insertBefore(tr, before);
      slots.push({ tr, cells, index: -1, entry: null, version: -1, active: -1 });
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

  #fill(slot, index, now, active) {
    const entry = this.#model.view[index];
    const isOther = slot.entry !== entry || slot.version !== entry.version;
    if (slot.index !== index) {
      slot.index = index;
      slot.tr.setAttribute("aria-rowindex", index + 2);
      slot.cells.forEach(({ td }, column) => { td.id = this.cellId(index, column); });
    }
    const activeColumn = active && active.index === index ? active.column : -1;
    if (slot.active !== activeColumn) {
      slot.cells[slot.active]?.td.classList.remove("active");
      slot.cells[activeColumn]?.td.classList.add("active");
      slot.active = activeColumn;
    }
    for (let i = 0; i < this.#columns.length; i += 1) {
      const column = this.#columns[i];
      if (isOther || column.ticks) paintCell(slot.cells[i], column, entry, now, slot.entry !== entry);
    }
    slot.entry = entry;
    slot.version = entry.version;
  }

  #measure() {
    const tr = this.#slots[0]?.tr ?? this.#pinnedSlots[0]?.tr;
    const height = tr?.getBoundingClientRect().height;
    if (height) this.#rowHeight = height;
  }
}

function paintCell(cell, column, entry, now, isOtherRow) {
  const { row } = entry;
  const text = column.text(row, now);
  // Cells with elements of their own (links, times) belong to a row, even if another has the same text.
  if (cell.text !== text || (isOtherRow && column.cell)) {
    cell.text = text;
    if (column.cell) cell.td.replaceChildren(column.cell(row));
    else cell.td.textContent = text;
    const hint = column.hint ? column.hint(row) : "";
    if (cell.td.title !== hint) cell.td.title = hint;
  }
  if (column.tone) {
    const tone = column.tone(row, now) ?? "";
    if (cell.tone !== tone) {
      if (cell.tone) cell.td.classList.remove(cell.tone);
      if (tone) cell.td.classList.add(tone);
      cell.tone = tone;
    }
  }
}

const spacer = () => h("tr", { class: "space", "aria-hidden": "true" }, h("td"));

function setTop(body, height) {
  const text = `${height}px`;
  if (body.style.top !== text) body.style.top = text;
}

function setHeight(space, height) {
  const text = `${Math.max(0, height)}px`;
  if (space.firstChild.style.height !== text) space.firstChild.style.height = text;
  space.hidden = height <= 0;
}
