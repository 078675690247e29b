/*
 * The Nodes page: all nodes, live, what is wrong first; or as they were at a moment (`at` in the address).
 */
import { openPage } from "./lib/shell.js";
import { ROOT } from "./lib/api.js";
import { createTable } from "./lib/table.js";
import { readAddress, writeAddress, onAddress } from "./lib/address.js";
import { h } from "./lib/elements.js";
import { bytesPerSecond, count, hashShort } from "./lib/format.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { isPast, nodeColumns, nodeAddress, nameOf } from "./nodes-columns.js";
import { createChainLines } from "./nodes-chains.js";
import { followNodes } from "./nodes-data.js";
import { momentMenu, pastMoment, readPast, showMoment } from "./nodes-past.js";
import { createShares } from "./nodes-shares.js";
import { createTabs } from "./nodes-tabs.js";
import { bestsOf, countTroubles, isGone, TROUBLES } from "./nodes-trouble.js";

openPage({ page: "nodes" });

// What the server's clock is ahead of ours, ms.
let ahead = 0;
// The moment that is shown; null for now.
const past = pastMoment();
const clock = () => (past ? past.getTime() : Date.now() + ahead);

let chain = readAddress({ chain: "" }).chain;
let withGone = readAddress({ gone: "" }).gone !== "";
let known = { isComplete: false, isKnown: false, isBlocked: false, hasOlder: false, error: null };
let bests = new Map();
// The chain of which the lines are.
let lined = null;

const tabs = document.getElementById("chains");
const showTabs = createTabs(tabs, document.getElementById("more-chains"), choose);
const place = document.getElementById("table");
const trouble = document.getElementById("trouble");
const blocked = document.getElementById("blocked");
const shares = document.getElementById("shares");
const sharesButton = h("button", { type: "button", "aria-pressed": "false", "aria-controls": "shares", onclick: () => showShares(shares.hidden) }, "Shares");
const goneButton = h("button", { type: "button", hidden: true, onclick: () => showGone(!withGone) });
const table = createTable(place, {
  id: "nodes", label: "Nodes", noun: ["node", "nodes"], key: "peer_id", columns: nodeColumns(clock, (row) => bests.get(chainOf(row))),
  sort: { field: "state", descending: false }, nameOf, isPinnable: true, open: nodeAddress, isShared: true, clock, totals,
  tools: [sharesButton, momentMenu(past), goneButton], rowClass: (row) => (isPast(row) ? "past" : ""), empty: (where) => explainEmpty(where),
});
const paintShares = createShares(shares, table);
// Where the chains are is only known of now.
const showLines = past ? () => {} : createChainLines(document.getElementById("lines"));
if (past) showMoment(document.getElementById("moment"), past);
keepChain();
if (readAddress({ shares: "" }).shares) showShares(true);

function changed(news) {
  known = { ...news };
  blocked.hidden = !known.isBlocked;
  if (known.error) showError(place, known.error, () => location.reload());
  else table.explain();
}

const nodes = past ? readPast(table, past, changed) : followNodes(table, {
  clock, ahead: (millis) => { ahead = millis; }, withGone: () => withGone, changed,
});

onAddress(() => {
  chain = readAddress({ chain: "" }).chain;
  withGone = readAddress({ gone: "" }).gone !== "";
  keepChain();
});

/** A chain is its genesis hash; nodes of early 2020 and before report only a name. */
function chainOf(row) {
  return row.genesis_hash ?? `name:${row.chain ?? ""}`;
}

const isOnChain = (row) => !chain || chainOf(row) === chain;

function keepChain() {
  const isKept = (row) => isOnChain(row) && (withGone || past !== null || !isGone(row, clock()));
  table.setKeep(isKept, ["genesis_hash", "chain", "online", "state", "state_since"]);
  if (lined !== chain) showLines(chain);
  lined = chain;
}

/** Shows or hides which versions, machines and so on the nodes have. */
function showShares(isWanted) {
  shares.hidden = !isWanted;
  sharesButton.setAttribute("aria-pressed", String(isWanted));
  writeAddress({ shares: isWanted ? "1" : "" });
  if (isWanted) paintShares(table.shownRows);
}

function showGone(isWanted) {
  withGone = isWanted;
  writeAddress({ gone: isWanted ? "1" : "" }, { push: true });
  keepChain();
  nodes.read();
}

function choose(id) {
  chain = id;
  writeAddress({ chain }, { push: true });
  keepChain();
}

