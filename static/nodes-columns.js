/*
 * The columns of the Nodes page. `clock` gives the time of the server, Unix ms: what is as old as a block is measured
 * by the clock that stamped it, not by the one of the reader.
 */
import { h } from "./lib/elements.js";
import { age, bytes, bytesPerSecond, count, countryName, hashShort, millis, timeLocal, timeUtc, MISSING } from "./lib/format.js";
import { keyOf } from "./lib/ss58.js";
import { isSilent, stateMeaning, stateTone, stateWords, whyWords } from "./lib/status.js";
import { hasTrouble, isClockOff, rankOf, sinceOf, stateChoices, stateOf, TROUBLE_CHOICES } from "./nodes-trouble.js";

// A block is late after this many seconds without the next, and the node stuck after so many: chains of today make one
// every 6 to 12 s.
const LATE_S = 30;
const STUCK_S = 120;
// A block that reaches a node this much later than the first is slow.
const SLOW_MS = 1000;

/** Where a node's own page is. */
export const nodeAddress = (row) => `node?peer_id=${encodeURIComponent(row.peer_id)}`;

/** What a node is called. */
export const nameOf = (row) => row.name || hashShort(row.peer_id);

/** `clock()`: the time of the server, Unix ms; `bestOf(row)`: the best block of its chain, or undefined. */
export function nodeColumns(clock, bestOf) {
  const number = (column) => ({ filter: "number", end: true, descending: true, width: 6, ...column });
  const seconds = (since) => (since ? (clock() - Date.parse(since)) / 1000 : null);
  const blockAge = (row) => (row.online ? seconds(row.best_at) : null);
  const score = (column) => number({
    group: "Hardware", isHidden: true, width: 7, text: (row) => mebibytes(row[column.field]), ...column,
  });

  return [
    {
      field: "name", title: "Name", width: 13, narrow: 6.5, sticky: true, search: true,
      cell: (row, before) => nameCell(row, before ?? h("span", {}, h("span", { role: "img" }), h("a", { tabindex: -1 }))),
      fields: ["name", "online", "peer_id"], value: (row) => nameOf(row),
      text: (row) => `${row.online}${stateOf(row)}${nameOf(row)}`, hint: (row) => `${nameOf(row)}\n${row.peer_id}`,
      exported: (row) => row.name,
    },
    {
      field: "state", title: "Status", width: 8.5, narrow: 6, filter: stateChoices(stateWords), fields: ["state", "isListed", "online", "name", "falls", "clock_ahead_ms"],
      value: (row) => stateOf(row), sortBy: (row) => `${String(rankOf(row, clock())).padStart(2, "0")} ${nameOf(row)}`,
      cell: (row, before) => stateCell(row, before ?? h("span")), text: (row) => stateOf(row) ?? MISSING, hint: stateHint,
    },
    {
      field: "state_since", title: "Since", help: "Since when it is so; of a silent node its last message", width: 5, narrow: 3.9, filter: false,
      descending: true, fields: ["state_since", "online"], ticks: true, value: (row) => sinceOf(row), text: (row, now) => sinceWords(sinceOf(row), now),
      hint: (row) => (sinceOf(row) === null ? "" : `${timeLocal(sinceOf(row))} (${timeUtc(sinceOf(row))})`),
      exported: (row) => row.state_since,
    },
    number({
      field: "last_seen_s", title: "Last seen", help: "Since its last message", isWide: true, width: 6, second: 1, descending: true, ticks: true,
      fields: ["state", "state_since", "online"], value: (row) => silence(row, clock()), text: (row, now) => lastSeenWords(row, now),
    }),
    number({
      field: "offline_s", title: "Offline for", help: "Silent since its last message", isWide: true, width: 6.5, second: 1, ticks: true,
      fields: ["state", "state_since", "online"], value: (row) => offline(row, clock()), text: (row, now) => age(offline(row, now)),
      tone: (row) => (offline(row, clock()) === null ? "" : "bad"),
    }),
    number({
      field: "behind", title: "Behind", help: "Blocks behind the best block of its chain", width: 5, narrow: 4.3, fields: ["height", "online"],
      value: (row) => behind(row, bestOf), text: (row) => count(behind(row, bestOf)), tone: (row) => behindTone(behind(row, bestOf)), ticks: true,
    }),
    number({
      field: "finality_lag", title: "Finality lag", help: "Blocks between best and finalized", width: 7, isWide: true,
      fields: ["height", "finalized_height"], value: (row) => lag(row), text: (row) => count(lag(row)),
      tone: (row) => (row.state === "lagging" ? "warn" : ""),
    }),
    number({
      field: "clock_ahead_ms", title: "Clock", help: "How far the clock of the node is off, where that is more than 2 s", isWide: true, width: 7, second: 1000,
      fields: ["clock_ahead_ms", "online"], value: (row) => (row.online ? row.clock_ahead_ms ?? null : null), text: (row) => clockWords(row),
      tone: (row) => (isClockOff(row) ? "warn" : ""),
    }),
    {
      field: "trouble", title: "Trouble", isFilter: true, filter: TROUBLE_CHOICES, fields: ["state", "online", "falls", "clock_ahead_ms", "isListed"],
      passes: (row, asked) => hasTrouble(row, asked, clock()),
    },
    {
      field: "chain", title: "Chain", width: 9, isWide: true, search: true, hint: (row) => row.genesis_hash ?? "",
    },
    { field: "version", title: "Version", width: 9, isWide: true, search: true, hint: (row) => row.version ?? "" },
    { field: "implementation", title: "Implementation", width: 9, search: true, isHidden: true, hint: (row) => row.implementation ?? "" },
    {
      field: "authority", title: "Role", isWide: true, width: 5.5, filter: [["true", "validator"], ["false", "full"]],
      text: (row) => (row.authority === true ? "validator" : row.authority === false ? "full" : MISSING),
    },
    number({
      field: "height", title: "Best block", isWide: true, width: 7, text: (row) => count(row.height), hint: (row) => row.best_hash ?? "",
    }),
    number({
      field: "finalized_height", title: "Finalized", isWide: true, width: 6.5, text: (row) => count(row.finalized_height),
      hint: (row) => row.finalized_hash ?? "",
    }),
    number({
      field: "block_age_s", title: "Block age", isWide: true, help: "Since the node reported its best block", width: 6, second: 1,
      descending: false, ticks: true, fields: ["best_at", "online"], value: (row) => whole(blockAge(row)),
      text: (row) => age(notBelowZero(blockAge(row))), tone: (row) => ageTone(blockAge(row)),
      hint: (row) => (row.best_at ? `Reported ${timeLocal(row.best_at)} (${timeUtc(row.best_at)})` : ""),
    }),
    number({
      field: "propagation_ms", title: "Propagation", isWide: true, help: "Behind the first node of its chain that had the block", width: 7,
      second: 1000, descending: false, text: (row) => millis(row.propagation_ms),
      tone: (row) => (row.propagation_ms > SLOW_MS ? "warn" : ""),
    }),
    number({ field: "peers", title: "Peers", isWide: true, width: 4.5, text: (row) => count(row.peers), tone: (row) => (row.online && row.peers === 0 ? "bad" : "") }),
    number({ field: "transactions", title: "Pool", isWide: true, help: "Transactions in the pool", width: 4.5, text: (row) => count(row.transactions) }),
    number({ field: "download_bytes_per_s", title: "Down", isWide: true, help: "Bandwidth, received", text: (row) => bytesPerSecond(row.download_bytes_per_s) }),
    number({ field: "upload_bytes_per_s", title: "Up", isWide: true, help: "Bandwidth, sent", text: (row) => bytesPerSecond(row.upload_bytes_per_s) }),
    number({ field: "state_cache_bytes", title: "State cache", isHidden: true, text: (row) => bytes(row.state_cache_bytes) }),
    number({
      field: "uptime_s", title: "Uptime", isWide: true, help: "Since the process of the node started, by its own clock", width: 6.5, second: 1,
      ticks: true, fields: ["startup_time", "online"], value: (row) => whole(uptime(row, clock())),
      text: (row) => age(uptime(row, clock())), hint: (row) => (row.startup_time ? `Started ${timeLocal(Number(row.startup_time))}` : ""),
    }),
    number({
      field: "connected_s", title: "Connected", help: "Since the session began", width: 6.5, second: 1, ticks: true, isHidden: true,
      fields: ["connected_at", "online"], value: (row) => (row.online ? whole(seconds(row.connected_at)) : null),
      text: (row) => age(row.online ? notBelowZero(seconds(row.connected_at)) : null),
      hint: (row) => (row.connected_at ? `Connected ${timeLocal(row.connected_at)}` : ""),
    }),
    { field: "peer_id", title: "Peer id", width: 9, search: true, isHidden: true, className: "mono", text: (row) => hashShort(row.peer_id), hint: (row) => row.peer_id },
    {
      field: "authority_id", title: "Authority id", help: "With which it introduced itself; what a node says is not proven", width: 9, search: true, sameAs: keyOf, isHidden: true,
      className: "mono", text: (row) => hashShort(row.authority_id), hint: (row) => row.authority_id ?? "",
    },
    {
      field: "country", title: "Country", help: "Of its address; known where the server has a file of locations", width: 8, group: "Location", isHidden: true, search: true,
      value: (row) => row.country && countryName(row.country), text: (row) => countryName(row.country), exported: (row) => row.country,
    },
    { field: "city", title: "City", help: "Of its address", width: 8, group: "Location", isHidden: true, search: true },
    { field: "provider", title: "Provider", help: "Of the network of its address", width: 10, group: "Location", isHidden: true, search: true, hint: (row) => row.provider ?? "" },
    { field: "best_hash", title: "Best hash", width: 9, isHidden: true, className: "mono", text: (row) => hashShort(row.best_hash), hint: (row) => row.best_hash ?? "" },
    { field: "cpu", title: "Processor", isWide: true, width: 13, group: "Hardware", search: true, hint: (row) => row.cpu ?? "" },
    number({ field: "core_count", title: "Cores", isWide: true, width: 4.5, group: "Hardware", text: (row) => count(row.core_count) }),
    number({ field: "memory_bytes", title: "Memory", isWide: true, group: "Hardware", text: (row) => bytes(row.memory_bytes) }),
    { field: "target_os", title: "System", width: 6, group: "Hardware", isHidden: true, search: true },
    { field: "target_arch", title: "Architecture", width: 7, group: "Hardware", isHidden: true },
    { field: "target_env", title: "C library", width: 6, group: "Hardware", isHidden: true },
    { field: "linux_distro", title: "Distribution", width: 11, group: "Hardware", isHidden: true, search: true, hint: (row) => row.linux_distro ?? "" },
    { field: "linux_kernel", title: "Kernel", width: 10, group: "Hardware", isHidden: true, hint: (row) => row.linux_kernel ?? "" },
    {
      field: "is_virtual_machine", title: "Virtual", width: 5, group: "Hardware", isHidden: true, filter: [["true", "yes"], ["false", "no"]],
      text: (row) => (row.is_virtual_machine === true ? "yes" : row.is_virtual_machine === false ? "no" : MISSING),
    },
    score({ field: "cpu_hashrate_score", title: "CPU score" }),
    score({ field: "parallel_cpu_hashrate_score", title: "CPU parallel" }),
    number({ field: "parallel_cpu_cores", title: "Cores used", group: "Hardware", isHidden: true, text: (row) => count(row.parallel_cpu_cores) }),
    score({ field: "memory_memcpy_score", title: "Memory score" }),
    score({ field: "disk_sequential_write_score", title: "Disk seq." }),
    score({ field: "disk_random_write_score", title: "Disk random" }),
  ];
}

