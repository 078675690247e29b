/*
 * The Chain page: where a chain is, how its blocks spread and become final, who saw them first, and what its nodes are.
 * In the address: `chain` (genesis hash or name), the span of time, `height`: the block with which the list begins, and `fact`: what of
 * the machines is shown over time.
 */
import { openPage } from "./lib/shell.js";
import { get, isAbort } from "./lib/api.js";
import { readAddress, writeAddress } from "./lib/address.js";
import { h } from "./lib/elements.js";
import { count } from "./lib/format.js";
import { spanPicker } from "./lib/span.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { createAuthors } from "./chain-authors.js";
import { createBlocks } from "./chain-blocks.js";
import { createDelays } from "./chain-delays.js";
import { createValuesOverTime, factSelect, factWords, showHardware, showLocations, softwareWords } from "./chain-nodes.js";
import { showNow } from "./chain-now.js";

const CHAINS_MAX = 1000;
const BLOCKS_MAX = 200;
const AUTHORS_MAX = 1000;
// Of machines this changes most.
const FACT_DEFAULT = "linux_kernel";
// How often a live page reads again: what is now, and what is over time.
const NOW_MS = 3000;
const OVER_TIME_MS = 30_000;
// What a click into a chart shows of the time around it.
const AROUND_MS = 300_000;

const place = (id) => document.getElementById(id);
const asked = () => readAddress({ chain: "", height: "", fact: "" });

let request = null;
let timer = 0;
let overTimeAt = 0;

openPage({ page: "chain" });
const picker = spanPicker(place("span"), { fallback: "24h", changed: () => load() });
const around = (moment) => picker.set(new Date(moment - AROUND_MS), new Date(Math.min(Date.now(), +moment + AROUND_MS)));
const zoom = { zoomed: picker.set, unzoomed: () => picker.reset(), picked: around };
const propagation = createDelays(place("propagation"), { title: "Propagation of blocks", ...zoom });
const finality = createDelays(place("finality"), { title: "Finality of blocks", ...zoom });
const drawVersions = createValuesOverTime(place("versions"));
const drawMachines = createValuesOverTime(place("machines"));
const factChoice = factSelect((fact) => go({ fact }));
place("fact").replaceChildren(factChoice);
const showAuthors = createAuthors(place("authors"));
const blocks = createBlocks(place("blocks"), go);

function go(changes) {
  writeAddress(changes, { push: true });
  load();
}

/** A choice among the chains; `chosen` is one of them. */
function showChoice(chains, chosen) {
  const names = chains.map(({ chain }) => chain);
  const nameOf = ({ chain, genesis_hash: hash }) =>
    (chain && names.filter((one) => one === chain).length === 1 ? chain : `${chain ?? "unnamed"} (${hash.slice(0, 10)}…)`);
  const title = (one) => `${nameOf(one)}: ${count(one.nodes_online)} online`;
  const before = place("chain").querySelector("select");
  const options = chains.map((one) => h("option", { value: one.genesis_hash, selected: one === chosen }, title(one)));
  if (before && document.activeElement === before) return;
  place("chain").replaceChildren(h("select", {
    "aria-label": "Chain", onchange: (event) => go({ chain: event.target.value, height: null }),
  }, options));
  place("chain").querySelector("select").value = chosen.genesis_hash;
}

/** Shows what the address says, and again after a while if it is live. */
async function load() {
  clearTimeout(timer);
  request?.abort();
  request = new AbortController();
  overTimeAt = 0;
  if (place("content").hidden) showLoading(place("state"));
  await refresh(request.signal);
}

async function refresh(signal) {
  try {
    await read(signal);
    place("problem").hidden = true;
  } catch (error) {
    if (isAbort(error)) return;
    fail(error);
  }
  timer = setTimeout(() => refresh(signal), NOW_MS);
}

async function read(signal) {
  const { chain, height } = asked();
  const chains = await get("api/v1/chains", { limit: CHAINS_MAX }, { signal });
  if (chains.length === 0) {
    place("content").hidden = true;
    showEmpty(place("state"), "No chain yet", "A chain is listed when a node of it reports a block.");
    return;
  }
  const chosen = chain === "" ? chains[0]
    : chains.find(({ genesis_hash: hash }) => hash === chain) ?? chains.find((one) => one.chain === chain)
      ?? await get(`api/v1/chains/${encodeURIComponent(chain)}`, {}, { signal });
  showChoice(chains.includes(chosen) ? chains : [chosen, ...chains], chosen);
  document.title = `${chosen.chain ?? "Chain"} · tetcore-analytics`;
  showNow(place("now"), chosen);
  const route = `api/v1/chains/${encodeURIComponent(chosen.genesis_hash)}`;
  const { from, to, live } = picker.get();
  const span = { start_time: from.toISOString(), end_time: to.toISOString() };
  const within = live ? {} : span;
  const newest = await get(`${route}/blocks`, { ...within, height, limit: BLOCKS_MAX }, { signal });
  blocks.replace(newest, chosen);
  place("blocks-more").hidden = newest.length < BLOCKS_MAX;
  show();
  if (Date.now() - overTimeAt < OVER_TIME_MS) return;
  const fact = factWords(asked().fact) ? asked().fact : FACT_DEFAULT;
  const [spread, finals, versions, hardware, locations, authors] = await Promise.all([
    get(`${route}/propagation`, span, { signal }), get(`${route}/finality`, span, { signal }),
    get(`${route}/versions`, { end_time: span.end_time }, { signal }), get(`${route}/hardware`, { fact, end_time: span.end_time }, { signal }),
    get(`${route}/locations`, {}, { signal }),
    get(`${route}/authors`, { ...span, limit: AUTHORS_MAX }, { signal }),
  ]);
  overTimeAt = Date.now();
  propagation(spread, { from, to });
  finality(finals, { from, to });
  drawVersions(versions, softwareWords, "Nodes by version");
  showHardware(place("hardware"), hardware);
  factChoice.value = fact;
  drawMachines(hardware.over_time, ({ value }) => value, `Nodes by ${factWords(fact)}`);
  place("locations-card").hidden = locations.precision === null || locations.nodes === 0;
  showLocations(place("locations"), locations, chosen.genesis_hash);
  showAuthors(authors);
}

function show() {
  place("state").replaceChildren();
  place("content").hidden = false;
}

/** What is shown stays, with a note, unless there is nothing yet. */
function fail(error) {
  if (place("content").hidden) {
    showError(place("state"), error, load);
    return;
  }
  place("problem").textContent = `${error.message} What is shown may be old.`;
  place("problem").hidden = false;
}

load();
