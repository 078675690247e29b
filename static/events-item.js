/*
 * One event in the stream: its row, and what is shown when it is opened: the whole event, and what its node or its source
 * said a minute before and after.
 */
import { address, get, getWithHeaders } from "./lib/api.js";
import { h, timeElement } from "./lib/elements.js";
import { hashShort, timeLocal } from "./lib/format.js";
import { jsonText, jsonView, parseExact } from "./lib/json.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";

const TONES = { warn: "warn", error: "bad", fatal: "bad" };
const SAID_MAX = 160;
const AROUND_MS = 60_000;
const AROUND_MAX = 200;

/** The element; `filterBy(changes)` narrows the page to a value. */
export function eventItem(event, filterBy) {
  const { data, severity, name, source, time, peer_id: peerId, chain } = event;
  const told = Object.entries(data).filter(([key]) => !["_e", "name", "event", "severity", "level", "timestamp"].includes(key));
  const text = told.map(([key, value]) => `${key} ${typeof value === "object" && value !== null ? jsonText(value) : value}`).join(", ");
  const details = h("details", {},
    h("summary", { class: "row" }, timeElement(time, { millis: true }), h("span", { class: `chip ${TONES[severity] ?? ""}` }, severity),
      h("span", { class: "name" }, name ?? "(no name)"),
      h("span", { title: peerId ?? "" }, source === peerId ? hashShort(peerId) : [source, peerId && hashShort(peerId)].filter(Boolean).join(", ")),
      chain && h("span", { class: "quiet-text" }, chain),
      h("span", { class: "said-text" }, text.length > SAID_MAX ? `${text.slice(0, SAID_MAX)}…` : text)));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(whole(event, filterBy));
  });
  return h("li", {}, details);
}

function whole(event, filterBy) {
  const around = h("div", {});
  const only = (label, changes) => h("button", { type: "button", onclick: () => filterBy(changes) }, label);
  const buttons = [
    event.name && only("Only this name", { name: event.name }), only("Only this source", { source: event.source }),
    h("button", { type: "button", onclick: () => showAround(around, event) }, "What was said around it"),
  ];
  const node = event.peer_id && h("p", {}, h("a", { href: address("dashboard/node", { peer_id: event.peer_id, at: event.created_at }) }, "Its node then"));
  return h("div", {}, node, h("p", { class: "quiet-text" }, `Arrived ${timeLocal(event.created_at, true)} · number ${event.id} · ${event.event_id}`),
    jsonView(event.data, buttons.filter(Boolean)), around);
}

/** What the node said a minute before and after; of a program its other events. */
async function showAround(place, event) {
  showLoading(place);
  const at = Date.parse(event.created_at);
  const range = { start_time: new Date(at - AROUND_MS).toISOString(), end_time: new Date(at + AROUND_MS).toISOString(), limit: AROUND_MAX };
  try {
    const lines = event.peer_id ? await messagesOf(event.peer_id, range) : await eventsOf(event.source, range);
    if (lines.length === 0) showEmpty(place, "Nothing else was said, or it is purged.");
    else {
      place.replaceChildren(h("p", { class: "quiet-text" }, `A minute before and after${lines.length === AROUND_MAX ? `, the newest ${AROUND_MAX}` : ""}:`),
        h("ul", { class: "lines around", tabindex: 0, "aria-label": "What was said around the event" }, lines.map(({ when, what, text, id }) => h("li", { class: id === event.id ? "is-event" : "" },
          h("div", { class: "row" }, timeElement(when, { millis: true }), h("span", {}, what), h("code", { class: "said-text" }, text))))));
    }
  } catch (error) {
    showError(place, error, () => showAround(place, event));
  }
}

async function messagesOf(peerId, range) {
  const { body } = await getWithHeaders("nodes/logs", { peer_id: peerId, ...range }, { text: true });
  return parseExact(body).map(({ msg, created_at: when, logs }) => ({ when, what: msg, text: jsonText(logs).slice(0, 2 * SAID_MAX) }));
}

async function eventsOf(source, range) {
  const events = await get("api/v1/events", { source, ...range });
  return events.map(({ id, created_at: when, name, data }) => ({ id, when, what: name ?? "", text: jsonText(data).slice(0, 2 * SAID_MAX) }));
}
