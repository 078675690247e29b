/*
 * The rows of the Nodes page: live from the feed, with the status of each from the list of nodes; from that list alone,
 * every few seconds, while the websocket is blocked.
 */
import { get, getWithHeaders } from "./lib/api.js";
import { feed } from "./lib/feed.js";
import { Falls } from "./nodes-trouble.js";

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
// The list is read so often for what the feed does not send (clocks, locations), a page of it at a time on average; and in place of
// the feed.
const EVERY_MS = 60_000;
const FALLBACK_MS = 5000;
// The feed counts as blocked when it is not there after so long, and the list is.
const BLOCKED_AFTER_MS = 4500;
const PAGE = 2000;
// Of the nodes that left long ago so many are shown; the list of the interface has all.
const GONE_MAX = 10_000;

const STATUS_FIELDS = ["state", "state_since", "state_reason", "last_seen_at", "clock_ahead_ms", "authority_id", "country", "city", "provider"];
// What the list calls otherwise than the feed.
const OTHER_NAMES = { best_height: "height", created_at: "connected_at", id: "session" };

/**
 * Keeps `table` up to date. `clock()`: the time of the server, Unix ms; `ahead(millis)` is told how far that is ahead;
 * `withGone()`: whether nodes that left long ago are wanted, which the feed does not have; `changed({ isComplete, isKnown,
 * isBlocked, hasOlder, error })` is called when what is known of all of them changes.
 */
export function followNodes(table, { clock, ahead, withGone, changed }) {
  const falls = new Falls();
  const state = { isComplete: false, isKnown: false, isBlocked: false, hasOlder: false, error: null };
  // Peers of the snapshot that is being received: those that were known and are not in it are gone.
  let snapshot = new Set();
  // What the list said of nodes that the feed has not sent yet, and when the feed told of a change last.
  const listed = new Map();
  const toldAt = new Map();
  let timer = 0;
  let notLiveSince = Date.now();

  const tell = (news) => {
    Object.assign(state, news);
    feed.setBlocked(state.isBlocked);
    changed(state);
  };

  feed.subscribe({ topic: "nodes" }, {
    begin() {
      snapshot = new Set();
      state.isComplete = false;
    },
    data({ nodes, now, complete }) {
      ahead(Date.parse(now) - Date.now());
      for (const node of nodes) {
        if (table.has(node.peer_id)) continue;
        Object.assign(node, listed.get(node.peer_id));
        // Nodes that come later are new: the list was complete without them.
        if (state.isKnown) node.isListed = true;
      }
      table.merge(nodes);
      if (state.isComplete) return;
      for (const { peer_id: peer } of nodes) snapshot.add(peer);
      if (!complete) return;
      table.removeIf((row) => !snapshot.has(row.peer_id) && !row.isOld);
      tell({ isComplete: true, isBlocked: false, error: null });
    },
    error: (text) => tell({ error: new Error(`The server does not send its nodes: ${text}`) }),
  });

  feed.subscribe({ topic: "status", start_time: new Date(Date.now() - HOUR_MS).toISOString() }, {
    data({ status: changes }) {
      falls.hear(changes);
      const rows = new Map();
      for (const change of changes) {
        if (change.subject !== "node") continue;
        toldAt.set(change.peer_id, Date.now());
        rows.set(change.peer_id, {
          peer_id: change.peer_id, state: change.to_state, state_since: change.since, state_reason: change.reason, isListed: true,
        });
      }
      for (const [peer, row] of rows) listed.set(peer, { ...listed.get(peer), ...row });
      table.merge([...rows.values()].filter((row) => table.has(row.peer_id)));
      countFalls();
    },
  });

  function countFalls() {
    const counts = falls.counts(clock()).filter(([peer]) => table.has(peer));
    table.merge(counts.map(([peer, number]) => ({ peer_id: peer, falls: number })));
  }

  feed.addEventListener("state", () => {
    if (feed.state.kind === "live") {
      if (state.isBlocked) tell({ isBlocked: false });
      notLiveSince = null;
    } else notLiveSince ??= Date.now();
  });

  /** Reads the list, page by page. */
  async function read() {
    clearTimeout(timer);
    const askedAt = Date.now();
    const isInstead = notLiveSince !== null && askedAt - notLiveSince >= BLOCKED_AFTER_MS;
    const seen = new Set();
    try {
      const params = { limit: PAGE, seen_after: withGone() ? null : new Date(clock() - DAY_MS).toISOString() };
      for (let cursor = null; ;) {
        const { body, headers } = await getWithHeaders("api/v1/nodes", { ...params, cursor }, { tries: 1 });
        for (const node of body) seen.add(node.peer_id);
        take(body, askedAt, isInstead);
        cursor = headers.get("X-Next-Cursor");
        if (!cursor || seen.size >= GONE_MAX + PAGE * Math.ceil(table.size / PAGE)) break;
      }
      const hasOlder = seen.size === 0 && !withGone() && (await get("api/v1/nodes", { limit: 1 }, { tries: 1 })).length > 0;
      const isStillBlocked = isInstead && feed.state.kind !== "live";
      if (isStillBlocked) table.removeIf((row) => !seen.has(row.peer_id));
      table.merge([...table.eachRow()].filter((row) => !row.isListed).map((row) => ({ peer_id: row.peer_id, isListed: true })));
      countFalls();
      if (!state.isKnown || isStillBlocked || hasOlder !== state.hasOlder) tell({ isKnown: true, hasOlder, isBlocked: isStillBlocked, isComplete: state.isComplete || isStillBlocked });
    } catch (error) {
      if (state.isBlocked) tell({ isBlocked: false });
      console.warn(error);
    }
    const pages = Math.max(1, Math.ceil(table.size / PAGE));
    timer = setTimeout(read, notLiveSince === null ? EVERY_MS * pages : FALLBACK_MS * pages);
  }

  function take(nodes, askedAt, isInstead) {
    const rows = [];
    for (const node of nodes) {
      const { peer_id: peer } = node;
      // What the feed told since is newer.
      const isOld = (toldAt.get(peer) ?? 0) >= askedAt - 1000;
      const fields = Object.fromEntries(STATUS_FIELDS.filter((field) => !isOld || !field.startsWith("state")).map((field) => [field, node[field]]));
      listed.set(peer, { ...listed.get(peer), ...fields, isListed: true });
      if (isInstead) rows.push({ ...asRow(node), ...listed.get(peer) });
      else if (withGone() && !node.online && !table.has(peer)) rows.push({ ...asRow(node), ...listed.get(peer), isOld: true });
      else if (table.has(peer)) rows.push({ peer_id: peer, ...listed.get(peer) });
    }
    table.merge(rows);
  }

  read();
  return { read };
}

/** A node of the list in the words of the feed. */
export function asRow(node) {
  const row = {};
  for (const [field, value] of Object.entries(node)) row[OTHER_NAMES[field] ?? field] = value;
  return row;
}
