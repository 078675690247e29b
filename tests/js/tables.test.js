// Rows of a table: which are shown, and in which order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf } from "../../static/lib/ss58.js";
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

test("a key is found however it is written", () => {
  // The same key with the prefix of Polkadot, of Kusama, and the one of nodes.
  const key = "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
  const forms = ["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5", "HNZata7iMYWmk5RvZRTiAsSDhV8366zq2YGb3tLH5Upf74F"];
  for (const form of [key, key.replace("d4", "D4"), ...forms]) assert.equal(keyOf(form), key, form);
  for (const none of ["", null, undefined, "alice", "0x12", key.slice(0, -1), forms[0].replace("G", "0")]) assert.equal(keyOf(none), "");
  const model = new TableModel({ columns: [column("authority_id", { search: true, sameAs: keyOf })], key: "id", pins: new Set() });
  model.merge([{ id: 1, authority_id: forms[0] }, { id: 2, authority_id: null }]);
  for (const asked of [key, forms[1], forms[2], "5grwva"]) {
    model.search = asked;
    model.refresh();
    assert.deepEqual(model.view.map(({ row }) => row.id), [1], asked);
  }
});
