/*
 * The Nodes page: all nodes, live. The feed sends a snapshot in chunks, then what changed, once a second.
 */
import { openPage } from "./lib/shell.js";
import { feed } from "./lib/feed.js";
import { ROOT } from "./lib/api.js";
import { createTable } from "./lib/table.js";
import { readAddress, writeAddress, onAddress } from "./lib/address.js";
import { h } from "./lib/elements.js";
import { bytesPerSecond, count, hashShort } from "./lib/format.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { nodeColumns, nodeAddress, nameOf } from "./nodes-columns.js";

// More chains than this do not fit beside each other: the rest are in a list.
const TABS_MAX = 5;

openPage({ page: "nodes" });

// What the server's clock is ahead of ours, ms.
let ahead = 0;
const clock = () => Date.now() + ahead;

let chain = readAddress({ chain: "" }).chain;
let isComplete = false;
// Peers of the snapshot that is being received: who was known and is not in it is gone.
let snapshot = new Set();

const tabs = document.getElementById("chains");
const place = document.getElementById("table");
const table = createTable(place, {
  id: "nodes", label: "Nodes", noun: ["node", "nodes"], key: "peer_id", columns: nodeColumns(clock),
  sort: { field: "height", descending: true }, nameOf, isPinnable: true, open: nodeAddress, isShared: true, clock,
  totals, empty: (where) => explainEmpty(where),
});
keepChain();

feed.subscribe({ topic: "nodes" }, {
  begin() {
    isComplete = false;
    snapshot = new Set();
  },
  data({ nodes, now, complete }) {
    ahead = Date.parse(now) - Date.now();
    table.merge(nodes);
    if (isComplete) return;
    for (const { peer_id: peer } of nodes) snapshot.add(peer);
    if (!complete) return;
    isComplete = true;
    table.removeIf((row) => !snapshot.has(row.peer_id));
    table.explain();
  },
  error: (text) => showError(place, new Error(`The server does not send its nodes: ${text}`), () => location.reload()),
});

onAddress(() => {
  chain = readAddress({ chain: "" }).chain;
  keepChain();
});

/** A chain is its genesis hash; nodes of early 2020 and before report only a name. */
function chainOf(row) {
  return row.genesis_hash ?? `name:${row.chain ?? ""}`;
}

function keepChain() {
  table.setKeep(chain ? (row) => chainOf(row) === chain : null, ["genesis_hash", "chain"]);
}

function choose(id) {
  chain = id;
  writeAddress({ chain }, { push: true });
  keepChain();
}

/** The chains, those with most nodes first; chains of one name are told apart by their hashes. */
function listChains() {
  const chains = new Map();
  const namesakes = new Map();
  for (const row of table.eachRow()) {
    const id = chainOf(row);
    let known = chains.get(id);
    if (!known) {
      chains.set(id, known = { id, name: row.chain || "unknown", total: 0, online: 0 });
      namesakes.set(known.name, (namesakes.get(known.name) ?? 0) + 1);
    }
    known.total += 1;
    if (row.online) known.online += 1;
  }
  for (const one of chains.values()) {
    if (namesakes.get(one.name) > 1) one.name += one.id.startsWith("name:") ? " (no hash)" : ` ${hashShort(one.id)}`;
  }
  return [...chains.values()].sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
}

let shownChains = "";
let chainButtons = new Map();
let chainSelect = null;

/** The switch between chains. Its elements stay as long as the chains do, so that it can be used while it counts. */
function showChains() {
  const chains = listChains();
  if (chain && chains.every(({ id }) => id !== chain)) chains.push({ id: chain, name: hashShort(chain), total: 0, online: 0 });
  chains.unshift({ id: "", name: "All chains", total: table.size, online: chains.reduce((sum, one) => sum + one.online, 0) });
  tabs.hidden = chains.length <= 2 && !chain;
  const ids = chains.map(({ id, name }) => `${id} ${name}`).join("\n");
  if (ids !== shownChains) {
    shownChains = ids;
    buildChains(chains);
  }
  for (const { id, total, online } of chains) {
    const button = chainButtons.get(id);
    if (!button) continue;
    button.setAttribute("aria-pressed", String(id === chain));
    button.lastChild.textContent = count(total);
    button.title = `${count(online)} of ${count(total)} online`;
  }
  if (chainSelect) {
    chainSelect.value = chainButtons.has(chain) ? "-" : chain;
    for (const option of chainSelect.options) {
      const one = chains.find(({ id }) => id === option.value);
      if (one) option.textContent = `${one.name} (${count(one.total)})`;
    }
  }
}

function buildChains(chains) {
  const [near, far] = chains.length > TABS_MAX + 1 ? [chains.slice(0, TABS_MAX), chains.slice(TABS_MAX)] : [chains, []];
  chainButtons = new Map(near.map(({ id, name }) => [id, h("button", { type: "button", onclick: () => choose(id) },
    h("span", {}, name), h("span", { class: "number" }))]));
  chainSelect = far.length === 0 ? null : h("select", { "aria-label": "Other chains", onchange: () => choose(chainSelect.value) },
    h("option", { value: "-", disabled: true }, `${far.length} more`), far.map(({ id }) => h("option", { value: id })));
  tabs.replaceChildren(...chainButtons.values(), ...(chainSelect ? [chainSelect] : []));
}

/** Beneath the table: sums of what is shown. Called when order and totals are due, so the chains are counted here too. */
function totals(rows) {
  showChains();
  const sums = { online: 0, peers: 0, down: 0, up: 0, best: 0, finalized: 0 };
  const chains = new Set();
  for (const row of rows) {
    chains.add(chainOf(row));
    sums.best = Math.max(sums.best, row.height ?? 0);
    sums.finalized = Math.max(sums.finalized, row.finalized_height ?? 0);
    if (!row.online) continue;
    sums.online += 1;
    sums.peers += row.peers ?? 0;
    sums.down += row.download_bytes_per_s ?? 0;
    sums.up += row.upload_bytes_per_s ?? 0;
  }
  // The highest block of several chains means nothing.
  const heights = chains.size === 1 && sums.best > 0
    ? [`best block ${count(sums.best)}`, sums.finalized > 0 ? `finalized ${count(sums.finalized)}` : null] : [];
  return [
    `${count(sums.online)} online`, `${count(rows.length - sums.online)} offline`, ...heights,
    `${count(sums.peers)} peer connections`, `down ${bytesPerSecond(sums.down)}`, `up ${bytesPerSecond(sums.up)}`,
  ].filter(Boolean).map((text) => h("span", {}, text));
}

function explainEmpty(where) {
  if (!isComplete) {
    showLoading(where, "Waiting for nodes…");
    return;
  }
  if (table.size > 0) {
    showEmpty(where, "No nodes of this chain.", h("button", { type: "button", onclick: () => choose("") }, "Show all chains"));
    return;
  }
  const scheme = ROOT.protocol === "https:" ? "wss:" : "ws:";
  showEmpty(where, "No node has connected yet.", "Start a node with this; it appears here by itself:",
    h("pre", { tabindex: 0 }, `--telemetry-url '${scheme}//${ROOT.host}${ROOT.pathname}submit 1'`),
    h("p", {}, h("a", { href: ROOT.pathname }, "More about connecting nodes")));
}
