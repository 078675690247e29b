/*
 * What the nodes of a chain run, on which machines, and where they are.
 */
import { createChart } from "./lib/chart.js";
import { h } from "./lib/elements.js";
import { brief, count, counted, countryName, percent } from "./lib/format.js";
import { showEmpty } from "./lib/states.js";

const LINES_MAX = 8;
const VALUES_SHOWN = 8;
const FACTS = [
  ["cpu", "CPU"], ["core_count", "Cores"], ["memory_gib", "Memory, GiB"], ["linux_kernel", "Kernel"], ["linux_distro", "Distribution"],
  ["target_os", "Operating system"], ["target_arch", "Architecture"], ["is_virtual_machine", "Virtual machine"],
];
const SCORES = {
  cpu_hashrate_score: "CPU, one core", parallel_cpu_hashrate_score: "CPU, all cores", memory_memcpy_score: "Memory",
  disk_sequential_write_score: "Disk, sequential writes", disk_random_write_score: "Disk, random writes",
};

/**
 * A chart over time of how many nodes have each value, those with the most nodes. Returns `draw({ points, end_time }, labelOf, title)`:
 * `points` are `{ created_at, nodes, … }`.
 */
export function createValuesOverTime(place) {
  let chart = null;
  let drawn = "";
  return ({ points, end_time: end }, labelOf, title) => {
    const times = [...new Set(points.map(({ created_at: at }) => at))].sort();
    const most = new Map();
    for (const point of points) most.set(labelOf(point), Math.max(most.get(labelOf(point)) ?? 0, point.nodes));
    const labels = [...most].sort((one, other) => other[1] - one[1]).slice(0, LINES_MAX).map(([label]) => label);
    const now = JSON.stringify([title, labels]);
    if (drawn !== now) {
      drawn = now;
      chart?.destroy();
      place.replaceChildren();
      chart = createChart(place, {
        title, height: 200, min: 0, empty: "No nodes in this time range.",
        series: labels.map((label, index) => ({ label, format: count, colour: index + 1, kind: "steps" })),
      });
    }
    const known = new Map(points.map((point) => [`${point.created_at} ${labelOf(point)}`, point.nodes]));
    // The last step goes on up to its end, or to now.
    const until = Math.min(Date.parse(end), Date.now());
    const seconds = times.map((at) => Date.parse(at) / 1000);
    const values = labels.map((label) => times.map((at) => known.get(`${at} ${label}`) ?? 0));
    if (times.length === 0) chart.setData([[], ...values]);
    else chart.setData([[...seconds, until / 1000], ...values.map((column) => [...column, column.at(-1)])], { from: new Date(times[0]), to: new Date(until) });
  };
}

/** What software is called. */
export const softwareWords = ({ implementation, version }) => `${implementation} ${version}`.trim() || "not said";

/** A choice among the facts of machines; `choose(fact)` is called with the name of one. */
export function factSelect(choose) {
  return h("select", { "aria-label": "Over time", onchange: (event) => choose(event.target.value) }, FACTS.map(([value, title]) => h("option", { value }, title)));
}

/** What a fact is called; "" if there is none of this name. */
export const factWords = (fact) => FACTS.find(([name]) => name === fact)?.[1] ?? "";

/** Lists with counts, and scores against the reference machine, from an answer of `/hardware`. */
export function showHardware(place, { facts, scores }) {
  const known = FACTS.filter(([name]) => facts[name]);
  if (known.length === 0 && scores.length === 0) {
    showEmpty(place, "Not known", "Nodes since 2022 say what machine they run on.");
    return;
  }
  place.replaceChildren(h("div", { class: "shares" }, known.map(([name, title]) => shares(title, facts[name]))),
    scores.length > 0 ? h("div", { class: "shares scores" }, scoreTable(scores)) : "");
}

/** In which countries and at which providers the nodes are, from an answer of `/locations`; `genesis`: of the chain. */
export function showLocations(place, { nodes, countries, providers }, genesis) {
  const linkTo = (field, words) => h("a", { href: `./?${new URLSearchParams({ chain: genesis, [`where.${field}`]: `=${words}` })}` }, words);
  const list = (title, values, field, words) => values.length > 0 && shares(title, values, (value) => linkTo(field, words(value)), nodes);
  place.replaceChildren(h("p", { class: "quiet-text" }, concentration(providers, nodes)), h("div", { class: "shares" },
    list("Country", countries, "country", countryName), list("Provider", providers, "provider", String)));
}

/** How few providers have more than a third of the nodes: without them a chain whose validators these are finalizes nothing. */
export function concentration(providers, nodes) {
  let sum = 0;
  for (const [index, one] of providers.entries()) {
    sum += one.nodes;
    if (sum * 3 <= nodes) continue;
    const who = index === 0 ? `${one.value} alone has` : `The ${index + 1} largest providers have`;
    return `${who} more than a third of ${counted(nodes, "node")}.`;
  }
  return nodes > 0 ? `Of fewer than a third of ${counted(nodes, "node")} the provider is known.` : "";
}

/** A list of values with counts; of `total` nodes the others are those of which it is not known. */
function shares(title, values, words = String, total = sumOf(values)) {
  const shown = values.slice(0, VALUES_SHOWN);
  const others = sumOf(values.slice(VALUES_SHOWN));
  const unknown = total - sumOf(values);
  const row = (value, nodes) => h("tr", {}, h("th", { scope: "row" }, value), h("td", { class: "end" }, count(nodes)), h("td", { class: "end" }, percent(nodes / total)));
  return h("table", {}, h("caption", {}, title), h("tbody", {}, shown.map(({ value, nodes }) => row(words(value), nodes)), others > 0 && row("others", others), unknown > 0 && row("not known", unknown)));
}

const sumOf = (values) => values.reduce((sum, { nodes }) => sum + nodes, 0);

function scoreTable(scores) {
  const titles = ["MiB/s", "Nodes", "Median", "Reference", "Below it"];
  return h("table", {}, h("caption", {}, "Scores"),
    h("thead", {}, h("tr", {}, titles.map((title, index) => h("th", { scope: "col", class: index > 0 ? "end" : null }, title)))),
    h("tbody", {}, scores.map((one) => h("tr", {}, h("th", { scope: "row" }, SCORES[one.score] ?? one.score),
      [count(one.nodes), count(one.p50), brief(one.reference), count(one.below)].map((text) => h("td", { class: "end" }, text))))));
}
