/*
 * The live feed of a node: its messages and its presence.
 */
import { feed } from "./lib/feed.js";
import { parseExact } from "./lib/json.js";
import { toMessage } from "./node-message.js";

/**
 * Subscribes to a node, from `since` (a Date) on. `handlers`: `heard(messages)`, as toMessage gives them;
 * `presence({ event, session, … })`; `lagged()`: messages were skipped; `returned()`: the connection is back, without
 * the presence changes of the time between; `problem(error)`.
 */
export function listen(peer, since, handlers) {
  feed.subscribe({ peer_id: peer, start_time: since.toISOString() }, {
    data: (_, text) => {
      const { data } = parseExact(text);
      handlers.heard(data.map(({ msg, created_at: createdAt, ...logs }) => toMessage(msg, createdAt, logs)));
    },
    lagged: () => handlers.lagged(),
    error: (text) => handlers.problem(new Error(`Live messages are refused: ${text}`)),
  });
  feed.subscribe({ topic: "presence" }, {
    data: ({ presence }) => {
      const own = presence.findLast((one) => one.peer_id === peer);
      if (own) handlers.presence(own);
    },
  });
  // Another part of the page may have connected before.
  let wasLive = feed.state.kind === "live";
  feed.addEventListener("state", () => {
    const isLive = feed.state.kind === "live";
    if (isLive && wasLive) handlers.returned();
    wasLive ||= isLive;
  });
}
