/*
 * The head of a table: titles that sort, and a row of filters that can be shown.
 */
import { h } from "./elements.js";
import { faultOfFilter } from "./table-filter.js";

export class TableHead {
  element = h("thead");
  #model;
  #sorted;
  #filtered;
  #prefix;
  #titles = [];
  #filters = h("tr", { class: "filters", hidden: true });

  /** `sorted(field)` and `filtered()` are called after the reader chose. */
  constructor({ model, prefix, sorted, filtered }) {
    this.#model = model;
    this.#prefix = prefix;
    this.#sorted = sorted;
    this.#filtered = filtered;
  }

  setColumns(columns) {
    this.#titles = columns.map((column, index) => this.#title(column, index));
    this.#filters.replaceChildren(...columns.map((column) => this.#filter(column)));
    this.element.replaceChildren(h("tr", { "aria-rowindex": 1 }, this.#titles.map(({ th }) => th)), this.#filters);
    this.showSort();
  }

  get hasFilters() {
    return !this.#filters.hidden;
  }

  showFilters(isShown, isFocused) {
    this.#filters.hidden = !isShown;
    if (isShown && isFocused) this.#filters.querySelector("input, select")?.focus({ preventScroll: true });
  }

  showSort() {
    const { field, descending } = this.#model.sort;
    for (const { column, th } of this.#titles) {
      if (column.field === field) th.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
  }

  cellId(column) {
    return `${this.#prefix}-h-${column}`;
  }

  /** Marks the title on which the keyboard stands; -1 for none. */
  showActive(active) {
    this.#titles.forEach(({ th }, index) => th.classList.toggle("active", index === active));
  }

  #title(column, index) {
    const th = h("th", { scope: "col", id: this.cellId(index), class: column.className, title: column.help });
    if (column.left) th.style.left = column.left;
    if (column.isPlain) {
      th.append(h("span", { class: "unseen" }, column.title));
      return { column, th };
    }
    // Sorting by keyboard goes through the table itself: one stop of the Tab key for all of it.
    th.append(h("button", { type: "button", tabindex: -1, onclick: () => this.#sorted(column.field) },
      h("span", {}, column.title)));
    return { column, th };
  }

  #filter(column) {
    const th = h("td", { class: column.className });
    if (column.left) th.style.left = column.left;
    if (column.isPlain || !column.filter) return th;
    const value = this.#model.filters.get(column.field) ?? "";
    const fault = faultOfFilter(column, value);
    const label = `Filter ${column.title}`;
    const field = Array.isArray(column.filter)
      ? h("select", { "aria-label": label }, [["", "all"], ...column.filter].map(([option, text]) =>
        h("option", { value: option, selected: option === value }, text)))
      : h("input", {
        type: "search", "aria-label": label, value, spellcheck: "false", autocomplete: "off",
        placeholder: column.filter === "number" ? "> 5" : "",
        title: column.filter === "number" ? "> 5, <= 2k, 5..10, = 7, - (not known); with a unit: > 32GiB, < 30s" : "text, !not, =exactly, - (not known)",
      });
    if (fault) field.setAttribute("aria-invalid", "true");
    field.addEventListener("input", () => {
      if (field.value.trim()) this.#model.filters.set(column.field, field.value);
      else this.#model.filters.delete(column.field);
      const wrong = faultOfFilter(column, field.value);
      field.setAttribute("aria-invalid", String(wrong !== ""));
      if (wrong) field.title = wrong;
      this.#filtered();
    });
    th.append(field);
    return th;
  }
}
