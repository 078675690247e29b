/*
 * Whether the server is well, and what to do if not. Pure: metrics in, findings out.
 *
 * A finding is `{ level, what, advice }`; "trouble" costs messages or soon will, "attention" does not yet, "note" is no
 * fault. The worst comes first.
 */
import { growth, quantile } from "./lib/metrics.js";
import { age, bytes, count, counted, percent } from "./lib/format.js";

const LEVELS = ["trouble", "attention", "note"];

/** Prefix of the server's own metrics. */
export const OWN = "tetcore_analytics_";

/** What each way to lose a message means. Those of `intended` are settings that do what they are there for. */
export const LOSSES = {
  dropped: {
    title: "Dropped", label: "reason", name: `${OWN}ingest_messages_dropped_total`, reasons: {
      queue_full: ["queue full", "Database and spool could not take all telemetry. Make the database faster, or raise SPOOL_MAX_BYTES."],
      too_many_bytes: ["too many bytes from a node", "A connection is over NODE_BYTES_PER_S_MAX; the log names it. Raise the limit if that load is legitimate."],
      too_many_frames: ["too many messages from a node", "A connection is over NODE_FRAMES_PER_S_MAX; the log names it. Raise the limit if that load is legitimate."],
      too_many_nodes: ["too many nodes on a connection", "A connection has more than NODES_PER_CONNECTION_MAX node ids; the log names it."],
      too_large: ["larger than allowed", "A message is over WS_MAX_PAYLOAD; the log names it. Raise the limit if that load is legitimate."],
      spool_torn: ["damaged spool file", "A crash or a faulty disk damaged a spool file. Check the disk and the log."],
      shutdown: ["server stopped", "The server stopped before they were stored. Raise SHUTDOWN_TIMEOUT_S."],
      chain_refused: ["chain not admitted", "Refused by ALLOWED_CHAINS or DENIED_CHAINS, as configured."],
    },
    intended: ["chain_refused"],
  },
  rejected: {
    title: "Refused by the database", label: "reason", name: `${OWN}ingest_messages_rejected_total`, reasons: {
      data: ["content that cannot be stored", "They are kept in the table rejected_messages, with the reason."],
      constraint: ["forbidden by a constraint or trigger", "They are kept in the table rejected_messages, with the reason."],
      limit: ["over a limit of the database", "They are kept in the table rejected_messages, with the reason."],
    },
    intended: [],
  },
  undecodable: {
    title: "Invalid frames", label: "kind", name: `${OWN}ingest_messages_undecodable_total`, reasons: {
      not_json: ["not JSON", "A client that is not a node, or a faulty node. The log shows samples."],
      not_utf8: ["not UTF-8", "A client that is not a node, or a faulty node. The log shows samples."],
      not_an_object: ["not an object", "A client that is not a node, or a faulty node. The log shows samples."],
      too_deep: ["nested too deeply", "A client that is not a node, or a faulty node. The log shows samples."],
    },
    intended: [],
  },
};

/** Why connections are refused: in words, and what to do. */
export const REFUSALS = {
  too_many_connections: ["CONNECTIONS_MAX are open", "Raise CONNECTIONS_MAX (and the limit of open files), or start another server."],
  too_many_from_address: ["the address has CONNECTIONS_PER_IP_MAX open", "Raise CONNECTIONS_PER_IP_MAX, or set TRUSTED_PROXIES if a proxy is in front."],
  blocked: ["the address is blocked", "A connection of the address stayed over its limits; the log names it."],
  token: ["no valid token in the path", "Give the nodes a URL with one of TELEMETRY_TOKENS."],
  network: ["not in ALLOWED_NETWORKS", "A client from another network; add the network if it may send."],
  handshake: ["invalid websocket request", "A client that is not a node, or a proxy that changes requests."],
  stopping: ["the server is stopping", "Nodes reconnect by themselves."],
};

/**
 * `asked`: `{ now, before, ready }`: the newest Metrics, those of about a minute ago (or null), and the answer of
 * /health. Gives findings, the worst first.
 */
export function judge(asked) {
  const { now, before } = asked;
  const span = before && now.at - before.at > 55_000 ? "in the last minute" : "since this page was opened";
  const known = { ...asked, span };
  const findings = [readiness, losses, room, refusals, faults, slowness, machine, nodes].flatMap((look) => look(known));
  return findings.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
}

const finding = (level, what, advice) => ({ level, what, advice });

const ADVICE_READY = {
  server: "The server is stopping. If that is unexpected, check its log.",
  telemetry: "Start the database, or make room: raise SPOOL_MAX_BYTES, or free the disk of SPOOL_DIR.",
  database: "Start the database, or check DATABASE_URL and the network. The server reconnects by itself; until then messages wait on disk, if SPOOL_MAX_BYTES is not 0.",
  schema: "Allow the user of DATABASE_URL to migrate the schema, and check READ_DATABASE_URL if it is set.",
  writers: "Nothing is lost until the spool and the memory are full. Check the database: is it up, is its disk full, may the user write?",
};

