/*
 * What becomes of blocks that nodes build, in words; docs/CHAINS.md says how it is known. Pure.
 */

const OUTCOMES = {
  final: ["final", "good", "It is final."],
  open: ["open", "", "It is not known yet."],
  forked: ["forked", "warn", "Another block has its height, and none of them is final yet."],
  lost: ["lost", "bad", "Missed: another block of its height is final."],
  not_taken: ["not taken", "bad", "Missed: it was sealed, and no node took it as its best block."],
  not_sealed: ["given up", "bad", "Missed: it was prepared and not sealed, as when it takes too long."],
};

/** Outcomes that mean that the block was missed. */
export const MISSED = ["lost", "not_taken", "not_sealed"];

export const outcomeWords = (outcome) => OUTCOMES[outcome]?.[0] ?? outcome.replaceAll("_", " ");
export const outcomeTone = (outcome) => OUTCOMES[outcome]?.[1] ?? "";
export const outcomeMeaning = (outcome) => OUTCOMES[outcome]?.[2] ?? "";
