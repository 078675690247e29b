/*
 * Who builds the blocks of a chain, and how many each missed.
 */
import { createTable } from "./lib/table.js";
import { h, timeElement } from "./lib/elements.js";
import { count, hashShort, percent, timeLocal } from "./lib/format.js";
import { MISSED, outcomeMeaning } from "./lib/outcomes.js";
import { showEmpty } from "./lib/states.js";

const made = (row) => row.final + row.open;
const missed = (row) => MISSED.reduce((sum, outcome) => sum + row[outcome], 0);
const share = (row) => (made(row) + missed(row) > 0 ? missed(row) / (made(row) + missed(row)) : null);
const nameOf = (row) => row.name || hashShort(row.peer_id);
const number = (field, title, more) => ({ field, title, width: 6, end: true, filter: "number", descending: true, text: (row) => count(row[field]), ...more });

const COLUMNS = [
  { field: "name", title: "Node", width: 13, narrow: 9, sticky: true, search: true, fields: ["name", "peer_id"], value: nameOf,
    cell: (row) => h("a", { href: `node?${new URLSearchParams({ peer_id: row.peer_id })}` }, nameOf(row)) },
  number("made", "Made", { help: "Blocks that are final, or may become so", fields: ["final", "open"], value: made, text: (row) => count(made(row)) }),
  number("missed", "Missed", { help: "Blocks that it built in vain", fields: MISSED, value: missed, text: (row) => count(missed(row)), tone: (row) => (missed(row) > 0 ? "warn" : "") }),
  number("share", "Missed %", { isWide: true, help: "Share of what it built that it missed", filter: false, fields: ["final", "open", ...MISSED], value: share, text: (row) => percent(share(row)) }),
  number("lost", "Lost", { isWide: true, help: outcomeMeaning("lost") }),
  number("not_taken", "Not taken", { isWide: true, help: outcomeMeaning("not_taken") }),
  number("not_sealed", "Given up", { isWide: true, help: outcomeMeaning("not_sealed") }),
  number("last_height", "Last block", { isWide: true }),
  { field: "last_at", title: "Last built", width: 9, isWide: true, filter: false, descending: true, text: (row) => timeLocal(row.last_at), cell: (row) => timeElement(row.last_at) },
  { field: "authority_id", title: "Authority id", width: 9, search: true, isHidden: true, className: "mono", text: (row) => hashShort(row.authority_id), hint: (row) => row.authority_id ?? "" },
  { field: "peer_id", title: "Peer id", width: 9, search: true, isHidden: true, className: "mono", text: (row) => hashShort(row.peer_id), hint: (row) => row.peer_id },
];

/** Puts the table in `place`. Returns `replace(authors)`. */
export function createAuthors(place) {
  const table = createTable(place, {
    id: "authors", label: "Authors", noun: ["author", "authors"], key: "peer_id", sort: { field: "missed", descending: true }, columns: COLUMNS, nameOf,
    empty: (where) => showEmpty(where, "No node here says that it built a block in this time range."),
  });
  return (authors) => table.replace(authors);
}
