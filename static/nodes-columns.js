/*
 * The columns of the Nodes page. `clock` gives the time of the server, Unix ms: what is as old as a block is measured
 * by the clock that stamped it, not by the one of the reader.
 */
import { h } from "./lib/elements.js";
import { age, bytes, bytesPerSecond, count, hashShort, millis, timeLocal, timeUtc, MISSING } from "./lib/format.js";
import { reasonWords } from "./lib/reasons.js";

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

export function nodeColumns(clock) {
  const number = (column) => ({ filter: "number", end: true, descending: true, width: 6, ...column });
  const seconds = (since) => (since ? (clock() - Date.parse(since)) / 1000 : null);
  const blockAge = (row) => (row.online ? seconds(row.best_at) : null);
  const score = (column) => number({
    group: "Hardware", isHidden: true, width: 7, text: (row) => mebibytes(row[column.field]), ...column,
  });

  return [
    {
      field: "name", title: "Name", width: 13, narrow: 9.5, sticky: true, search: true,
      cell: (row, before) => nameCell(row, before ?? h("span", {}, h("span", { role: "img" }), h("a", { tabindex: -1 }))),
      fields: ["name", "online", "peer_id"], value: (row) => nameOf(row),
      text: (row) => `${row.online}${nameOf(row)}`, hint: (row) => `${nameOf(row)}\n${row.peer_id}`,
      exported: (row) => row.name,
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
    {
      field: "online", title: "Status", isWide: true, width: 5.5, filter: [["true", "online"], ["false", "offline"]], descending: true,
      text: (row) => (row.online ? "online" : "offline"), tone: (row) => (row.online ? "good" : "quiet-text"),
      hint: (row) => (row.online || !row.disconnected_at ? "" : `Since ${timeLocal(row.disconnected_at)}: ${reasonWords(row.disconnect_reason)}`),
    },
    number({
      field: "height", title: "Best block", width: 7, text: (row) => count(row.height), hint: (row) => row.best_hash ?? "",
    }),
    number({
      field: "finalized_height", title: "Finalized", width: 6.5, text: (row) => count(row.finalized_height),
      hint: (row) => row.finalized_hash ?? "",
    }),
    number({
      field: "finality_lag", title: "Finality lag", help: "Blocks between best and finalized", width: 6, isHidden: true,
      fields: ["height", "finalized_height"], value: (row) => lag(row), text: (row) => count(lag(row)),
    }),
    number({
      field: "block_age_s", title: "Block age", help: "Since the node reported its best block", width: 6, second: 1,
      descending: false, ticks: true, fields: ["best_at", "online"], value: (row) => whole(blockAge(row)),
      text: (row) => age(notBelowZero(blockAge(row))), tone: (row) => ageTone(blockAge(row)),
      hint: (row) => (row.best_at ? `Reported ${timeLocal(row.best_at)} (${timeUtc(row.best_at)})` : ""),
    }),
    number({
      field: "propagation_ms", title: "Propagation", help: "Behind the first node of its chain that had the block", width: 7,
      second: 1000, descending: false, text: (row) => millis(row.propagation_ms),
      tone: (row) => (row.propagation_ms > SLOW_MS ? "warn" : ""),
    }),
    number({ field: "peers", title: "Peers", width: 4.5, text: (row) => count(row.peers), tone: (row) => (row.online && row.peers === 0 ? "bad" : "") }),
    number({ field: "transactions", title: "Pool", help: "Transactions in the pool", width: 4.5, text: (row) => count(row.transactions) }),
    number({ field: "download_bytes_per_s", title: "Down", help: "Bandwidth, received", text: (row) => bytesPerSecond(row.download_bytes_per_s) }),
    number({ field: "upload_bytes_per_s", title: "Up", help: "Bandwidth, sent", text: (row) => bytesPerSecond(row.upload_bytes_per_s) }),
    number({ field: "state_cache_bytes", title: "State cache", isHidden: true, text: (row) => bytes(row.state_cache_bytes) }),
    number({
      field: "uptime_s", title: "Uptime", help: "Since the process of the node started, by its own clock", width: 6.5, second: 1,
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
  dot.className = row.online ? "online-dot" : "online-dot offline";
  dot.setAttribute("aria-label", row.online ? "online" : "offline");
  link.href = nodeAddress(row);
  link.textContent = nameOf(row);
  return element;
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
