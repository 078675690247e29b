/*
 * What a column is, and which columns are shown: the chooser, remembered on this machine.
 */
import { h, menu } from "./elements.js";
import { readAddress, recall, remember, writeAddress } from "./address.js";
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
 *   of time (1000 for ms), so that `> 5s` can be asked; `search`: whether the free search looks here, and
 *   `sameAs(text)`: the one form of texts that mean the same, or "";
 *   `passes(row, asked)`: decides in place of the value, for choices;
 * - `sortBy(row)`: what is sorted, if not the value;
 * - `descending`: the first click sorts the largest first; `isHidden`: not shown unless chosen; `isWide`: the same in
 *   narrow windows; `narrow`: the width there; `isFilter`: it is never shown, only filtered by;
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

/**
 * A menu to choose columns. `get()` gives the shown ones in their order; `changed()` is called after a choice.
 * `read()` takes over what the address says, if `isShared`: `columns=peer_id,!cpu` differs by these from the standard.
 */
export function columnChooser({ id, columns, isShared, changed }) {
  // Choices of before had other columns.
  const name = `columns2:${id}`;
  const isUsual = (column) => !column.isHidden;
  const isShown = (column) => isUsual(column) && !(column.isWide && NARROW.matches);
  const standard = () => columns.filter(isShown).map((column) => column.field);
  let shown = new Set();
  const boxes = new Map();
  const write = () => {
    if (isShared) writeAddress({ columns: isStandard(shown, standard()) ? "" : differences(columns, shown, isUsual) });
  };
  const read = () => {
    const asked = isShared ? readAddress({ columns: "" }).columns : "";
    shown = new Set(asked ? applied(columns, asked, isUsual) : recall(name, null) ?? standard());
    for (const [field, box] of boxes) box.checked = shown.has(field);
    write();
  };
  const apply = () => {
    for (const [field, box] of boxes) box.checked = shown.has(field);
    write();
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
  read();
  const groups = groupBy(columns.filter((column) => !column.sticky && !column.isFilter));
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
  const get = () => columns.filter((column) => !column.isFilter && (column.sticky || shown.has(column.field)));
  return { element, get, read };
}

const isStandard = (shown, standard) => shown.size === standard.length && standard.every((field) => shown.has(field));

/** `peer_id,!cpu`: what is shown beside the usual columns, and what of them is not. */
function differences(columns, shown, isUsual) {
  return columns.filter((column) => !column.sticky && !column.isFilter && isUsual(column) !== shown.has(column.field))
    .map((column) => `${isUsual(column) ? "!" : ""}${column.field}`).join(",");
}

function applied(columns, asked, isUsual) {
  const named = new Set(asked.split(","));
  return columns.filter((column) => (isUsual(column) ? !named.has(`!${column.field}`) : named.has(column.field)))
    .map((column) => column.field);
}

function groupBy(columns) {
  const groups = new Map();
  for (const column of columns) groups.set(column.group, [...(groups.get(column.group) ?? []), column]);
  return groups;
}