function readiness({ ready }) {
  return (ready?.checks ?? []).filter((check) => !check.ok).map(({ name, message }) =>
    finding("trouble", `${capital(message ?? `${name} is unhealthy`)}.`, ADVICE_READY[name] ?? "Check the server's log."));
}

const LOST = { dropped: "lost", rejected: "refused by the database", undecodable: "invalid" };

function losses({ now, before, span }) {
  const found = [];
  for (const [kind, { label, name, reasons, intended }] of Object.entries(LOSSES)) {
    for (const [reason, lost] of now.by(name, label)) {
      if (!lost || intended.includes(reason)) continue;
      const [words, advice] = reasons[reason] ?? [reason, "Check the server's log."];
      const grown = lostSince(before, now, { name, label }, reason);
      const isLoss = kind === "dropped";
      const told = (number, when) => `${counted(number, "message")} ${wasOrWere(number)} ${LOST[kind]} ${when}: ${words}.`;
      if (grown) found.push(finding(isLoss ? "trouble" : "attention", told(grown, span), advice));
      else found.push(finding(isLoss ? "attention" : "note", told(lost, `since the server started (none ${span})`), advice));
    }
  }
  return found;
}

/** What was lost for a reason between two answers; null if that is not known. */
export function lostSince(before, now, { name, label }, reason) {
  if (!before) return null;
  const of = (metrics) => metrics.all(name).find(({ labels }) => labels[label] === reason)?.value ?? 0;
  return growth(of(before), of(now));
}

function room({ now, before }) {
  const found = [];
  const spooled = now.value(`${OWN}store_spool_messages`);
  const spoolBytes = now.value(`${OWN}store_spool_bytes`);
  if (spooled > 0) {
    const share = spoolBytes / now.value(`${OWN}store_spool_bytes_max`);
    const grown = before ? spoolBytes - before.value(`${OWN}store_spool_bytes`) : 0;
    const left = fullIn(now, before);
    const pace = grown > 0 ? `It grows${left === null ? "" : `, and is full in ${age(left)} at this pace`}.` : "It empties by itself.";
    found.push(finding(share >= 0.8 ? "trouble" : "attention",
      `${counted(spooled, "message")} (${bytes(spoolBytes)}) wait${spooled === 1 ? "s" : ""} on disk, ${percent(share)} of SPOOL_MAX_BYTES. ${pace}`,
      "Nothing is lost until the spool is full. If the database is up, it is slower than the incoming telemetry."));
  }
  for (const [words, name, setting] of [["messages", "ingest_queue_messages", "QUEUE_ROWS_MAX"], ["bytes", "ingest_queue_bytes", "QUEUE_BYTES_MAX"]]) {
    const share = now.value(OWN + name) / now.value(`${OWN}${name}_max`);
    if (!(share >= 0.5)) continue;
    found.push(finding(share >= 0.9 ? "trouble" : "attention", `The queue in memory is ${percent(share)} full, by ${words}.`,
      `Storing is slower than receiving. Check the database; beyond ${setting} messages go to disk, then are lost.`));
  }
  const kindsMax = now.value(`${OWN}store_kinds_max`);
  if (kindsMax > 0 && now.value(`${OWN}store_kinds`) >= kindsMax) {
    found.push(finding("attention", "The dictionary of kinds of messages is full (MESSAGE_KINDS_MAX).",
      "Messages of new kinds are stored, but found more slowly. A client may send invented kinds: see messages by kind."));
  }
  return found;
}

/** Seconds until the spool is full at the pace between two answers; null if it does not grow. */
export function fullIn(now, before) {
  const used = (metrics) => metrics.value(`${OWN}store_spool_bytes`);
  const grown = before ? used(now) - used(before) : 0;
  if (!(grown > 0)) return null;
  return (now.value(`${OWN}store_spool_bytes_max`) - used(now)) / (grown / ((now.at - before.at) / 1000));
}

function refusals({ now, before, span }) {
  if (!before) return [];
  const counter = { name: `${OWN}ingest_connections_refused_total`, label: "reason" };
  return now.by(counter.name, counter.label).flatMap(([reason]) => {
    const grown = lostSince(before, now, counter, reason);
    if (!grown) return [];
    const [words, advice] = REFUSALS[reason] ?? [reason, ""];
    return [finding("attention", `${counted(grown, "connection")} ${wasOrWere(grown)} refused ${span}: ${words}.`, advice)];
  });
}

