/*
 * Shares: which versions, machines and so on the nodes have, as lists with counts, each a filter by click. The first part
 * is pure.
 */
import { h } from "./lib/elements.js";
import { bytes, bytesPerSecond, count, counted, countryName, percent } from "./lib/format.js";

// So many values are listed; the others are one line.
const VALUES_MAX = 8;
const GIB = 1024 ** 3;

const text = (field, title) => ({ field, title, of: (row) => row[field], words: String, filter: (value) => `=${value}` });
const choice = (field, title, words) => ({ field, title, of: (row) => row[field], words: (value) => words[value], filter: String, isChoice: true });
/** Numbers in classes, each twice as large as the one before. */
const doubling = (field, title, words) => ({
  field, title, of: (row) => (row[field] > 0 ? 2 ** Math.floor(Math.log2(row[field])) : null),
  words: (low) => `${words(low)} to ${words(2 * low)}`, filter: (low) => `${low}..${2 * low - 1}`, isNumber: true,
});
const score = (field, title) => doubling(field, title, (value) => bytesPerSecond(value * 1024 ** 2));

/** What is told apart, in this order. */
export const SHARES = [
  text("version", "Version"), text("implementation", "Implementation"), choice("authority", "Role", { true: "validator", false: "full" }),
  { field: "country", title: "Country", of: (row) => row.country, words: countryName, filter: (code) => `=${countryName(code)}` }, text("provider", "Provider"),
  text("target_os", "System"), text("target_arch", "Architecture"), text("cpu", "Processor"),
  { field: "core_count", title: "Cores", of: (row) => row.core_count, words: (value) => counted(value, "core"), filter: (value) => `= ${value}`, isNumber: true },
  {
    field: "memory_bytes", title: "Memory", of: (row) => (row.memory_bytes > 0 ? Math.max(1, Math.round(row.memory_bytes / GIB)) * GIB : null),
    words: (value) => bytes(value), filter: (value) => `${value / GIB - 0.5}GiB..${value / GIB + 0.499}GiB`, isNumber: true,
  },
  text("linux_distro", "Distribution"), text("linux_kernel", "Kernel"), choice("is_virtual_machine", "Virtual machine", { true: "yes", false: "no" }),
  score("cpu_hashrate_score", "CPU score"), score("parallel_cpu_hashrate_score", "CPU score, parallel"), score("memory_memcpy_score", "Memory score"),
  score("disk_sequential_write_score", "Disk score, sequential"), score("disk_random_write_score", "Disk score, random"),
];

const isMissing = (value) => value === null || value === undefined || value === "";

/**
 * The values of one share, the most frequent first (numbers: the largest first): `[{ value, number }]`, how many nodes
 * have `others`, and of how many it is `missing`.
 */
export function shareOf(rows, share) {
  const counts = new Map();
  let missing = 0;
  for (const row of rows) {
    const value = share.of(row);
    if (isMissing(value)) missing += 1;
    else counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  const frequent = [...counts].map(([value, number]) => ({ value, number })).sort((a, b) => b.number - a.number || (a.value < b.value ? -1 : 1));
  const values = frequent.slice(0, VALUES_MAX);
  if (share.isNumber) values.sort((a, b) => b.value - a.value);
  const others = frequent.slice(VALUES_MAX).reduce((sum, { number }) => sum + number, 0);
  return { values, others, missing };
}

/** Puts the shares in `place`. Returns `show(rows)`; `table`: its filters are set. */
export function createShares(place, table) {
  let shown = "";
  return (rows) => {
    const shares = SHARES.map((share) => ({ share, ...shareOf(rows, share) })).filter(({ values }) => values.length > 0);
    const told = JSON.stringify([shares.map(({ values, others, missing }) => [values, others, missing]), rows.length, SHARES.map(({ field }) => table.filter(field))]);
    if (told === shown) return;
    shown = told;
    // Who uses it by keyboard stays where they are.
    const focused = document.activeElement?.closest("#shares button")?.dataset.name;
    place.replaceChildren(...shares.map((one) => card(one, rows.length, table)));
    if (focused) [...place.querySelectorAll("button")].find((button) => button.dataset.name === focused)?.focus();
  };
}

function card({ share, values, others, missing }, all, table) {
  const line = (words, number, filter) => {
    const isAsked = filter !== null && table.filter(share.field) === filter;
    const content = [h("span", { class: "share-name" }, words), h("span", { class: "number" }, `${count(number)} · ${percent(number / all)}`)];
    return h("li", {}, filter === null ? h("span", { class: "share" }, content) : h("button", {
      type: "button", class: "quiet share", "aria-pressed": String(isAsked), "data-name": `${share.field} ${filter}`,
      onclick: () => table.setFilter(share.field, isAsked ? "" : filter),
    }, content));
  };
  return h("section", { class: "card" }, h("h2", {}, share.title), h("ul", {},
    values.map(({ value, number }) => line(share.words(value), number, share.filter(value))),
    others > 0 && line("others", others, null), missing > 0 && line("not reported", missing, share.isChoice ? null : "-")));
}
