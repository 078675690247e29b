/*
 * The Alerts page: what is wrong for long enough, what is silenced, where alerts are delivered, and what was resolved. In
 * the address: `severity`, the least grave that is shown.
 */
import { openPage } from "./lib/shell.js";
import { get, getWithHeaders } from "./lib/api.js";
import { onAddress, readAddress, writeAddress } from "./lib/address.js";
import { feed } from "./lib/feed.js";
import { openForm } from "./lib/form.js";
import { h, say, sinceElement, timeElement } from "./lib/elements.js";
import { age, count, counted, hashShort, timeLocal } from "./lib/format.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";

// Read anew so often, and so long after a change of status, which alerts follow within a second.
const EVERY_MS = 10_000;
const AFTER_CHANGE_MS = 1500;
const OPEN_MAX = 500;
const RESOLVED = 50;
const HOUR_MS = 3_600_000;

const TONES = { critical: "bad", warning: "warn", info: "" };
const GRAVE = Object.keys(TONES);

openPage({ page: "alerts" });
const part = (id) => document.getElementById(id);
for (const id of ["open", "silences", "targets", "resolved"]) showLoading(part(id));
part("older").addEventListener("click", () => readOlder());
part("silence").addEventListener("click", () => enterSilence({}));

const severity = () => readAddress({ severity: "" }).severity;
const choice = h("select", { "aria-label": "Severity", onchange: () => choose(choice.value) },
  [["", "All"], ["warning", "Warning and critical"], ["critical", "Critical"]].map(([value, text]) => h("option", { value }, text)));
part("choice").append(choice);
choice.value = severity();

let timer = 0;
let rules = new Map();
let older = null;
// Pages of resolved alerts that the reader asked for beside the newest.
let extra = [];
// Alerts of which cause and action are shown.
const unfolded = new Set();

function choose(value) {
  writeAddress({ severity: value }, { push: true });
  extra = [];
  read();
}

async function read() {
  clearTimeout(timer);
  choice.value = severity();
  try {
    if (rules.size === 0) rules = new Map((await get("api/v1/alerts/rules")).map((rule) => [rule.name, rule]));
    const asked = { severity: severity() };
    const [open, resolved, silences, targets] = await Promise.all([
      getWithHeaders("api/v1/alerts", { ...asked, open: true, limit: OPEN_MAX }), getWithHeaders("api/v1/alerts", { ...asked, open: false, limit: RESOLVED }),
      get("api/v1/alerts/silences"), get("api/v1/alerts/targets"),
    ]);
    const hasMore = open.headers.get("X-Next-Cursor") !== null;
    showVerdict(open.body, hasMore);
    showOpen(open.body, hasMore);
    showSilences(silences);
    showTargets(targets);
    if (extra.length === 0) older = resolved.headers.get("X-Next-Cursor");
    showResolved(resolved.body);
    part("updated").textContent = `Updated ${timeLocal(Date.now()).slice(11)}`;
  } catch (error) {
    showError(part("open"), error, read);
  }
  timer = setTimeout(read, EVERY_MS);
}

async function readOlder() {
  try {
    const { body, headers } = await getWithHeaders("api/v1/alerts", { severity: severity(), open: false, limit: RESOLVED, cursor: older });
    extra = extra.concat(body);
    older = headers.get("X-Next-Cursor");
  } catch (error) {
    showError(part("resolved"), error, readOlder);
    return;
  }
  read();
}

const painted = new Map();

/** Whether a list stays as it is: it says the same, and somebody uses it by keyboard. */
function stays(place, told) {
  const text = JSON.stringify(told);
  const isSame = painted.get(place) === text && place.contains(document.activeElement);
  painted.set(place, text);
  return isSame;
}

