/*
 * What the nodes of a chain run, and on which machines.
 */
import { createChart } from "./lib/chart.js";
import { h } from "./lib/elements.js";
import { brief, count, percent } from "./lib/format.js";
import { showEmpty } from "./lib/states.js";

const VERSIONS_SHOWN = 8;
const VALUES_SHOWN = 8;
const FACTS = [
  ["cpu", "CPU"], ["core_count", "Cores"], ["memory_gib", "Memory, GiB"], ["linux_kernel", "Kernel"], ["linux_distro", "Distribution"],
  ["target_os", "Operating system"], ["target_arch", "Architecture"], ["is_virtual_machine", "Virtual machine"],
];
const SCORES = {
  cpu_hashrate_score: "CPU, one core", parallel_cpu_hashrate_score: "CPU, all cores", memory_memcpy_score: "Memory",
  disk_sequential_write_score: "Disk, sequential writes", disk_random_write_score: "Disk, random writes",
};

let chart = null;
let drawn = "";

/** A chart of the versions with the most nodes, from an answer of `/versions`. */
export function showVersions(place, { points }) {
  const times = [...new Set(points.map(({ created_at: at }) => at))].sort();
  const labelOf = ({ implementation, version }) => `${implementation} ${version}`.trim() || "not said";
  const most = new Map();
  for (const point of points) most.set(labelOf(point), Math.max(most.get(labelOf(point)) ?? 0, point.nodes));
  const labels = [...most].sort((one, other) => other[1] - one[1]).slice(0, VERSIONS_SHOWN).map(([label]) => label);
  if (drawn !== JSON.stringify(labels) || !place.hasChildNodes()) {
    drawn = JSON.stringify(labels);
    chart?.destroy();
    place.replaceChildren();
    chart = createChart(place, {
      title: "Nodes by version", height: 200, min: 0, empty: "No nodes in this time range.",
      series: labels.map((label, index) => ({ label, format: count, colour: index + 1, kind: "steps" })),
    });
  }
  const known = new Map(points.map((point) => [`${point.created_at} ${labelOf(point)}`, point.nodes]));
  chart.setData([times.map((at) => Date.parse(at) / 1000), ...labels.map((label) => times.map((at) => known.get(`${at} ${label}`) ?? 0))]);
}

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

function shares(title, values) {
  const total = values.reduce((sum, { nodes }) => sum + nodes, 0);
  const shown = values.slice(0, VALUES_SHOWN);
  const others = values.slice(VALUES_SHOWN).reduce((sum, { nodes }) => sum + nodes, 0);
  const row = (value, nodes) => h("tr", {}, h("th", { scope: "row" }, value), h("td", { class: "end" }, count(nodes)), h("td", { class: "end" }, percent(nodes / total)));
  return h("table", {}, h("caption", {}, title), h("tbody", {}, shown.map(({ value, nodes }) => row(value, nodes)), others > 0 ? row("others", others) : ""));
}

function scoreTable(scores) {
  const titles = ["MiB/s", "Nodes", "Median", "Reference", "Below it"];
  return h("table", {}, h("caption", {}, "Scores"),
    h("thead", {}, h("tr", {}, titles.map((title, index) => h("th", { scope: "col", class: index > 0 ? "end" : null }, title)))),
    h("tbody", {}, scores.map((one) => h("tr", {}, h("th", { scope: "row" }, SCORES[one.score] ?? one.score),
      [count(one.nodes), count(one.p50), brief(one.reference), count(one.below)].map((text) => h("td", { class: "end" }, text))))));
}
