/*
 * The Reputation page: reputations that nodes give their peers, from their reports (system.network_state).
 */
import { openPage } from "./lib/shell.js";
import { get, isAbort } from "./lib/api.js";
import { onAddress, readAddress, writeAddress } from "./lib/address.js";
import { feed } from "./lib/feed.js";
import { copyButton, h, timeElement } from "./lib/elements.js";
import { spanPicker } from "./lib/span.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { createMatrix } from "./reputation-matrix.js";
import { OverTime } from "./reputation-chart.js";
import { Names } from "./reputation-words.js";

openPage({ page: "reputation" });

const POLL_MS = 5000;
// Requests take at most this share of the time.
const PACE = 20;
const NAMES_MS = 60_000;
const SUGGESTIONS_MAX = 50;

const place = (id) => document.getElementById(id);
let peer = "";
let isRead = false;
let failure = null;
let namesAt = 0;
let timer = 0;
let asking = null;

const names = new Names();
const matrix = createMatrix(place("matrix"), { names, choose, asked: () => poll(), empty: explainEmpty });
const picker = spanPicker(place("span"), { fallback: "1h", changed: () => overTime.load(peer) });
const overTime = new OverTime({ chartPlace: place("chart"), tablePlace: place("opinions"), picker, names });
const peerField = buildPeerField();

// A new connection shows that the server is back; nodes that come have names.
feed.subscribe({ topic: "presence" }, {
  begin: () => poll(),
  data: () => { namesAt = 0; },
});
onAddress(() => show(readAddress({ peer_id: "" }).peer_id || matrix.peers[0] || ""));
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) poll();
});
poll();

async function poll() {
  clearTimeout(timer);
  asking?.abort();
  const request = new AbortController();
  asking = request;
  const begun = performance.now();
  try {
    if (Date.now() - namesAt > NAMES_MS) {
      await names.read();
      namesAt = Date.now();
    }
    const { path, params } = matrix.question;
    const reports = await get(path, params, { signal: request.signal });
    failure = null;
    isRead = true;
    matrix.update(reports);
    const asked = readAddress({ peer_id: "" }).peer_id || peer || matrix.peers[0] || "";
    if (asked !== peer || (asked === "" && !place("chart").querySelector(".empty"))) show(asked);
    else await overTime.refresh();
    place("updated").replaceChildren("Updated ", timeElement(Date.now()));
  } catch (error) {
    if (request.signal.aborted) return;
    if (!isAbort(error)) fail(error);
  }
  const took = performance.now() - begun;
  if (!document.hidden && asking === request) timer = setTimeout(poll, Math.max(POLL_MS, took * PACE));
}

function fail(error) {
  failure = error;
  const before = place("updated").querySelector("time");
  place("updated").replaceChildren(h("span", { class: "bad", role: "alert" }, `${error.message} `), ...(before ? ["What is shown is from ", before] : []));
  if (!isRead) showError(place("chart"), error, () => poll());
  matrix.explain();
}

function choose(chosen) {
  writeAddress({ peer_id: chosen }, { push: true });
  show(chosen);
  scrollTo({ top: 0 });
}

/** Shows the reputation of a peer; "" if there is none. */
function show(chosen) {
  peer = chosen;
  peerField.value = chosen ? names.of(chosen) : "";
  const facts = place("peer-facts");
  facts.hidden = !chosen;
  if (!chosen) {
    explainEmpty(place("chart"));
    overTime.clear();
    return;
  }
  facts.replaceChildren(h("code", {}, chosen), copyButton(chosen), " ",
    names.isKnown(chosen) ? h("a", { href: `node?peer_id=${encodeURIComponent(chosen)}` }, "Its page")
      : h("span", {}, "It never connected to this server."));
  overTime.load(chosen);
}

function buildPeerField() {
  const list = h("datalist", { id: "peers" });
  const field = h("input", {
    type: "search", list: "peers", "aria-label": "Peer", placeholder: "Name or peer id", spellcheck: "false", autocomplete: "off", class: "peer-field",
    oninput: () => suggest(), onfocus: () => suggest(), onchange: () => take(),
  });
  const label = (id, name) => (name.includes("…") ? id : `${name} · ${id}`);
  const suggest = () => list.replaceChildren(...names.find(field.value, matrix.peers, SUGGESTIONS_MAX).map(([id, name]) => h("option", { value: label(id, name) })));
  const take = () => {
    const typed = field.value.trim();
    const id = typed.split(" · ").at(-1);
    const found = matrix.peers.find((one) => one === id) ?? names.find(typed, matrix.peers, 1)[0]?.[0] ?? id;
    if (found && found !== peer) choose(found);
    else field.value = peer ? names.of(peer) : "";
  };
  place("peer").append(field, list);
  return field;
}

function explainEmpty(where) {
  if (failure && !isRead) showError(where, failure, () => poll());
  else if (!isRead) showLoading(where, "Loading reputation reports…");
  else if (where === place("chart")) {
    showEmpty(where, "No reputation reports in this time range.",
      "Nodes since 2021 do not send them (system.network_state). If yours do, choose older reports below.",
      h("p", {}, h("a", { href: "./" }, "All nodes")));
  } else showEmpty(where, `There are no reports ${matrix.ageText}.`, "Choose older ones above.");
}
