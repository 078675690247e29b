/*
 * The Server page: whether this server is well. It reads /metrics and /health every two seconds while it can be
 * seen, keeps the last answers while the server is away, and goes on by itself.
 */
import { openPage } from "./lib/shell.js";
import { get, getText } from "./lib/api.js";
import { h, timeElement } from "./lib/elements.js";
import { age, bytes, bytesPerSecond, count, counted, percent, perSecond, toDate, MISSING } from "./lib/format.js";
import { Metrics, growth, quantile, rate } from "./lib/metrics.js";
import { reasonWords } from "./lib/reasons.js";
import { judge, lostSince, LOSSES, OWN, REFUSALS } from "./server-verdict.js";
import { card, facts, meters, more, relations, rows, scroll, setText, tiles } from "./server-parts.js";
import { seconds, serverCharts } from "./server-charts.js";

openPage({ page: "server" });

const POLL_MS = 2000;
const PATIENCE_MS = 8000;
const SIZES_MS = 30_000;
// The answers that are kept, for rates of up to a minute.
const KEPT_MS = 62_000;
const DAY_S = 86_400;

const place = (id) => document.getElementById(id);
const verdict = buildVerdict();
const parts = buildParts();

let answers = [];
let version = null;
let lastAt = null;
let sizesAt = 0;
let failure = null;
let timer = 0;
let isAsking = false;

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) poll();
  else setText(place("asked"), "Paused while the page is out of sight");
});
poll();

async function poll() {
  clearTimeout(timer);
  if (isAsking) return;
  isAsking = true;
  const begun = Date.now();
  const options = { tries: 1, signal: AbortSignal.timeout(PATIENCE_MS) };
  try {
    // A server that takes no telemetry answers 503, with the reason.
    const [text, ready] = await Promise.all([
      getText("metrics", {}, options), get("health", {}, { ...options, accepted: [503] }),
    ]);
    if (failure !== null || version === null) await askVersion(options);
    failure = null;
    take(new Metrics(text), ready);
    if (ready.status === "ok" && Date.now() - sizesAt > SIZES_MS) askSizes();
  } catch (error) {
    failure = error;
    showAway(error);
  }
  isAsking = false;
  if (!document.hidden) timer = setTimeout(poll, Math.max(250, (answers.length < 2 ? POLL_MS / 2 : POLL_MS) - (Date.now() - begun)));
}

async function askVersion(options) {
  const told = await get("stats/version", {}, options);
  // Another run counts from zero.
  if (version && version.started_at !== told.started_at) answers = [];
  version = told;
}

async function askSizes() {
  sizesAt = Date.now();
  try {
    parts.sizes.show(await get("stats/db", {}, { tries: 1 }), sizesAt);
  } catch (error) {
    parts.sizes.fail(error);
  }
}

/** The oldest answer that is at most so long ago; null if there is only the newest. */
function earlier(millis) {
  const now = answers.at(-1);
  const found = answers.find(({ at }) => now.at - at <= millis + POLL_MS / 2);
  return found === now ? null : found;
}

function take(now, ready) {
  const previous = answers.at(-1);
  const received = `${OWN}ingest_messages_received_total`;
  if (previous && growth(previous.sum(received), now.sum(received)) === null) answers = [];
  if (lastAt && now.at - lastAt > 3 * POLL_MS) parts.charts.gap(lastAt + POLL_MS);
  lastAt = now.at;
  answers = [...answers.filter(({ at }) => now.at - at <= KEPT_MS), now];
  const before = earlier(10_000);
  show(now, before, earlier(60_000), ready);
  parts.charts.add(now, before, earlier(30_000));
}

