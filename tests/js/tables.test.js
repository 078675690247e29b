// Rows of a table: which are shown, and in which order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TableModel } from "../../static/lib/table-model.js";

const column = (field, options) => ({ field, fields: [field], value: (row) => row[field], ...options });

function table(rows) {
  const columns = [column("name", { filter: "text", search: true }), column("height", { filter: "number" })];
  const model = new TableModel({ columns, key: "id", pins: new Set() });
  model.merge(rows);
  return model;
}

const names = (model) => {
  model.refresh();
  return model.view.map(({ row }) => row.name);
};

const ROWS = [
  { id: 1, name: "node-10", height: 7 }, { id: 2, name: "Node-2", height: null }, { id: 3, name: "other", height: 9 },
];

test("texts with numbers are sorted as people count, and what is not known stands last both ways", () => {
  const model = table(structuredClone(ROWS));
  model.sort = { field: "name", descending: false };
  assert.deepEqual(names(model), ["Node-2", "node-10", "other"]);
  model.sort = { field: "height", descending: false };
  assert.deepEqual(names(model), ["node-10", "other", "Node-2"]);
  model.sort = { field: "height", descending: true };
  assert.deepEqual(names(model), ["other", "node-10", "Node-2"]);
});

test("pinned rows stay in sight whatever is searched", () => {
  const model = table(structuredClone(ROWS));
  model.search = " NODE ";
  assert.deepEqual(names(model), ["node-10", "Node-2"]);
  model.filters.set("height", "> 5");
  assert.deepEqual(names(model), ["node-10"]);
  model.pins.add(3);
  assert.deepEqual(names(model), ["other", "node-10"]);
  assert.equal(model.pinnedCount, 1);
  model.setKeep((row) => row.name !== "other", ["name"]);
  assert.deepEqual(names(model), ["node-10"]);
});

test("a change makes the view stale only where it is sorted, filtered or searched by it", () => {
  const model = table(structuredClone(ROWS));
  model.sort = { field: "height", descending: false };
  names(model);
  model.merge([{ id: 1, name: "renamed" }]);
  assert.deepEqual([model.isStale, model.isChanged], [false, true]);
  model.merge([{ id: 1, height: 11 }]);
  assert.equal(model.isStale, true);
  assert.deepEqual(names(model), ["other", "renamed", "Node-2"]);
  model.search = "renamed";
  names(model);
  model.merge([{ id: 1, name: "again" }]);
  assert.equal(model.isStale, true);
  assert.deepEqual(names(model), []);
  model.removeIf((row) => row.height === null);
  assert.equal(model.size, 2);
});