function nameCell(row, element) {
  const [dot, link] = element.children;
  const state = stateOf(row);
  dot.className = `online-dot ${row.online ? stateTone(state) : "offline"}`;
  dot.setAttribute("aria-label", state === null ? "status not known" : stateWords(state));
  link.className = "name";
  link.href = nodeAddress(row);
  link.textContent = nameOf(row);
  return element;
}

function stateCell(row, element) {
  const state = stateOf(row);
  element.className = state === null ? "quiet-text" : `chip ${stateTone(state)}`;
  element.textContent = state === null ? MISSING : stateWords(state);
  return element;
}

function stateHint(row) {
  const state = stateOf(row);
  if (state === null) return "";
  const why = whyWords(row.state_reason ?? (row.online ? "" : row.disconnect_reason));
  return `${stateMeaning(state)}${why ? `\nBecause: ${why}` : ""}${row.falls > 1 ? `\nFell silent ${row.falls} times in the last hour.` : ""}`;
}

/** Whether what it reported is of the past. */
export const isPast = (row) => !row.online || ["missing", "offline", "telemetry_lost"].includes(row.state);

/** Seconds since the last message; 0 while messages arrive. Of a connection that just ended: since its end. */
function silence(row, now) {
  const state = stateOf(row);
  if (state === null) return null;
  if (!isSilent(state) && row.online) return 0;
  const since = isSilent(state) ? sinceOf(row) : Date.parse(row.disconnected_at ?? "");
  return since === null || Number.isNaN(since) ? null : Math.max(0, Math.floor((now - since) / 1000));
}