function show(now, before, minute, ready) {
  const findings = judge({ now, before: minute, ready });
  const [worst] = findings;
  const level = worst && worst.level !== "note" ? worst.level : "well";
  const heads = { trouble: ["✕ Trouble", worst?.what], attention: ["! Attention", worst?.what], well: ["✓ Healthy", "All telemetry received is stored; no message lost since start."] };
  verdict.show(level, ...heads[level], findings);
  place("parts").classList.remove("is-old");
  const since = toDate(version.started_at);
  setText(place("about"), `${version.name} ${version.version}, up ${age((now.at - since.getTime()) / 1000)}`);
  place("asked").replaceChildren("Updates every 2 s, last ", timeElement(now.at));
  showFigures(now, before);
  showLosses(now, minute);
  showLimits(now);
  showDatabase(now, before, ready);
  showConnections(now, minute);
  showHttp(now);
  showKinds(now, before);
}

/** What was shown stays, with its time. */
function showAway(error) {
  const when = lastAt ? ["What is shown is from ", timeElement(lastAt), ". "] : [];
  verdict.show("away", "✕ Offline", error.message, [], ...when, `Trying again every ${POLL_MS / 1000} s.`);
  place("parts").classList.toggle("is-old", lastAt !== null);
  place("asked").replaceChildren("No answer ", timeElement(Date.now()));
}

function buildVerdict() {
  const word = h("strong", {}, "…");
  const what = h("span", {}, "Loading…");
  // Screen readers get changes for better or worse, not each number.
  const head = h("p", { class: "verdict-head" }, word, what);
  const said = h("p", { class: "unseen", role: "status" });
  const note = h("p", { class: "quiet-text" });
  const list = h("ul", { class: "findings", "aria-label": "Findings" });
  const box = h("section", { class: "verdict", "aria-label": "Verdict", "data-level": "waiting" }, head, note, list, said);
  place("verdict").append(box);
  const items = new Map();
  const item = (index) => {
    if (!items.has(index)) {
      const made = { mark: h("span", { class: "mark", "aria-hidden": "true" }), what: h("p"), advice: h("p", { class: "advice" }) };
      made.element = h("li", {}, made.mark, h("div", {}, made.what, made.advice));
      items.set(index, made);
    }
    return items.get(index);
  };
  const marks = { trouble: ["✕", "mark bad"], attention: ["!", "mark warn"], note: ["i", "mark quiet-text"] };
  const show = (level, title, text, findings, ...words) => {
    if (box.dataset.level !== level) setText(said, `${title.slice(2)}. ${text}`);
    box.dataset.level = level;
    setText(word, title);
    setText(what, text);
    note.replaceChildren(...words);
    note.hidden = words.length === 0;
    list.replaceChildren(...findings.map((finding, index) => {
      const { element, mark, what: sentence, advice } = item(index);
      const [sign, className] = marks[finding.level];
      setText(mark, sign);
      mark.className = className;
      // The worst stands in the head already.
      setText(sentence, index === 0 && finding.what === text ? "" : finding.what);
      setText(advice, finding.advice);
      return element;
    }));
  };
  return { show };
}

