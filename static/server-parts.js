/*
 * The parts of the Server page. Elements stay, and only texts that changed are touched, so that a part can be read,
 * selected and opened while it is brought up to date every two seconds.
 */
import { h, timeElement } from "./lib/elements.js";
import { bytes, count, counted, percent, MISSING } from "./lib/format.js";

/** Sets a text if it is another. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Figures beside each other. `show({ name: [text, note, tone] })`. */
export function tiles(titles) {
  const places = new Map();
  const element = h("dl", { class: "tiles" }, Object.entries(titles).map(([name, title]) => {
    const [value, note] = [h("dd"), h("dd")];
    const tile = h("div", { class: "tile", "data-name": name }, h("dt", {}, title), value, note);
    places.set(name, { tile, value, note });
    return tile;
  }));
  const show = (figures) => {
    for (const [name, [text, more = "", tone = ""]] of Object.entries(figures)) {
      const { tile, value, note } = places.get(name);
      setText(value, text);
      setText(note, more);
      tile.className = `tile ${tone}`.trim();
    }
  };
  return { element, show };
}

// Shares of a limit from which on a bar is no longer calm.
const WARN_SHARE = 0.5;
const BAD_SHARE = 0.9;

/** Bars of what is used of a limit. `show([{ name, used, limit, format }])`; what is not known is left out. */
export function meters(label) {
  const places = new Map();
  const element = h("ul", { class: "meters", "aria-label": label });
  const place = (name) => {
    const bar = h("span");
    const meter = h("div", { class: "meter", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
    const number = h("span", { class: "number" });
    const item = h("li", {}, h("span", { class: "label" }, name), meter, number);
    element.append(item);
    places.set(name, { bar, meter, number, item });
    return places.get(name);
  };
  const show = (all) => {
    for (const { name, used, limit, format = count } of all) {
      const { bar, meter, number, item } = places.get(name) ?? place(name);
      item.hidden = used === null || !(limit > 0);
      if (item.hidden) continue;
      const share = used / limit;
      const text = `${format(used)} of ${format(limit)}`;
      bar.style.width = `${Math.min(100, share * 100)}%`;
      meter.className = `meter ${share >= BAD_SHARE ? "bad" : share >= WARN_SHARE ? "warn" : ""}`.trim();
      meter.setAttribute("aria-valuenow", Math.round(Math.min(1, share) * 100));
      meter.setAttribute("aria-valuetext", text);
      meter.title = percent(share);
      setText(number, text);
    }
  };
  return { element, show };
}

/**
 * A table whose rows are known by a key: `show([{ key, cells: ["a", 1, "2 s"], tone }])`, in this order. `columns`:
 * `[title, isAtEnd]`; the first cell is the title of its row. Cells may be nodes.
 */
export function rows(caption, columns) {
  const known = new Map();
  const body = h("tbody");
  const element = h("table", { class: "plain" }, caption && h("caption", {}, caption),
    h("thead", {}, h("tr", {}, columns.map(([title, isAtEnd]) => h("th", { scope: "col", class: isAtEnd ? "end" : null }, title)))), body);
  const make = () => h("tr", {}, columns.map(([, isAtEnd, className], index) =>
    h(index === 0 ? "th" : "td", { scope: index === 0 ? "row" : null, class: isAtEnd ? "end" : className ?? null })));
  const show = (all) => {
    const keys = new Set(all.map(({ key }) => key));
    for (const [key, row] of known) {
      if (keys.has(key)) continue;
      row.remove();
      known.delete(key);
    }
    all.forEach(({ key, cells, tone = "" }, index) => {
      const row = known.get(key) ?? make();
      known.set(key, row);
      if (row.className !== tone) row.className = tone;
      cells.forEach((cell, at) => {
        if (cell instanceof Node) row.cells[at].replaceChildren(cell);
        else setText(row.cells[at], String(cell ?? MISSING));
      });
      if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
    });
    element.hidden = all.length === 0;
  };
  return { element, show };
}

/** Terms with their values: `show({ Term: "text" })`; a value may be a node. */
export function facts() {
  const places = new Map();
  const element = h("dl", { class: "facts" });
  const show = (all) => {
    for (const [term, value] of Object.entries(all)) {
      if (!places.has(term)) {
        const place = h("dd");
        places.set(term, place);
        element.append(h("dt", {}, term), place);
      }
      const place = places.get(term);
      if (value instanceof Node) place.replaceChildren(value);
      else setText(place, value);
    }
  };
  return { element, show };
}

/** A part with a title. */
export function card(title, ...content) {
  return h("section", { class: "card" }, h("h2", {}, title), ...content);
}

/** More of a part, folded. */
export function more(title, ...content) {
  return h("details", {}, h("summary", {}, title), scroll(title, ...content));
}

/** What is wider than a phone scrolls by itself, also by keyboard. */
export function scroll(label, ...content) {
  return h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": label }, ...content);
}

const PARTITIONS_MAX = 100;

/** Tables of the database, the largest first, with their partitions. `show(relations, at)`: the answer of /stats/db. */
export function relations() {
  const columns = [["Table"], ["Rows, about", true], ["Table", true], ["Indexes", true], ["Together", true]];
  const tables = rows("Size by table", columns);
  const partitions = rows(null, [["Partition"], ...columns.slice(1)]);
  const summary = more("Partitions", partitions.element);
  const state = h("p", { class: "quiet-text" }, "They are read as soon as the database is up.");
  const sizes = ({ relation, rows_estimate, size_bytes, index_bytes, total_bytes }) => ({
    key: relation, cells: [relation, count(rows_estimate), bytes(size_bytes), bytes(index_bytes), bytes(total_bytes)],
  });
  const element = h("div", {}, scroll("Size by table", tables.element), summary, state);
  const show = (all, at) => {
    const known = all.filter(({ kind }) => kind === "table");
    tables.show(known.filter(({ partition_of: parent }) => !parent).map(sizes));
    const parts = known.filter(({ partition_of: parent }) => parent);
    partitions.show(parts.slice(0, PARTITIONS_MAX).map(sizes));
    const which = parts.length > PARTITIONS_MAX ? `, the ${PARTITIONS_MAX} largest` : "";
    setText(summary.firstChild, `${counted(parts.length, "partition")}${which}`);
    state.replaceChildren("Read ", timeElement(at), "; numbers of rows are estimates of PostgreSQL.");
  };
  const fail = (error) => {
    if (!state.textContent.includes(error.message)) state.append(` They could not be read again: ${error.message}`);
  };
  return { element, show, fail };
}