function showVerdict(alerts, hasMore) {
  const place = part("verdict");
  const numbers = GRAVE.map((name) => [name, alerts.filter((one) => one.severity === name).length]).filter(([, number]) => number > 0);
  const silenced = alerts.filter((one) => one.silenced).length;
  place.className = `verdict ${numbers.length === 0 ? "good" : TONES[numbers[0][0]]}`;
  const parts = numbers.map(([name, number]) => (name === "warning" ? counted(number, name) : `${count(number)} ${name}`)).join(", ");
  place.textContent = numbers.length === 0 ? "No alert is open."
    : `${hasMore ? "More than " : ""}${counted(alerts.length, "alert")} open: ${parts}${silenced > 0 ? `; ${count(silenced)} silenced` : ""}.`;
}

function showOpen(alerts, hasMore) {
  const place = part("open");
  if (stays(place, alerts)) return;
  if (alerts.length === 0) {
    showEmpty(place, "No alert is open.", h("p", {}, "What is not right yet without being an alert is on the ", h("a", { href: "status" }, "Status"), " page."));
    return;
  }
  const worst = alerts.toSorted((one, other) => one.silenced - other.silenced || GRAVE.indexOf(one.severity) - GRAVE.indexOf(other.severity) || other.id - one.id);
  place.replaceChildren(h("ul", { class: "lines" }, worst.map((alert) => h("li", {},
    head(alert), sinceElement(alert.began_at), alert.silenced && h("span", { class: "chip" }, "silenced"), flaps(alert),
    h("button", { type: "button", "aria-label": `Silence ${alert.rule} of ${nameOf(alert)}`, onclick: () => enterSilence(alert) }, "Silence"), advice(alert))),
  hasMore && h("li", {}, h("span", { class: "why" }, `The newest ${count(OPEN_MAX)} are shown.`))));
}

/** What may be behind it, and what to do; stays open while the list is read anew. */
function advice(alert) {
  const rule = rules.get(alert.rule);
  if (!rule) return null;
  return h("details", {
    class: "more", open: unfolded.has(alert.id),
    ontoggle: (event) => (event.target.open ? unfolded.add(alert.id) : unfolded.delete(alert.id)),
  }, h("summary", {}, rule.action), h("p", {}, rule.cause), h("p", {}, "Rule ", h("code", {}, alert.rule), ", fired ", timeElement(alert.fired_at), "."));
}

function head(alert) {
  return [
    h("span", { class: `chip ${TONES[alert.severity] ?? ""}` }, alert.severity), about(alert), h("span", { class: "why" }, alert.summary),
    alert.subject === "node" && alert.chain && h("a", { class: "quiet-text", href: chainAddress(alert) }, alert.chain),
  ];
}

const chainAddress = ({ genesis_hash: genesis, chain }) => `chain?${new URLSearchParams({ chain: genesis ?? chain ?? "" })}`;

/** What it is about, with the page of it. */
function about(alert) {
  const { subject } = alert;
  const address = { node: `node?${new URLSearchParams({ peer_id: alert.peer_id ?? "" })}`, chain: chainAddress(alert) }[subject] ?? "server";
  return h("a", { class: "name", href: address }, subject === "node" ? nameOf(alert) : `${subject} ${nameOf(alert)}`);
}

function nameOf({ subject, chain, genesis_hash: genesis, name, peer_id: peer, server_id: server }) {
  return subject === "chain" ? chain ?? hashShort(genesis) : name ?? (peer ? hashShort(peer) : server ?? "unknown");
}

const flaps = ({ flaps: number }) => (number > 1 ? h("span", { class: "chip", title: "It came and went: one alert until it is calm for ten minutes." }, "flaps") : null);

function showSilences(silences) {
  const place = part("silences");
  if (stays(place, silences)) return;
  if (silences.length === 0) {
    showEmpty(place, "Nothing is silenced.", "An alert that is silenced is kept and shown, and not delivered.");
    return;
  }
  place.replaceChildren(h("ul", { class: "lines" }, silences.map((silence) => h("li", {},
    h("span", { class: "name" }, whatOf(silence)), h("span", { class: "why" }, silence.comment),
    h("span", { class: "quiet-text" }, "until ", timeElement(silence.ends_at), `, ${age(Math.max(0, Date.parse(silence.ends_at) - Date.now()) / 1000)} left`),
    h("button", { type: "button", "aria-label": `End the silence of ${whatOf(silence)}`, onclick: () => endSilence(silence) }, "End")))));
}

