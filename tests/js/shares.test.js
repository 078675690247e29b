// Which versions, machines and so on the nodes have.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SHARES, shareOf } from "../../static/nodes-shares.js";
import { nodeColumns } from "../../static/nodes-columns.js";
import { compileFilter } from "../../static/lib/table-filter.js";

const share = (field) => SHARES.find((one) => one.field === field);

test("values are counted, the most frequent first, the rest together", () => {
  const rows = Array.from({ length: 30 }, (_, i) => ({ version: `1.${Math.floor(i / 3)}` })).concat([{ version: "1.9" }, { version: null }, {}]);
  const { values, others, missing } = shareOf(rows, share("version"));
  assert.deepEqual([values[0], values.length, others, missing], [{ value: "1.9", number: 4 }, 8, 6, 2]);
});

test("each value is a filter that finds the nodes it counts", () => {
  const GIB = 1024 ** 3;
  const rows = [1, 7.6, 15.5, 15.7, 16.2, 62.8].map((size) => ({ memory_bytes: size * GIB })).concat([{ memory_bytes: null }]);
  const scores = [3, 511, 512, 800, 1024].map((value) => ({ cpu_hashrate_score: value }));
  for (const [field, all, filter] of [["memory_bytes", rows, "number"], ["cpu_hashrate_score", scores, "number"]]) {
    const one = share(field);
    const { values } = shareOf(all, one);
    for (const { value, number } of values) {
      const passes = compileFilter({ filter, value: (row) => row[field] }, one.filter(value));
      assert.equal(all.filter(passes).length, number, `${field} ${value}`);
    }
  }
  assert.equal(shareOf(rows, share("memory_bytes")).values.find(({ value }) => value === 16 * GIB).number, 3);
});

test("countries are filtered by the names that the column shows", () => {
  const rows = ["DE", "DE", "NE", null].map((country) => ({ country }));
  const { values, missing } = shareOf(rows, share("country"));
  assert.deepEqual([values[0], missing], [{ value: "DE", number: 2 }, 1]);
  const column = nodeColumns(() => 0, () => undefined).find(({ field }) => field === "country");
  const found = (code) => rows.filter(compileFilter({ filter: "text", value: column.value }, share("country").filter(code))).length;
  assert.deepEqual([found("DE"), found("NE")], [2, 1]);
});