/** The chains, those with most nodes online first; chains of one name are told apart by their hashes. */
function listChains() {
  const chains = new Map();
  const namesakes = new Map();
  for (const row of table.eachRow()) {
    if (!withGone && isGone(row, clock())) continue;
    const id = chainOf(row);
    let one = chains.get(id);
    if (!one) {
      chains.set(id, one = { id, name: row.chain || "unknown", total: 0, online: 0 });
      namesakes.set(one.name, (namesakes.get(one.name) ?? 0) + 1);
    }
    one.total += 1;
    if (row.online) one.online += 1;
  }
  for (const one of chains.values()) {
    if (namesakes.get(one.name) > 1) one.name += one.id.startsWith("name:") ? " (no hash)" : ` ${hashShort(one.id)}`;
  }
  return [...chains.values()].sort((a, b) => b.online - a.online || b.total - a.total || (a.name < b.name ? -1 : 1));
}

/** The switch between chains. */
function showChains() {
  const chains = listChains();
  if (chain && chains.every(({ id }) => id !== chain)) chains.push({ id: chain, name: hashShort(chain), total: 0, online: 0 });
  chains.unshift({ id: "", name: "All chains", total: sumOf(chains, "total"), online: sumOf(chains, "online") });
  tabs.hidden = chains.length <= 2 && !chain;
  showTabs(chains, chain);
}

const sumOf = (chains, field) => chains.reduce((sum, one) => sum + one[field], 0);

/** Beneath the table: sums of what is shown. Called when order and totals are due, so the chains are counted here too. */
function totals(rows) {
  if (!known.isComplete) return [];
  bests = bestsOf(table.eachRow(), chainOf);
  showChains();
  showTrouble();
  if (!shares.hidden) paintShares(rows);
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
  const [best] = [...chains].map((id) => bests.get(id) ?? sums.best);
  const heights = chains.size === 1 && best > 0
    ? [`best block ${count(best)}`, sums.finalized > 0 ? `finalized ${count(sums.finalized)}` : null] : [];
  return [
    `${count(sums.online)} online`, `${count(rows.length - sums.online)} offline`, ...heights,
    `${count(sums.peers)} peer connections`, `down ${bytesPerSecond(sums.down)}`, `up ${bytesPerSecond(sums.up)}`,
  ].filter(Boolean).map((text) => h("span", {}, text));
}

let shownTrouble = "";

/** The line above the table: what is wrong with the nodes of the chain, each a filter. Its elements stay while it says the same. */
function showTrouble() {
  const rows = [...table.eachRow()].filter((row) => isOnChain(row) && !isGone(row, clock()));
  goneButton.hidden = !known.isKnown || past !== null;
  goneButton.textContent = withGone ? "Hide nodes that left long ago" : "Show nodes that left long ago";
  goneButton.title = "Nodes that left more than a day ago";
  goneButton.setAttribute("aria-pressed", String(withGone));
  if (!known.isKnown) return;
  const counts = countTroubles(rows, clock());
  const asked = table.filter("trouble");
  const text = JSON.stringify([counts, asked, rows.length > 0]);
  if (text === shownTrouble) return;
  shownTrouble = text;
  trouble.hidden = rows.length === 0;
  const needing = counts.some(([name]) => name !== "syncing");
  trouble.replaceChildren(...(counts.length === 0 ? [h("span", { class: "good" }, "Nothing needs attention.")] : [
    ...counts.map(([name, number]) => filterButton(name, TROUBLES[name](count(number)), asked)),
    needing && filterButton("any", "All that need attention", asked),
  ].filter(Boolean)));
}

function filterButton(name, words, asked) {
  const isAsked = asked === name;
  return h("button", { type: "button", class: `chip ${TROUBLE_TONES[name] ?? "bad"}`, "aria-pressed": String(isAsked), onclick: () => table.setFilter("trouble", isAsked ? "" : name) }, words);
}

const TROUBLE_TONES = { syncing: "", any: "", late: "warn", lagging: "warn", clock: "warn", flapping: "warn", telemetry_lost: "warn" };

function explainEmpty(where) {
  if (!known.isComplete) {
    showLoading(where, "Waiting for nodes…");
    return;
  }
  if (table.size > 0 && chain) {
    showEmpty(where, "No nodes of this chain.", h("button", { type: "button", onclick: () => choose("") }, "Show all chains"));
    return;
  }
  if (past) {
    showEmpty(where, "No node was connected then, or within the day before.");
    return;
  }
  if (table.size > 0 || known.hasOlder) {
    showEmpty(where, "All nodes left more than a day ago.", h("button", { type: "button", onclick: () => showGone(true) }, "Show them"));
    return;
  }
  const scheme = ROOT.protocol === "https:" ? "wss:" : "ws:";
  showEmpty(where, "No node has connected yet.", "Start a node with this; it appears here by itself:",
    h("pre", { tabindex: 0 }, `--telemetry-url '${scheme}//${ROOT.host}${ROOT.pathname}submit 1'`),
    h("p", {}, h("a", { href: ROOT.pathname }, "More about connecting nodes")));
}
