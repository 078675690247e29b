/*
 * The facts of a node in a session, and its latest values.
 */
import { copyButton, h, hashElement, timeElement } from "./lib/elements.js";
import { age, bytes, bytesPerSecond, count, MISSING } from "./lib/format.js";

const yesNo = (value) => (value === true ? "yes" : value === false ? "no" : null);
const mebibytes = (value) => (value === null ? null : bytesPerSecond(value * 1024 ** 2));

/** Cards with the facts of a session; cards of which nothing is known are left out. */
export function factCards(session) {
  return [card("Software", software(session)), card("Machine", machine(session)), card("Hardware benchmark (run by the node)", scores(session))]
    .filter(Boolean);
}

/** All facts of a session as one list, for sessions that are over. */
export function factList(session) {
  return list([...software(session), ...machine(session), ...scores(session)].filter(isKnown));
}

function software(session) {
  const system = [session.target_os, session.target_arch, session.target_env].filter(Boolean).join(", ");
  return [
    ["Chain", session.chain && chainLink(session)],
    ["Genesis hash", session.genesis_hash && hashElement(session.genesis_hash)],
    ["Implementation", session.implementation],
    ["Version", session.version],
    ["Role", session.authority === null ? null : session.authority ? "validator" : "full node"],
    ["Process started", session.startup_time && timeElement(session.startup_time)],
    ["Built for", system || null],
    ["Address", session.ip_addr],
    ["Peer id", [h("code", { class: "node-peer" }, session.peer_id), " ", copyButton(session.peer_id)]],
    ["Messages", session.audit ? "kept for good: it reports to /audit" : null],
  ];
}

function machine(session) {
  return [
    ["Processor", session.cpu],
    ["Cores", session.core_count === null ? null : count(session.core_count)],
    ["Memory", session.memory_bytes === null ? null : bytes(session.memory_bytes)],
    ["Distribution", session.linux_distro],
    ["Kernel", session.linux_kernel],
    ["Virtual machine", yesNo(session.is_virtual_machine)],
  ];
}

function scores(session) {
  const cores = session.parallel_cpu_cores === null ? "" : `, ${count(session.parallel_cpu_cores)} cores`;
  return [
    ["BLAKE2b-256, one core", mebibytes(session.cpu_hashrate_score)],
    [`BLAKE2b-256${cores || ", several cores"}`, mebibytes(session.parallel_cpu_hashrate_score)],
    ["Memory copy", mebibytes(session.memory_memcpy_score)],
    ["Disk, sequential writes", mebibytes(session.disk_sequential_write_score)],
    ["Disk, random writes", mebibytes(session.disk_random_write_score)],
  ];
}

const isKnown = ([, value]) => value !== null && value !== undefined && value !== "";

function chainLink({ chain, genesis_hash: genesis }) {
  const id = genesis ?? `name:${chain}`;
  return h("a", { href: `./?chain=${encodeURIComponent(id)}`, title: "All nodes of this chain" }, chain);
}

function card(title, facts) {
  const known = facts.filter(isKnown);
  return known.length === 0 ? null : h("div", { class: "card" }, h("h3", {}, title), list(known));
}

function list(facts) {
  return h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]).flat());
}

const FIGURES = [
  ["Best block", "height", count], ["Finalized", "finalized_height", count], ["Behind chain", "behind", blockCount],
  ["Finality lag", "lag", blockCount], ["Peers", "peers", count], ["Pool", "transactions", transactionCount],
  ["Down", "download_bytes_per_s", bytesPerSecond], ["Up", "upload_bytes_per_s", bytesPerSecond],
];

function blockCount(value) {
  return value === null ? MISSING : `${count(value)} ${value === 1 ? "block" : "blocks"}`;
}

function transactionCount(value) {
  return value === null ? MISSING : `${count(value)} tx`;
}

/**
 * Puts figures in `place` (a <dl>). Returns `show(columns, index, heardAt, now)`: the values at an index of columns, or
 * with null the last that are known; then the age of the last message, Unix ms, if it is not null.
 */
export function createFigures(place) {
  const figures = FIGURES.map(([title, field, format]) => {
    const value = h("dd", {}, MISSING);
    place.append(h("div", {}, h("dt", {}, title), value));
    return { field, format, value };
  });
  const heard = h("dd");
  const heardPlace = h("div", {}, h("dt", {}, "Last message"), heard);
  place.append(heardPlace);
  return (columns, index, heardAt, now) => {
    for (const { field, format, value } of figures) {
      const column = columns[field];
      setText(value, format(index === null ? column.findLast((one) => one !== null) ?? null : column[index] ?? null));
    }
    heardPlace.hidden = heardAt === null;
    if (heardAt !== null) setText(heard, `${age(Math.max(0, now - heardAt) / 1000)} ago`);
  };
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
