// Cases as pairs of an expression and what it gives.
import assert from "node:assert/strict";

/** Spaces that do not break are shown as plain ones. */
export const plain = (value) => (typeof value === "string" ? value.replaceAll("\u202f", " ") : value);

export function assertGives(cases) {
  for (const [expression, expected] of cases) assert.deepEqual(plain(expression()), expected, expression.toString());
}
