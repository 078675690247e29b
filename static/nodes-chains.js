/*
 * A line for each chain above the table of all nodes: where it is, and how its blocks come.
 */
import { get, isAbort } from "./lib/api.js";
import { h } from "./lib/elements.js";
import { age, brief, count, millis, MISSING } from "./lib/format.js";

// More would leave no room for the table; a chain that is chosen has one line.
const SHOWN_MAX = 3;
const POLL_MS = 5000;
// Without a block for so many times its block time a chain has come to a halt.
const HALT = 10;

const seconds = (value) => (value === null ? MISSING : millis(value * 1000));

/** Puts the lines in `place`. Returns `choose(genesis)`: only that chain, or all with "". */
export function createChainLines(place) {
  let chosen = "";
  let request = null;
  let timer = 0;
  const read = async () => {
    clearTimeout(timer);
    request?.abort();
    request = new AbortController();
    const { signal } = request;
    try {
      // Nodes that do not say their genesis hash are on no chain that has blocks.
      const chains = chosen.startsWith("name:") ? [] : await get("api/v1/chains", { chain: chosen, limit: SHOWN_MAX }, { signal });
      show(place, chains);
    } catch (error) {
      // The table says what is wrong with the server; what was shown here would be old.
      if (isAbort(error)) return;
      show(place, []);
    }
    if (!signal.aborted) timer = setTimeout(read, POLL_MS);
  };
  return (genesis) => {
    chosen = genesis;
    read();
  };
}

function show(place, chains) {
  place.hidden = chains.length === 0;
  place.replaceChildren(...chains.map(line));
}

function line(chain) {
  const halted = chain.block_time_s > 0 && chain.since_last_block_s > HALT * chain.block_time_s;
  const facts = [
    ["Best", count(chain.best_height)],
    ["Finalized", count(chain.finalized_height)],
    ["Block time", chain.block_time_s === null ? MISSING : `${brief(chain.block_time_s)} s`],
    ["Last block", chain.since_last_block_s === null ? MISSING : `${age(chain.since_last_block_s)} ago`, halted ? "bad" : null],
    ["Online", count(chain.nodes_online)],
    ["Propagation", `${seconds(chain.propagation_p50_s)}, 95 % in ${seconds(chain.propagation_p95_s)}`],
  ];
  const address = `chain?${new URLSearchParams({ chain: chain.genesis_hash })}`;
  return h("div", { class: "chain-line" }, h("a", { href: address }, chain.chain ?? "unnamed chain"),
    h("dl", { class: "figures" }, facts.map(([name, text, tone]) => h("div", {}, h("dt", {}, name), h("dd", { class: tone }, text)))));
}
