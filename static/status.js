/*
 * The Status page: what is wrong now, the chains, and what changed lately. The feed tells when something changes; it is
 * read anew then, and every now and then.
 */
import { openPage } from "./lib/shell.js";
import { get, getWithHeaders } from "./lib/api.js";
import { feed } from "./lib/feed.js";
import { h, sinceElement, timeElement } from "./lib/elements.js";
import { age, count, counted, hashShort, timeLocal } from "./lib/format.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { createErrors } from "./status-errors.js";
import { isSilent, stateMeaning, stateTone, stateWords, whyWords } from "./lib/status.js";

// Read anew so often, and so long after a change, so that many of them cost one reading.
const EVERY_MS = 15_000;
const AFTER_CHANGE_MS = 500;
const WRONG_MAX = 100;
const CHANGES = 50;
const FLAPPING_MAX = 20;
// So many of the metrics of a service are shown.
const METRICS_MAX = 8;

const OUTAGES = {
  not_judged: "Nobody judged the nodes: no server ran, or the database was away.",
  projection: "The projection of the nodes is built anew.",
  server_away: "A server is away: its nodes may be well.",
  storage: "A server cannot store at once what it receives.",
};

openPage({ page: "status" });
const part = (id) => document.getElementById(id);
for (const id of ["wrong", "chains", "errors", "changes"]) showLoading(part(id));
part("older").addEventListener("click", () => readOlder());
const readErrors = createErrors(part("errors"), part("older-errors"));

let timer = 0;
let older = null;
// Pages of changes that the reader asked for beside the newest.
let extra = [];

async function read() {
  clearTimeout(timer);
  try {
    const [status, wrong, changes, flapping, services] = await Promise.all([
      get("api/v1/status"), getWithHeaders("api/v1/nodes", { attention: true, sort: "state", limit: WRONG_MAX }),
      getWithHeaders("api/v1/status/changes", { limit: CHANGES }), get("api/v1/status/flapping", { limit: FLAPPING_MAX }), get("api/v1/services"), readErrors(),
    ]);
    showVerdict(status);
    showNotices(status);
    showWrong(status, wrong.body, wrong.headers.get("X-Next-Cursor") !== null);
    showChains(status.chains);
    showFlapping(flapping);
    showServices(services);
    if (extra.length === 0) older = changes.headers.get("X-Next-Cursor");
    showChanges(changes.body);
    part("updated").textContent = `Updated ${timeLocal(Date.now()).slice(11)}`;
  } catch (error) {
    showError(part("wrong"), error, read);
  }
  timer = setTimeout(read, EVERY_MS);
}

async function readOlder() {
  try {
    const { body, headers } = await getWithHeaders("api/v1/status/changes", { limit: CHANGES, cursor: older });
    extra = extra.concat(body);
    older = headers.get("X-Next-Cursor");
  } catch (error) {
    showError(part("changes"), error, readOlder);
    return;
  }
  read();
}

const ATTENTION = ["conflict", "offline", "missing", "telemetry_lost", "stalled", "lagging", "late"];

function showVerdict({ chains, judged_at: judgedAt, is_judged: isJudged }) {
  const place = part("verdict");
  const nodes = chains.reduce((sum, chain) => sum + chain.nodes, 0);
  const wrong = chains.reduce((sum, { states }) => sum + ATTENTION.reduce((all, state) => all + (states[state] ?? 0), 0), 0);
  place.className = `verdict ${!isJudged ? "warn" : wrong > 0 ? "bad" : "good"}`;
  if (!isJudged) place.textContent = judgedAt ? `Nodes are not judged since ${timeLocal(judgedAt)}.` : "Nodes have not been judged yet.";
  else if (nodes === 0) place.textContent = "No nodes within the last day.";
  else place.textContent = wrong > 0 ? `${count(wrong)} of ${counted(nodes, "node")} ${wrong === 1 ? "needs" : "need"} attention.` : `All well: ${counted(nodes, "node")}.`;
}

function showNotices({ outages }) {
  part("notices").replaceChildren(...outages.map((outage) => h("p", { class: "notice" }, OUTAGES[outage.cause] ?? outage.cause,
    " Silence says nothing about nodes meanwhile. Since ", timeElement(outage.start_time), ".")));
}

function showWrong({ chains }, nodes, hasMore) {
  const place = part("wrong");
  const lost = chains.filter((chain) => chain.state === "telemetry_lost");
  if (nodes.length === 0 && lost.length === 0) {
    showEmpty(place, "Nothing needs attention.", "Silent telemetry is no proof of a dead node, and talking nodes are no proof of a healthy network.");
    return;
  }
  place.replaceChildren(h("ul", { class: "lines" },
    lost.map((chain) => h("li", {}, stateChip(chain.state), h("span", { class: "name" }, chainLink(chain)),
      h("span", { class: "why" }, "most of its nodes fell silent at once"), sinceElement(chain.since))),
    nodes.map((node) => h("li", {}, stateChip(node.state), h("a", { class: "name", href: nodeAddress(node) }, nameOf(node)),
      h("span", { class: "why" }, whyOf(node)), sinceElement(node.state_since, isSilent(node.state) ? "last message" : "since"),
      node.chain && h("span", { class: "quiet-text" }, node.chain))),
    hasMore && h("li", {}, h("a", { href: "./?where.trouble=any" }, "All that need attention"))));
}