function buildParts() {
  const figures = tiles({
    received: "Received", stored: "Stored", bytes: "Telemetry", pending: "Waiting", lost: "Lost", connections: "Connections", commit: "Time to store (p99)",
    memory: "Memory",
  });
  const lossRows = rows(null, [["Why"], ["In the last minute", true], ["Since the start", true], ["What to do", false, "advice"]]);
  const lossState = h("p", { class: "chip" });
  const balance = h("p", { class: "quiet-text" });
  const limits = meters("Used of limits");
  const database = facts();
  const sizes = relations();
  const disk = facts();
  const purge = facts();
  const connections = facts();
  const refused = rows("Refused", [["Why"], ["In the last minute", true], ["Since the start", true], ["What to do", false, "advice"]]);
  const closed = rows("Ended", [["Why"], ["Since the start", true]]);
  const feed = facts();
  const http = rows(null, [["Route"], ["Requests", true], ["Errors 5xx", true], ["Median", true], ["99 %", true]]);
  const kinds = rows(null, [["Kind of message"], ["Messages", true], ["Each second", true]]);
  const chains = rows("Sessions by chain", [["Chain"], ["Sessions", true]]);
  const graphs = h("div", { class: "cards" });
  place("parts").append(figures.element,
    card("Losses", h("div", { class: "bar" }, lossState, balance), scroll("Losses by reason", lossRows.element)), graphs,
    h("div", { class: "cards" },
      card("Limits", limits.element),
      card("Database", database.element, sizes.element),
      card("Connections of nodes", connections.element, scroll("Refused connections", refused.element), more("Ended connections, by reason", closed.element)),
      card("Disk", disk.element),
      card("Purge", purge.element),
      card("Live feed", feed.element),
      card("Messages received", scroll("Messages by kind", kinds.element), more("Sessions by chain", chains.element), more("HTTP by route", http.element))));
  return {
    figures, lossRows, lossState, balance, limits, database, sizes, disk, purge, connections, refused, closed, feed, http, kinds, chains,
    charts: serverCharts(graphs),
  };
}

function showFigures(now, before) {
  const own = (name) => now.value(OWN + name);
  const lost = lossesOf(now, "dropped");
  const [pending, spooled] = [own("ingest_pending"), own("store_spool_messages")];
  const commit = before && quantile(before, now, `${OWN}store_receive_to_commit_seconds`, 0.99);
  const median = before && quantile(before, now, `${OWN}store_receive_to_commit_seconds`, 0.5);
  const total = (name) => `${count(now.sum(OWN + name))} in all`;
  parts.figures.show({
    received: [perSecond(rate(before, now, `${OWN}ingest_messages_received_total`)), total("ingest_messages_received_total")],
    stored: [perSecond(rate(before, now, `${OWN}ingest_messages_stored_total`)), total("ingest_messages_stored_total")],
    bytes: [bytesPerSecond(rate(before, now, `${OWN}ingest_received_bytes_total`)), `${bytes(own("ingest_received_bytes_total"))} in all`],
    pending: [count(pending), spooled > 0 ? `messages, ${count(spooled)} on disk` : "messages, none on disk", spooled > 0 ? "warn" : ""],
    lost: [count(lost), "messages since the start", lost > 0 ? "bad" : ""],
    connections: [count(own("ingest_connections")), counted(own("ingest_sessions"), "session")],
    commit: [seconds(commit), `median ${seconds(median)}`],
    memory: [bytes(now.value("process_resident_memory_bytes")), `of ${bytes(own("host_memory_bytes"))}`],
  });
}

/** Losses that no setting intends. */
function lossesOf(now, kind) {
  const { name, label, intended } = LOSSES[kind];
  return now.by(name, label).reduce((sum, [reason, value]) => (intended.includes(reason) ? sum : sum + value), 0);
}

function showLosses(now, minute) {
  const all = Object.entries(LOSSES).flatMap(([kind, { title, label, name, reasons, intended }]) =>
    now.by(name, label).filter(([, value]) => value > 0).map(([reason, value]) => {
      const [words, advice] = reasons[reason] ?? [reason, ""];
      const tone = intended.includes(reason) ? "" : kind === "dropped" ? "bad" : "warn";
      return {
        key: `${kind} ${reason}`, tone, cells: [`${title}: ${words}`, count(lostSince(minute, now, { name, label }, reason)), count(value), advice],
      };
    }));
  parts.lossRows.show(all);
  const lost = lossesOf(now, "dropped");
  setText(parts.lossState, lost > 0 ? `✕ ${counted(lost, "message")} lost since the server started` : "✓ No message was lost since the server started");
  parts.lossState.className = lost > 0 ? "chip bad" : "chip good";
  const sum = (name) => now.sum(`${OWN}ingest_${name}`) ?? 0;
  setText(parts.balance, `${count(sum("messages_received_total"))} received = ${count(sum("messages_stored_total"))} stored + ${
    count(sum("pending"))} waiting + ${count(sum("messages_dropped_total"))} dropped + ${
    count(sum("messages_rejected_total"))} refused by the database + ${count(sum("messages_undecodable_total"))} invalid frames`);
}

