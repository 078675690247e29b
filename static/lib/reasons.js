/*
 * Why sessions end, in words, for each `disconnect_reason` of the server.
 */
const REASONS = {
  closed_by_node: "closed by the node",
  close_frame: "closed cleanly by the node",
  idle: "no message for too long: connection dropped (NODE_IDLE_TIMEOUT_S)",
  ping_timeout: "no answer to pings (CLIENT_TIMEOUT_S)",
  message_too_large: "message over WS_MAX_PAYLOAD",
  over_limit: "over a rate limit for too long",
  too_many_parts: "incomplete large message, while the memory for those was exhausted",
  protocol_error: "invalid websocket data",
  connection_lost: "connection broke",
  replaced: "replaced by another node on the same connection",
  chain_refused: "chain not admitted (ALLOWED_CHAINS, DENIED_CHAINS)",
  server_stopped: "this server stopped",
  server_lost: "this server ended unexpectedly",
};

const REFUSALS = {
  token: "no token, or a wrong one",
  network: "address not admitted (ALLOWED_NETWORKS)",
  wrong_path: "wrong path",
  chain_refused: "chain not admitted",
  too_many_connections: "this server is full (CONNECTIONS_MAX)",
  too_many_from_address: "too many connections of this address (CONNECTIONS_PER_IP_MAX)",
  over_limit: "over a limit",
  blocked: "blocked for a while, for it was over a limit",
  handshake: "no websocket",
  stopping: "this server stopped",
};

/** Why a connection was refused, in words. */
export const refusalWords = ({ reason, detail }) => `${REFUSALS[reason] ?? reason.replaceAll("_", " ")}${detail ? `: ${detail}` : ""}`;

/** "connection broke"; a reason that is not in the table as the server names it. */
export function reasonWords(reason) {
  if (!reason) return "reason unknown";
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}
