/*
 * What a column is, and which columns are shown: the chooser, remembered on this machine.
 */
import { h, menu } from "./elements.js";
import { recall, remember } from "./address.js";
import { MISSING } from "./format.js";

/** Windows of phones. */
export const NARROW = matchMedia("(max-width: 46rem)");

/**
 * Fills in what a column leaves out:
 * - `field`: its name in rows, addresses and exports; `title`; `help`: a tooltip of the title; `group` in the chooser;
 * - `width` in rem; `end`: aligned at the end, for numbers; `sticky`: stays in sight when scrolling sideways;
 * - `value(row)`: what is sorted, filtered and exported; by default the field itself;
 * - `fields`: the fields on which the value depends, if not only `field`;
 * - `text(row, now)`: what is displayed; `ticks`: it depends on the time `now` (Unix ms);
 * - `cell(row, before)`: an element to display, asked for when the text changes; it may be `before`, what the cell
 *   showed last (or null), changed; `hint(row)`: tooltip;
 * - `tone(row, now)`: "good", "warn", "bad", "quiet-text" or nothing;
 * - `filter`: "text" (default), "number", an array of [value, label], or false; `second`: what a second is in a column
 *   of time (1000 for ms), so that `> 5s` can be asked; `search`: whether the free search looks here;
 * - `descending`: the first click sorts the largest first; `isHidden`: not shown unless chosen; `isWide`: the same in
 *   narrow windows; `narrow`: the width there;
 * - `exported(row)`: for CSV and JSON, if not the value.
 */
export function prepareColumn(column) {
  const { field } = column;
  const value = column.value ?? ((row) => row[field]);
  return {
    title: field, width: 8, filter: "text", help: null, group: "", fields: [field], exported: value,
    text: (row) => {
      const plain = value(row);
      return plain === null || plain === undefined || plain === "" ? MISSING : String(plain);
    },
    ...column,
    value,
    className: [column.end && "end", column.sticky && "sticky", column.className].filter(Boolean).join(" "),
  };
}

/** The column with which rows are pinned. */
export function pinColumn({ key, pins, nameOf }) {
  const isPinned = (row) => pins.has(row[key]);
  return prepareColumn({
    field: "pin", title: "Pin", width: 2, sticky: true, isPlain: true, filter: false, className: "pin", text: (row) => String(isPinned(row)),
    cell: (row, before) => {
      const button = before ?? h("button", { type: "button", class: "icon", tabindex: -1 });
      const label = `${isPinned(row) ? "Unpin" : "Pin"} ${nameOf(row)}`;
      button.setAttribute("aria-pressed", String(isPinned(row)));
      button.setAttribute("aria-label", label);
      button.title = label;
      button.textContent = isPinned(row) ? "★" : "☆";
      return button;
    },
  });
}

/** A menu to choose columns. `get()` gives the shown ones in their order; `changed()` is called after a choice. */
export function columnChooser({ id, columns, changed }) {
  const name = `columns:${id}`;
  const isShown = (column) => !column.isHidden && !(column.isWide && NARROW.matches);
  const standard = () => columns.filter(isShown).map((column) => column.field);
  let shown = new Set(recall(name, null) ?? standard());
  const boxes = new Map();
  const apply = () => {
    for (const [field, box] of boxes) box.checked = shown.has(field);
    changed();
  };
  const choose = (field, isWanted) => {
    if (isWanted) shown.add(field);
    else shown.delete(field);
    remember(name, [...shown]);
    apply();
  };
  const reset = () => {
    shown = new Set(standard());
    remember(name, null);
    apply();
  };
  const groups = groupBy(columns.filter((column) => !column.sticky));
  const lists = [...groups].map(([group, members]) => h("fieldset", {},
    h("legend", {}, group || "Columns"),
    members.map((column) => {
      const box = h("input", {
        type: "checkbox", checked: shown.has(column.field),
        onchange: () => choose(column.field, box.checked),
      });
      boxes.set(column.field, box);
      return h("label", { class: "check", title: column.help }, box, column.title);
    })));
  const element = menu("Columns", ...lists, h("button", { type: "button", onclick: reset }, "Standard columns"));
  element.classList.add("column-chooser");
  const get = () => columns.filter((column) => column.sticky || shown.has(column.field));
  return { element, get };
}

function groupBy(columns) {
  const groups = new Map();
  for (const column of columns) groups.set(column.group, [...(groups.get(column.group) ?? []), column]);
  return groups;
}