function showLimits(now) {
  const own = (name) => now.value(OWN + name);
  const queue = own("query_pool_connections");
  const memory = own("host_memory_bytes");
  parts.limits.show([
    { name: "Queue, messages", used: own("ingest_queue_messages"), limit: own("ingest_queue_messages_max") },
    { name: "Queue, bytes", used: own("ingest_queue_bytes"), limit: own("ingest_queue_bytes_max"), format: bytes },
    { name: "Messages in parts, bytes", used: own("ingest_part_bytes"), limit: own("ingest_queue_bytes_max"), format: bytes },
    { name: "Spool", used: own("store_spool_bytes"), limit: own("store_spool_bytes_max"), format: bytes },
    { name: "Writers at work", used: own("store_batches_in_flight"), limit: own("store_writers") },
    { name: "Queries", used: queue === null ? null : queue - own("query_pool_idle"), limit: own("query_pool_connections_max") },
    { name: "Kinds of messages", used: own("store_kinds"), limit: own("store_kinds_max") },
    { name: "Open files", used: now.value("process_open_fds"), limit: now.value("process_max_fds") },
    { name: "Memory of the machine", used: memory === null ? null : memory - own("host_memory_available_bytes"), limit: memory, format: bytes },
    { name: "Load of the machine", used: own("host_load1"), limit: own("host_cpus"), format: (value) => count(value, 1) },
  ]);
}

function showDatabase(now, before, ready) {
  const own = (name) => now.value(OWN + name);
  const wrong = (ready.checks ?? []).filter(({ name, ok }) => !ok && name !== "server").map(({ message }) => message);
  parts.database.show({
    State: wrong.length > 0 ? h("strong", { class: "bad" }, `✕ ${wrong.join("; ")}`) : h("span", { class: "good" }, "✓ up, and storing"),
    "Batches stored": `${count(own("store_batch_seconds_count"))}, ${perSecond(rate(before, now, `${OWN}store_batch_seconds_count`))}, mean of ${
      count(own("store_batch_rows_sum") / (own("store_batch_rows_count") || 1))} messages`,
    "Sent again": `${count(own("store_write_retries_total"))}, of which ${count(own("store_batches_recognised_total"))} were stored already`,
    "Written to disk": `${counted(own("store_spool_written_total"), "batch", "batches")} in all; ${counted(own("store_spool_batches"), "batch", "batches")} (${
      bytes(own("store_spool_bytes"))}) there now`,
  });
  const [grown, left] = ["disk_growth_bytes_per_second", "disk_full_in_seconds"].map((name) => own(name) ?? NaN);
  const until = Number.isFinite(left) ? `, full in ${counted(Math.floor(left / DAY_S), "day")}` : left === Infinity ? ", enough for LOG_EXPIRY_H" : "";
  parts.disk.show({
    Free: `${bytes(own("disk_available_bytes"))}${until}`,
    "Messages take": Number.isFinite(grown) ? `${bytes(grown * DAY_S)} a day` : "not known yet: it takes ten minutes of messages",
  });
  const oldest = own("retention_oldest_partition_age_seconds");
  parts.purge.show({
    "Oldest partition": oldest > 0 ? `began ${age(oldest)} ago` : MISSING,
    Partitions: now.by(`${OWN}retention_partitions`, "kept").map(([kept, number]) => `${count(number)} ${kept}`).join(", "),
    Purges: `${count(own("retention_purge_seconds_count"))}, mean of ${seconds(own("retention_purge_seconds_sum") / (own("retention_purge_seconds_count") || 1))}`,
    Purged: `${counted(own("retention_purged_partitions_total"), "partition")}, ${counted(own("retention_purged_sessions_total"), "session")} without messages`,
    Failed: count(own("retention_failures_total")),
  });
}

