/*
 * Where events are sent on to, and what waits there.
 */
import { get } from "./lib/api.js";
import { h } from "./lib/elements.js";
import { age, count, counted } from "./lib/format.js";

/** Shows the transports; hides the card while there are none. */
export async function showTransports(card, place) {
  let transports;
  try {
    transports = await get("api/v1/events/transports");
  } catch {
    // The stream says whether the server answers.
    return;
  }
  card.hidden = transports.length === 0;
  place.replaceChildren(h("ul", { class: "lines" }, transports.map((one) => h("li", {}, h("div", { class: "row" },
    h("span", { class: `chip ${one.state === "sending" ? "good" : "warn"}` }, one.state), h("span", { class: "name" }, one.name),
    h("span", {}, one.pending > 0 ? `${counted(one.pending, "event")} wait, the oldest for ${age(one.oldest_pending_s)}` : "nothing waits"),
    h("span", { class: "said-text" }, [`${count(one.sent)} sent`, one.dead > 0 && `${count(one.dead)} given up`, one.dropped > 0 && `${count(one.dropped)} dropped`, one.state === "waiting" && one.last_error]
      .filter(Boolean).join(", ")))))));
}
