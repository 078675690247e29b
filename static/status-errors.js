/*
 * Errors that nodes report, of all nodes, the newest first.
 */
import { getWithHeaders } from "./lib/api.js";
import { h, timeElement } from "./lib/elements.js";
import { hashShort } from "./lib/format.js";
import { showEmpty, showError } from "./lib/states.js";

const SHOWN = 20;

const WORDS = {
  "slots.unable_authoring_block": "could not author a block", "slots.unable_fetching_authorities": "could not read the authorities",
  "slots.err_with_block_built_on": "a block that it built was refused", "slots.discarding_proposal_took_too_long": "a block took too long to build",
  "afg.bad_msg_signature": "a peer sent a vote with a bad signature", "afg.bad_commit_msg_signature": "a peer sent a commit with a bad signature",
  "afg.bad_catch_up_msg_signature": "a peer sent a catch-up with a bad signature", "afg.err_decoding_msg": "a peer sent a message that cannot be decoded",
  "afg.malformed_compact_commit": "a peer sent a malformed commit", "aura.halting_for_future_block": "waits for a block of the future",
  "aura.header_too_far_in_future": "a block is of the future: a clock is off", "babe.header_too_far_in_future": "a block is of the future: a clock is off",
};

/** Puts them in `place`; `button` shows older ones. Returns `read()`, which reads the newest anew. */
export function createErrors(place, button) {
  let newest = [];
  // Pages that the reader asked for beside the newest.
  let extra = [];
  let older = null;
  const show = () => {
    const known = new Set(newest.map(({ id }) => id));
    const errors = newest.concat(extra.filter(({ id }) => !known.has(id)));
    button.hidden = older === null;
    if (errors.length === 0) showEmpty(place, "No errors within a day.", "Nodes report most of them from level 4 on: --telemetry-url '… 4'.");
    else place.replaceChildren(h("ul", { class: "lines" }, errors.map(line)));
  };
  const read = async () => {
    const { body, headers } = await getWithHeaders("api/v1/nodes/errors", { limit: SHOWN });
    newest = body;
    if (extra.length === 0) older = headers.get("X-Next-Cursor");
    show();
  };
  button.addEventListener("click", async () => {
    try {
      const { body, headers } = await getWithHeaders("api/v1/nodes/errors", { limit: SHOWN, cursor: older });
      extra = extra.concat(body);
      older = headers.get("X-Next-Cursor");
      show();
    } catch (error) {
      showError(place, error, read);
    }
  });
  return read;
}

function line({ created_at: at, peer_id: peer, name, chain, msg, logs }) {
  const told = typeof logs.err === "string" ? logs.err : "";
  return h("li", {}, timeElement(at), h("a", { class: "name", href: `node?${new URLSearchParams({ peer_id: peer, at })}` }, name || hashShort(peer)),
    h("span", { class: "why", title: msg }, WORDS[msg] ?? msg), told && h("code", {}, told), chain && h("span", { class: "quiet-text" }, chain));
}
