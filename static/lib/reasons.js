/*
 * Why sessions end, in words: the reasons of the server (`disconnect_reason`) as what the node, or the server, did.
 */
const REASONS = {
  closed_by_node: "it closed the connection, as nodes do when they stop",
  close_frame: "it said goodbye, as old nodes do when they stop",
  idle: "it said nothing for too long",
  ping_timeout: "it no longer answered pings",
  message_too_large: "it sent a message that is larger than allowed",
  over_limit: "it sent more than is allowed, and went on",
  too_many_parts: "it held a part of a large message while many others did",
  protocol_error: "what it sent was no websocket",
  connection_lost: "the connection broke",
  replaced: "another node took its place on the same connection",
  chain_refused: "its chain is not admitted by this server",
  server_stopped: "this server stopped",
  server_lost: "this server ended without a word",
};

/** "the connection broke"; what is not known here is told as the server named it. */
export function reasonWords(reason) {
  if (!reason) return "nobody knows why";
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}
