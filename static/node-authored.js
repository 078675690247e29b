/*
 * The blocks that a node built, and which of them it missed.
 */
import { get, isAbort } from "./lib/api.js";
import { h, timeElement } from "./lib/elements.js";
import { count, counted } from "./lib/format.js";
import { MISSED, outcomeMeaning, outcomeTone, outcomeWords } from "./lib/outcomes.js";

const BLOCKS_MAX = 1000;
const SHOWN_MAX = 10;
// The interface answers for so long.
const SPAN_MAX_MS = 31 * 86_400_000;

/** Puts them in `place`, within `card`, which is hidden where there are none, as `link` is. Returns `load(from, to)`. */
export function createAuthored(place, { peer, card, link }) {
  let request = null;
  return async (from, to) => {
    request?.abort();
    request = new AbortController();
    const start = new Date(Math.max(from.getTime(), to.getTime() - SPAN_MAX_MS));
    try {
      const found = await get(`api/v1/nodes/${encodeURIComponent(peer)}/authored`, { start_time: start.toISOString(), end_time: to.toISOString(), limit: BLOCKS_MAX }, { signal: request.signal });
      card.hidden = link.hidden = found.length === 0;
      if (found.length > 0) show(place, found);
    } catch (error) {
      // What else is wrong with the server the rest of the page says.
      if (!isAbort(error)) card.hidden = link.hidden = true;
    }
  };
}

function show(place, blocks) {
  const counts = new Map();
  for (const { outcome } of blocks) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const missed = blocks.filter(({ outcome }) => MISSED.includes(outcome));
  const shown = missed.length > 0 ? missed.slice(0, SHOWN_MAX) : blocks.slice(0, SHOWN_MAX);
  const all = blocks.length === BLOCKS_MAX ? `The last ${count(BLOCKS_MAX)} blocks` : counted(blocks.length, "block");
  place.replaceChildren(
    h("p", {}, `${all} built: `, missed.length === 0 ? "none missed." : h("strong", { class: "bad" }, `${count(missed.length)} missed.`), " ",
      [...counts].map(([outcome, number]) => h("span", { class: `chip ${outcomeTone(outcome)}`, title: outcomeMeaning(outcome) }, `${count(number)} ${outcomeWords(outcome)}`))),
    h("ol", { class: "status-list" }, shown.map(({ at, height, outcome }) => h("li", { class: outcomeTone(outcome) }, timeElement(at), ` block ${count(height)} `,
      h("strong", {}, outcomeWords(outcome)), h("span", { class: "quiet-text" }, ` – ${outcomeMeaning(outcome)}`)))));
}
