/*
 * The blocks of a chain: who saw each first, how long the others took, and when it was finalized.
 */
import { createTable } from "./lib/table.js";
import { h, hashElement, timeElement } from "./lib/elements.js";
import { count, hashShort, millis, MISSING, timeLocal } from "./lib/format.js";

const seconds = (value) => (value === null ? MISSING : millis(value * 1000));
const node = (peer, name) => (peer === null ? null : name ?? hashShort(peer));
const linkTo = (peer, name) => h("a", { href: `node?${new URLSearchParams({ peer_id: peer })}` }, name);

const COLUMNS = [
  { field: "height", title: "Block", width: 7, end: true, sticky: true, filter: "number", descending: true, text: (row) => count(row.height), isWide: true },
  { field: "hash", title: "Hash", width: 9, search: true, text: (row) => hashShort(row.hash), cell: (row) => hashElement(row.hash) },
  { field: "first_at", title: "First seen", width: 11, filter: false, descending: true, text: (row) => timeLocal(row.first_at, true),
    cell: (row) => timeElement(row.first_at, { millis: true }) },
  { field: "first_name", title: "By", help: "The node that reported it first", width: 12, search: true, fields: ["first_name", "first_peer_id"],
    value: (row) => node(row.first_peer_id, row.first_name), cell: (row) => linkTo(row.first_peer_id, node(row.first_peer_id, row.first_name)) },
  { field: "first_peer_id", title: "Peer id", help: "Of the node that reported it first", width: 9, search: true, isHidden: true, text: (row) => hashShort(row.first_peer_id) },
  { field: "first_server_id", title: "Server", help: "The server that had the report", width: 9, isHidden: true },
  { field: "author_peer_id", title: "Author", help: "The node that says it made it", width: 12, search: true, fields: ["author_name", "author_peer_id"],
    text: (row) => node(row.author_peer_id, row.author_name) ?? MISSING,
    cell: (row) => (row.author_peer_id ? linkTo(row.author_peer_id, node(row.author_peer_id, row.author_name)) : h("span", {}, MISSING)) },
  { field: "nodes", title: "Nodes", help: "Nodes that reported it within 5 minutes", width: 5, end: true, filter: "number", descending: true, text: (row) => count(row.nodes) },
  { field: "p50_s", title: "Half in", help: "In so much time half of the other nodes had it", width: 6, end: true, filter: "number", second: 1, descending: true, text: (row) => seconds(row.p50_s) },
  { field: "p95_s", title: "95 % in", help: "In so much time 95 % of the other nodes had it", width: 6, end: true, filter: "number", second: 1, descending: true, text: (row) => seconds(row.p95_s) },
  { field: "finality_s", title: "Final in", help: "From its first report to the first one that its height is finalized", width: 6, end: true, filter: "number", second: 1, descending: true, text: (row) => seconds(row.is_lost ? null : row.finality_s) },
  { field: "outcome", title: "Outcome", width: 8, fields: ["is_lost", "is_final", "finalized_at", "outcome"], isWide: true,
    tone: (row) => (row.outcome === "lost" || row.outcome === "forked" ? "warn" : row.outcome === "open" ? "quiet-text" : null) },
];

/** Puts the table in `place`. Returns `{ replace(blocks, chain) }`. `go(changes)` changes the address. */
export function createBlocks(place, go) {
  const table = createTable(place, {
    id: "blocks", label: "Blocks", noun: ["block", "blocks"], key: "hash", sort: { field: "height", descending: true }, columns: COLUMNS,
    nameOf: (row) => `block ${count(row.height)}`,
    tools: [h("button", { type: "button", onclick: () => go({ height: null }) }, "Newest"),
      h("input", { type: "number", min: 0, placeholder: "From block", "aria-label": "Show blocks up to this number",
        onchange: (event) => go({ height: event.target.value }) })],
  });
  const replace = (blocks) => {
    const heights = new Map();
    for (const { height } of blocks) heights.set(height, (heights.get(height) ?? 0) + 1);
    table.replace(blocks.map((block) => ({ ...block, outcome: outcome(block, heights.get(block.height) > 1) })));
  };
  return { replace };
}

/** What became of a block; of several of a height it is not known which is final before one is named. */
function outcome({ is_lost: isLost, is_final: isFinal, finalized_at: finalizedAt }, isForked) {
  if (isLost) return "lost";
  if (isFinal) return "final";
  if (isForked) return "forked";
  return finalizedAt ? "final" : "open";
}
