/*
 * The keyboard in a table, as in a spreadsheet: arrows, Home, End, Page Up and Page Down move; Enter opens a row or sorts
 * by a title; Space pins. The focus stays on the table, which names the active cell: rows may move or be used again.
 */

/**
 * `grid`: `{ rows(), columns(), page(), activate(index, column), pin(index), shown() }`; index -1 is the head.
 * Returns `{ get active(), set(active) }`.
 */
export function gridKeys(table, grid) {
  let active = null;
  const set = (to) => {
    active = to;
    grid.shown(active);
  };
  const move = (rows, columns) => {
    const from = active ?? { index: 0, column: 0 };
    set({
      index: Math.max(-1, Math.min(grid.rows() - 1, from.index + rows)),
      column: Math.max(0, Math.min(grid.columns() - 1, from.column + columns)),
    });
  };
  const far = Number.MAX_SAFE_INTEGER;
  const moves = {
    ArrowDown: () => move(1, 0), ArrowUp: () => move(-1, 0), ArrowLeft: () => move(0, -1), ArrowRight: () => move(0, 1),
    PageDown: () => move(grid.page(), 0), PageUp: () => move(-Math.min(grid.page(), Math.max(active?.index ?? 0, 0)), 0),
    Home: (isAll) => (isAll ? set({ index: 0, column: active?.column ?? 0 }) : move(0, -far)),
    End: (isAll) => (isAll ? set({ index: grid.rows() - 1, column: active?.column ?? 0 }) : move(0, far)),
  };
  table.addEventListener("keydown", (event) => {
    if (event.target !== table || event.altKey || event.metaKey) return;
    if (moves[event.key]) moves[event.key](event.ctrlKey);
    else if (event.key === "Enter" && active) grid.activate(active, event.ctrlKey);
    else if (event.key === " " && active && active.index >= 0) grid.pin(active.index);
    else return;
    event.preventDefault();
  });
  table.addEventListener("focus", () => {
    if (!active && table.matches(":focus-visible")) set({ index: grid.rows() > 0 ? 0 : -1, column: 0 });
  });
  return {
    get active() {
      return active;
    },
    set,
  };
}