function showConnections(now, minute) {
  const own = (name) => now.value(OWN + name);
  const cut = now.by(`${OWN}http_connections_cut_total`, "reason").filter(([, value]) => value > 0);
  parts.connections.show({
    Open: `${count(own("ingest_connections"))} with ${counted(own("ingest_sessions"), "session")}`,
    "Opened in all": count(own("ingest_connections_opened_total")),
    "Addresses blocked": count(own("ingest_addresses_blocked_total")),
    "HTTP connections cut": cut.length > 0 ? cut.map(([reason, value]) => `${count(value)} ${words(reason)}`).join(", ") : "none",
  });
  const counter = { name: `${OWN}ingest_connections_refused_total`, label: "reason" };
  parts.refused.show(now.by(counter.name, counter.label).filter(([, value]) => value > 0).map(([reason, value]) => {
    const [why, advice] = REFUSALS[reason] ?? [words(reason), ""];
    return { key: reason, tone: "warn", cells: [why, count(lostSince(minute, now, counter, reason)), count(value), advice] };
  }));
  parts.closed.show(now.by(`${OWN}ingest_connections_closed_total`, "reason").filter(([, value]) => value > 0)
    .map(([reason, value]) => ({ key: reason, cells: [reasonWords(reason), count(value)] })));
  const missed = now.by(`${OWN}feed_messages_missed_total`, "reason").filter(([, value]) => value > 0);
  parts.feed.show({
    Subscribers: `${count(own("feed_subscribers"))} with ${counted(own("feed_subscriptions"), "subscription")}`,
    "Messages sent": `${count(own("feed_messages_sent_total"))}, ${perSecond(rate(minute, now, `${OWN}feed_messages_sent_total`))}`,
    "Delay, 99 %": seconds(minute && quantile(minute, now, `${OWN}feed_delay_seconds`, 0.99)),
    Missed: missed.length > 0 ? missed.map(([reason, value]) => `${count(value)} ${words(reason)}`).join(", ") : "none",
    "Removed": `${counted(own("feed_subscribers_dropped_total"), "subscriber")} that read too slowly`,
    "From other servers": counted(own("feed_messages_relayed_total"), "message"),
  });
}

function showHttp(now) {
  const name = `${OWN}http_requests_total`;
  parts.http.show(now.by(name, "route").slice(0, 30).map(([route, requests]) => {
    const failed = now.all(name).reduce((sum, { labels, value }) => (labels.route === route && labels.status.startsWith("5") ? sum + value : sum), 0);
    const took = (share) => seconds(quantile(null, now, `${OWN}http_request_seconds`, share, (labels) => labels.route === route));
    return { key: route, tone: failed > 0 ? "warn" : "", cells: [route, count(requests), count(failed), took(0.5), took(0.99)] };
  }));
}

function showKinds(now, before) {
  const name = `${OWN}ingest_messages_by_kind_total`;
  const each = (kind) => before && growth(valueOf(before, name, kind), valueOf(now, name, kind));
  parts.kinds.show(now.by(name, "msg").filter(([, value]) => value > 0).slice(0, 50).map(([kind, value]) => {
    const grown = each(kind);
    return { key: kind, cells: [kind, count(value), perSecond(grown === null ? null : grown / ((now.at - before.at) / 1000))] };
  }));
  parts.chains.show(now.by(`${OWN}ingest_sessions_by_chain`, "chain").filter(([, value]) => value > 0).slice(0, 50)
    .map(([chain, value]) => ({ key: chain, cells: [chain, count(value)] })));
}

const valueOf = (metrics, name, kind) => metrics.all(name).find(({ labels }) => labels.msg === kind)?.value ?? 0;

const words = (reason) => reason.replaceAll("_", " ");
