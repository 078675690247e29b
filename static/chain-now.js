/*
 * Where a chain is now.
 */
import { h, hashElement, timeElement } from "./lib/elements.js";
import { age, brief, count, counted, millis, MISSING } from "./lib/format.js";

// Without a block for so many times its block time a chain has come to a halt.
const HALT = 10;

const seconds = (value) => (value === null ? MISSING : millis(value * 1000));

/** Shows the figures of a chain (an element of `/api/v1/chains`) in `place`. */
export function showNow(place, chain) {
  const halted = chain.block_time_s > 0 && chain.since_last_block_s > HALT * chain.block_time_s;
  const lag = chain.best_height === null || chain.finalized_height === null ? null : chain.best_height - chain.finalized_height;
  const others = Object.entries(chain.states).filter(([state]) => state !== "online" && state !== "offline");
  const facts = [
    ["Best", count(chain.best_height)],
    ["Finalized", count(chain.finalized_height), lag === null ? null : `${counted(lag, "block")} behind`],
    ["Block time", chain.block_time_s === null ? MISSING : `${brief(chain.block_time_s)} s`, "mean of the last 50"],
    ["Last block", chain.since_last_block_s === null ? MISSING : `${age(chain.since_last_block_s)} ago`,
      chain.last_block_at && timeElement(chain.last_block_at), halted ? "bad" : null],
    ["Nodes online", count(chain.nodes_online), others.map(([state, nodes]) => `${count(nodes)} ${state.replaceAll("_", " ")}`).join(", ") || null],
    ["Propagation", seconds(chain.propagation_p50_s), `95 % in ${seconds(chain.propagation_p95_s)}`],
    ["Finality", seconds(chain.finality_p50_s), `95 % in ${seconds(chain.finality_p95_s)}`],
    ["Forks", count(chain.forks), "in 24 hours"],
  ];
  const list = h("dl", { class: "chain-facts" }, facts.map(([name, value, note, tone]) =>
    h("div", { "data-name": name }, h("dt", {}, name), h("dd", { class: tone }, value, note && h("small", {}, note)))));
  const left = Object.entries(chain.left_out).filter(([, reports]) => reports > 0);
  const notes = h("p", { class: "quiet-text" }, "Genesis ", hashElement(chain.genesis_hash),
    left.length > 0 && ` · left out: ${left.map(([why, reports]) => `${counted(reports, "report")} ${WHY[why]}`).join(", ")}`);
  place.replaceChildren(list, notes);
}

const WHY = {
  behind: "far behind the chain", ahead: "far ahead of the chain", excess: "of nodes that name too many blocks",
  late: "that came too late", malformed: "without a valid hash",
};
