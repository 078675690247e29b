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
  for (const { field } of columns) changes[`where.${field}`] = filters.get(field) ?? "";
  writeAddress(changes);
}