function whyOf({ state, state_reason: reason, behind, finality_lag: lag }) {
  const told = [whyWords(reason)];
  if (state === "stalled" && behind) told.push(`${counted(behind, "block")} behind its chain`);
  if (state === "lagging" && lag) told.push(`${counted(lag, "block")} between best and finalized`);
  return told.filter(Boolean).join(", ");
}

function showChains(chains) {
  const place = part("chains");
  if (chains.length === 0) {
    showEmpty(place, "No nodes within the last day.");
    return;
  }
  place.replaceChildren(h("ul", { class: "lines" }, chains.map((chain) => h("li", {},
    h("span", { class: "name" }, chainLink(chain)), h("span", {}, counted(chain.nodes, "node")),
    h("span", { class: "parts" }, Object.entries(chain.states).toSorted(byTrouble).map(([state, number]) => h("a", {
      class: `chip ${stateTone(state)}`, href: `./?chain=${encodeURIComponent(idOf(chain))}&where.state=${state}`, title: stateMeaning(state),
    }, `${count(number)} ${stateWords(state)}`))),
    h("span", { class: "quiet-text" }, [chain.best_height !== null && `best ${count(chain.best_height)}`,
      chain.finalized_height !== null && `finalized ${count(chain.finalized_height)}`].filter(Boolean).join(", "))))));
}

function showFlapping(nodes) {
  part("flapping-card").hidden = nodes.length === 0;
  part("flapping").replaceChildren(h("ul", { class: "lines" }, nodes.map((node) => h("li", {},
    h("a", { class: "name", href: nodeAddress(node) }, nameOf(node)), h("span", {}, `fell silent ${counted(node.falls, "time")} in 24 h`),
    h("span", { class: "quiet-text" }, "last ", timeElement(node.last_at)), node.chain && h("span", { class: "quiet-text" }, node.chain)))));
}

function showServices(services) {
  part("services-card").hidden = services.length === 0;
  const worst = services.toSorted((one, other) => rank(one.state) - rank(other.state) || (one.service < other.service ? -1 : 1));
  part("services").replaceChildren(h("ul", { class: "lines" }, worst.map((one) => h("li", {},
    stateChip(one.state), h("span", { class: "name" }, one.service), sinceElement(one.since, isSilent(one.state) ? "last heartbeat" : "since"),
    h("span", { class: "quiet-text" }, `each ${age(one.interval_s)}`),
    h("span", { class: "quiet-text" }, Object.entries(one.metrics).slice(0, METRICS_MAX).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", "))))));
}

const byTrouble = ([one], [other]) => rank(one) - rank(other);
const rank = (state) => (ATTENTION.includes(state) ? ATTENTION.indexOf(state) : state === "syncing" ? ATTENTION.length : ATTENTION.length + 1);

function showChanges(newest) {
  const place = part("changes");
  const known = new Set(newest.map(({ id }) => id));
  const changes = newest.concat(extra.filter(({ id }) => !known.has(id)));
  part("older").hidden = older === null;
  if (changes.length === 0) {
    showEmpty(place, "Nothing has changed yet.");
    return;
  }
  place.replaceChildren(h("ul", { class: "lines" }, changes.map((change) => h("li", {},
    timeElement(change.changed_at), change.subject === "service" ? h("span", { class: "name" }, change.name) : change.subject === "chain"
      ? h("span", { class: "name" }, "Chain ", chainLink(change), ` (${counted(change.nodes ?? 0, "node")})`)
      : h("a", { class: "name", href: nodeAddress(change) }, nameOf(change)),
    h("span", {}, change.from_state && `${stateWords(change.from_state)} → `, stateChip(change.to_state)),
    h("span", { class: "why" }, whyWords(change.reason))))));
}

const stateChip = (state) => h("span", { class: `chip ${stateTone(state)}`, title: stateMeaning(state) }, stateWords(state));
const nameOf = (node) => node.name || hashShort(node.peer_id);
const nodeAddress = (node) => `node?peer_id=${encodeURIComponent(node.peer_id)}`;
const idOf = ({ genesis_hash: genesis, chain }) => genesis ?? `name:${chain ?? ""}`;
const chainLink = (chain) => h("a", { href: `./?chain=${encodeURIComponent(idOf(chain))}` }, chain.chain || hashShort(chain.genesis_hash));

feed.subscribe({ topic: "status" }, {
  data({ status }) {
    if (status.length === 0) return;
    clearTimeout(timer);
    timer = setTimeout(read, AFTER_CHANGE_MS);
  },
});
read();