/** Counters that should not move: what they count, how bad it is while they do and afterwards, and what to do. */
const FAULTS = {
  server_panics_total: {
    words: ["bug in the program", "bugs in the program"], now: "trouble", later: "attention",
    advice: "Search the log for \"panic\", and report those lines.",
  },
  store_spool_failures_total: {
    words: ["failed access to the spool", "failed accesses to the spool"], now: "trouble", later: "note",
    advice: "Check its disk: is it full, is it mounted, may the server write?",
  },
  store_spool_torn_total: {
    words: ["damaged batch in the spool", "damaged batches in the spool"], now: "attention", later: "attention",
    advice: "Check the disk of the spool.",
  },
  store_writers_abandoned_total: {
    words: ["writer replaced", "writers replaced"], now: "attention", later: "note",
    advice: "The database did not answer within DB_WRITE_TIMEOUT_S. Check it for locks and a slow disk.",
  },
  database_threads_lost_total: {
    words: ["connection of a job replaced", "connections of jobs replaced"], now: "attention", later: "note",
    advice: "An answer of the database was lost: something between the two acknowledges and passes nothing on. The log names the job.",
  },
  log_lines_lost_total: {
    words: ["line of the log lost", "lines of the log lost"], now: "attention", later: "note",
    advice: "Its reader or its disk did not take them in time.",
  },
  retention_failures_total: {
    words: ["failed retention run", "failed retention runs"], now: "attention", later: "attention",
    advice: "Expired messages are not purged, or partitions not created ahead. The log says why.",
  },
};

function faults({ now, before, span }) {
  return Object.entries(FAULTS).flatMap(([name, { words, now: level, later, advice }]) => {
    const all = now.sum(OWN + name);
    if (!all) return [];
    const grown = before ? growth(before.sum(OWN + name), all) : 0;
    const recent = grown ? `${count(grown)} ${span}` : `none ${span}`;
    return [finding(grown ? level : later, `${counted(all, ...words)} since the server started (${recent}).`, advice)];
  });
}

// A message is usually stored within DB_SAVE_LATENCY_MS and a little.
const COMMIT_S_MAX = 5;
const WAIT_S_MAX = 1;

function slowness({ now, before, span, ready }) {
  // Everything is slow without a database.
  if (ready?.status !== "ok") return [];
  const found = [];
  const commit = before && quantile(before, now, `${OWN}store_receive_to_commit_seconds`, 0.99);
  if (commit > COMMIT_S_MAX) {
    found.push(finding("attention", `Messages take up to ${age(commit)} until they are stored.`, "Check load and disk of the database."));
  }
  const wait = before && quantile(before, now, `${OWN}query_pool_wait_seconds`, 0.9);
  if (wait > WAIT_S_MAX) {
    found.push(finding("attention", `Queries wait up to ${age(wait)} for a connection to the database.`, "Send fewer or smaller queries, or raise DB_POOL_SIZE. Writers have connections of their own."));
  }
  const missed = before && growth(before.sum(`${OWN}feed_messages_missed_total`), now.sum(`${OWN}feed_messages_missed_total`));
  if (missed) {
    found.push(finding("note", `Subscribers of the live feed missed ${counted(missed, "message")} ${span}.`,
      "They are stored. A subscriber reads too slowly, or the server is overloaded."));
  }
  return found;
}

// With less than this the disk is a matter for today.
const DISK_DAYS = 7;

const DAY_S = 86_400;

function machine({ now }) {
  const found = [];
  const left = now.value(`${OWN}disk_full_in_seconds`);
  if (Number.isFinite(left)) {
    const days = left / DAY_S;
    found.push(finding(days < DISK_DAYS ? "trouble" : "attention",
      `The disk is full in ${counted(Math.floor(days), "day")} at the present rate (${bytes(now.value(`${OWN}disk_growth_bytes_per_second`) * DAY_S)} a day, ${
        bytes(now.value(`${OWN}disk_available_bytes`))} left).`,
      "Lower LOG_EXPIRY_H, so that messages are purged before, or add disk."));
  }
  const [memory, available] = [now.value(`${OWN}host_memory_bytes`), now.value(`${OWN}host_memory_available_bytes`)];
  if (memory > 0 && available / memory < 0.08) {
    found.push(finding("attention", `The machine has ${bytes(available)} of ${bytes(memory)} of memory left.`, "Stop other programs, or add memory."));
  }
  const files = now.value("process_open_fds") / now.value("process_max_fds");
  if (files > 0.85) {
    found.push(finding("attention", `${percent(files)} of the allowed file descriptors are in use.`, "Each connection is one: raise the limit (ulimit -n, LimitNOFILE)."));
  }
  return found;
}

function nodes({ now }) {
  if (now.value(`${OWN}ingest_connections`) !== 0) return [];
  return [finding("note", "No node is connected.", "The start page has the option for your nodes.")];
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const wasOrWere = (number) => (number === 1 ? "was" : "were");
