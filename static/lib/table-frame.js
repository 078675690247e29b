/*
 * What is around a table: search and buttons above, number of rows and totals beneath, and a text in place of rows.
 */
import { h } from "./elements.js";
import { count } from "./format.js";
import { showEmpty } from "./states.js";

export class TableFrame {
  table;
  scroller;
  #element;
  #noun;
  #explainEmpty;
  #clear;
  #columns = h("colgroup");
  #search;
  #filters;
  #chips = h("ul", { class: "table-chips", "aria-label": "Filters", hidden: true });
  #number = h("span", { class: "table-count" });
  #totals = h("span", { class: "table-totals" });
  #status = h("p", { class: "unseen", role: "status" });
  #empty = h("div", { class: "table-empty", hidden: true });
  #emptyKind = "";
  #sayTimer = 0;

  /** `options`: those of createTable; `buttons`: more for the bar; `searched(text)`, `filtersShown()`, `cleared()` are called. */
  constructor(place, options, { prefix, buttons, searched, filtersShown, cleared }) {
    const { label, noun, tools, isPinnable, open, choose } = options;
    this.#noun = noun;
    this.#explainEmpty = options.empty;
    this.#clear = cleared;
    const help = h("p", { class: "unseen", id: `${prefix}-help` },
      `Arrow keys move between cells. Enter opens a row, or sorts by a title.${isPinnable ? " Space pins a row." : ""}`);
    this.table = h("table", { role: "grid", tabindex: 0, "aria-label": label, "aria-describedby": help.id }, this.#columns);
    this.scroller = h("div", { class: "table-scroll" }, this.table);
    this.#search = h("input", {
      type: "search", class: "table-search", "aria-label": `Search ${noun[1]}`, "aria-keyshortcuts": "/", placeholder: `Search ${noun[1]} ( / )`,
      spellcheck: "false", autocomplete: "off", oninput: () => searched(this.#search.value),
    });
    this.#filters = h("button", { type: "button", "aria-pressed": "false", onclick: () => filtersShown() }, "Filters");
    this.#element = h("div", { class: open || choose ? "table opens" : "table" },
      h("div", { class: "bar table-bar" }, this.#search, ...tools, h("span", { class: "end bar" }, this.#filters, ...buttons)),
      this.#chips, help, this.scroller, this.#empty, h("div", { class: "table-foot" }, this.#number, this.#totals), this.#status);
    place.replaceChildren(this.#element);
  }

  remove() {
    this.#element.remove();
  }

  setColumns(columns) {
    this.#columns.replaceChildren(...columns.map((column) => {
      const col = h("col");
      col.style.width = `${column.width}rem`;
      return col;
    }));
    this.table.style.width = `${columns.reduce((sum, column) => sum + column.width, 0)}rem`;
    this.table.setAttribute("aria-colcount", columns.length);
  }

  /** Shows what is searched and how many filters hold, which may be out of sight. */
  showAsked({ search, filters }, areFiltersShown) {
    if (this.#search.value !== search) this.#search.value = search;
    this.#filters.setAttribute("aria-pressed", String(areFiltersShown));
    this.#filters.textContent = filters.size > 0 ? `Filters (${filters.size})` : "Filters";
  }

  /** Shows each filter, `{ title, words, fault, remove }`, also those of columns that are not shown. */
  showChips(chips) {
    this.#chips.hidden = chips.length === 0;
    this.#chips.replaceChildren(...chips.map(({ title, words, fault, remove }) => h("li", { class: fault ? "chip bad" : "chip", title: fault || null },
      `${title}: ${words}`, fault && h("span", { class: "unseen" }, ` ${fault}`), fault && h("span", { "aria-hidden": "true" }, " ⚠"),
      h("button", { type: "button", class: "icon", "aria-label": `Remove the filter ${title}`, onclick: remove }, "×"))));
  }

  /** Puts the cursor into the search. */
  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  /** `totals`: texts or nodes, or undefined. */
  showNumbers(shown, all, totals) {
    this.table.setAttribute("aria-rowcount", shown + 1);
    const text = shown === all ? this.counted(all) : `${count(shown)} of ${this.counted(all)}`;
    if (this.#number.textContent !== text) this.#number.textContent = text;
    if (totals !== undefined) this.#totals.replaceChildren(...[totals].flat());
  }

  counted(number) {
    return `${count(number)} ${this.#noun[number === 1 ? 0 : 1]}`;
  }

  /** Announces to screen readers how many rows are left, when the reader has done typing. */
  sayNumber() {
    clearTimeout(this.#sayTimer);
    this.#sayTimer = setTimeout(() => { this.#status.textContent = this.#number.textContent; }, 800);
  }

  /** Shows why there are no rows: "filtered", "empty", or "" if there are some. `again`: the reason changed. */
  showEmpty(kind, again = false) {
    if (this.#emptyKind === kind && !again) return;
    this.#emptyKind = kind;
    this.#empty.hidden = kind === "";
    this.scroller.classList.toggle("is-empty", kind !== "");
    if (kind === "filtered") {
      showEmpty(this.#empty, `No ${this.#noun[1]} match your search and filters.`,
        h("button", { type: "button", onclick: () => this.#clear() }, "Clear search and filters"));
    } else if (kind === "empty") {
      if (this.#explainEmpty) this.#explainEmpty(this.#empty);
      else showEmpty(this.#empty, `No ${this.#noun[1]}.`);
    }
  }
}