function lastSeenWords(row, now) {
  const seconds = silence(row, now);
  return seconds === 0 ? "now" : age(seconds);
}

const offline = (row, now) => (["missing", "offline", "telemetry_lost"].includes(stateOf(row)) ? silence(row, now) : null);

function behind(row, bestOf) {
  const best = bestOf(row);
  return row.online && Number.isFinite(row.height) && best !== undefined ? Math.max(0, best - row.height) : null;
}

function behindTone(blocks) {
  if (blocks === null || blocks < 5) return "";
  return blocks > 100 ? "bad" : "warn";
}

function clockWords(row) {
  if (!row.online || typeof row.clock_ahead_ms !== "number") return MISSING;
  if (!isClockOff(row)) return "right";
  return `${age(Math.abs(row.clock_ahead_ms) / 1000)} ${row.clock_ahead_ms > 0 ? "ahead" : "behind"}`;
}

/** "14:20" within a day, else "11-28", and with the year if that is another. */
function sinceWords(since, now) {
  if (since === null) return MISSING;
  const text = timeLocal(since);
  if (now - since < 86_400_000) return text.slice(11, 16);
  return text.slice(0, 4) === timeLocal(now).slice(0, 4) ? text.slice(5, 10) : text.slice(0, 10);
}

/** Scores are MiB/s. */
const mebibytes = (value) => (typeof value === "number" ? bytesPerSecond(value * 1024 ** 2) : MISSING);

const whole = (value) => (value === null ? null : Math.floor(value));
const notBelowZero = (value) => (value === null ? null : Math.max(0, value));

function lag({ height, finalized_height: finalized }) {
  return Number.isFinite(height) && Number.isFinite(finalized) ? height - finalized : null;
}

function ageTone(seconds) {
  if (seconds === null || seconds < LATE_S) return "";
  return seconds < STUCK_S ? "warn" : "bad";
}

function uptime({ online, startup_time: started }, now) {
  const seconds = online && started ? (now - Number(started)) / 1000 : null;
  return seconds !== null && seconds >= 0 ? seconds : null;
}
