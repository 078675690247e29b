/*
 * Search, order and filters of a table in the address of the page: `q=`, `sort=-height`, `where.peers=> 5`.
 */
import { readAddress, readAddressGroup, writeAddress } from "./address.js";

/** Takes over what the address says; `fallback` is the order if it says none. */
export function readView(model, fallback) {
  const { q, sort } = readAddress({ q: "", sort: "" });
  model.search = q;
  model.sort = sort ? { field: sort.replace(/^-/, ""), descending: sort.startsWith("-") } : { ...fallback };
  model.filters = new Map(Object.entries(readAddressGroup("where.")));
}

export function writeView({ search, sort, filters }, columns, fallback) {
  const isUsual = sort.field === fallback.field && sort.descending === fallback.descending;
  const changes = { q: search, sort: isUsual ? "" : `${sort.descending ? "-" : ""}${sort.field}` };
  // Those of columns that there are not, too, until they are removed.
  const fields = [...columns.map(({ field }) => field), ...Object.keys(readAddressGroup("where."))];
  for (const field of fields) changes[`where.${field}`] = filters.get(field) ?? "";
  writeAddress(changes);
}