/** "node_missing of node 12D3…abc on Polkadot". */
function whatOf({ rule, peer_id: peer, chain }) {
  return [rule ?? "All rules", peer && `of node ${hashShort(peer)}`, chain && `on ${chain.startsWith("0x") ? hashShort(chain) : chain}`].filter(Boolean).join(" ");
}

function showTargets(targets) {
  const place = part("targets");
  if (targets.length === 0) {
    showEmpty(place, "Alerts are delivered nowhere.", "NOTIFY_WEBHOOK_URL and NOTIFY_ALERTMANAGER_URL name where they go.");
    return;
  }
  place.replaceChildren(h("ul", { class: "lines" }, targets.map((target) => {
    const [tone, words] = target.disabled_at ? ["bad", "gone"] : target.pending > 0 ? ["warn", "waiting"] : target.dead > 0 ? ["warn", "delivers"] : ["good", "delivers"];
    return h("li", {}, h("span", { class: `chip ${tone}` }, words), h("span", { class: "name" }, target.name),
      h("span", {}, target.pending > 0 ? `${count(target.pending)} waiting, the oldest for ${age(target.oldest_pending_s)}` : "nothing waits"),
      target.dead > 0 && h("span", { class: "bad" }, `${count(target.dead)} given up`),
      target.disabled_at && h("span", { class: "why" }, "its receiver answered that it is gone: give it another address"),
      (target.pending > 0 || target.dead > 0) && target.last_error && h("span", { class: "why" }, `last failure: ${target.last_error}`));
  })));
}

function showResolved(newest) {
  const place = part("resolved");
  const known = new Set(newest.map(({ id }) => id));
  const alerts = newest.concat(extra.filter(({ id }) => !known.has(id)));
  part("older").hidden = older === null;
  if (alerts.length === 0) {
    showEmpty(place, "Nothing was resolved yet.");
    return;
  }
  place.replaceChildren(h("ul", { class: "lines" }, alerts.map((alert) => h("li", {}, head(alert),
    h("span", { class: "quiet-text" }, timeElement(alert.began_at), " to ", timeElement(alert.resolved_at),
      `, ${age((Date.parse(alert.resolved_at) - Date.parse(alert.began_at)) / 1000)}`), flaps(alert)))));
}

function enterSilence({ rule = "", peer_id: peer = "", subject, genesis_hash: genesis, chain }) {
  openForm({
    title: "Add silence", path: "api/v1/alerts/silences", verb: "Silence",
    fields: [
      { name: "rule", label: "Rule", kind: "choice", value: rule, options: [["", "all rules"], ...[...rules.keys()].map((name) => [name, name])] },
      { name: "peer_id", label: "Node", value: peer ?? "", hint: "Its peer id; empty for all" },
      { name: "chain", label: "Chain", value: subject === "chain" ? genesis ?? chain ?? "" : "", hint: "Its name or genesis hash; empty for all" },
      { name: "comment", label: "Comment", isRequired: true, hint: "Why, and who asks for it" },
      { name: "ends_at", label: "Ends", kind: "time", isRequired: true, value: new Date(Date.now() + HOUR_MS), hint: "By your clock" },
    ],
    sent: () => {
      say("Silenced.");
      read();
    },
  });
}

function endSilence(silence) {
  openForm({
    title: "End silence", path: `api/v1/alerts/silences/${silence.id}`, verb: "End it now", isEnd: true, fields: [],
    about: `${whatOf(silence)}: ${silence.comment}. What is still open is delivered then.`,
    sent: () => {
      say("The silence has ended.");
      read();
    },
  });
}

feed.subscribe({ topic: "status" }, {
  data({ status }) {
    if (status.length === 0) return;
    clearTimeout(timer);
    timer = setTimeout(read, AFTER_CHANGE_MS);
  },
});
onAddress(() => {
  extra = [];
  read();
});
read();
