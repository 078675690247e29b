/*
 * The Nodes page at a moment of the past: `at` in the address, in RFC 3339, so that a link leads to the same moment. What is
 * shown stands still.
 */
import { getWithHeaders } from "./lib/api.js";
import { readAddress } from "./lib/address.js";
import { h, menu, timeElement } from "./lib/elements.js";
import { timeLocal, toDate } from "./lib/format.js";
import { asRow } from "./nodes-data.js";

const PAGE = 2000;
const NODES_MAX = 20_000;
const HOUR_MS = 3_600_000;

/** The moment of the address; null for now. */
export function pastMoment() {
  const at = toDate(readAddress({ at: "" }).at);
  return at && at < Date.now() ? at : null;
}

/** The address of this page at another moment, with everything else as it is; null for now. */
function addressAt(moment) {
  const url = new URL(location.href);
  if (moment) url.searchParams.set("at", moment.toISOString().replace(/\.000Z$/, "Z"));
  else url.searchParams.delete("at");
  return url.href;
}

/** A menu to choose a moment. */
export function momentMenu(at) {
  const input = h("input", { type: "datetime-local", step: 1, "aria-label": "Moment, by your clock", value: forInput(at ?? new Date(Date.now() - HOUR_MS)), max: forInput(new Date()) });
  const wrong = h("span", { class: "wrong", role: "alert" });
  const show = () => {
    const moment = toDate(input.value);
    if (moment && moment < Date.now()) location.assign(addressAt(moment));
    else wrong.textContent = "A moment of the past is needed.";
  };
  const form = h("form", { class: "moment", onsubmit: (event) => {
    event.preventDefault();
    show();
  } }, h("p", {}, "The network as it was at"), input, h("button", { type: "submit", class: "primary" }, "Show"), wrong);
  const element = menu("Past", form);
  element.classList.add("moment-menu");
  return element;
}

/** Says that this is the past, with the way to now, and an hour on and back. */
export function showMoment(place, at) {
  const step = (hours, text) => {
    const moment = new Date(at.getTime() + hours * HOUR_MS);
    return moment < Date.now() ? h("a", { class: "button", href: addressAt(moment) }, text) : null;
  };
  place.hidden = false;
  place.replaceChildren(h("strong", {}, "The past: the network as it was at ", timeElement(at), "."), h("span", {}, "Values are the last ones of that hour."),
    h("span", { class: "bar end" }, step(-1, "1 h earlier"), step(1, "1 h later"), h("a", { class: "button", href: addressAt(null) }, "Back to now")));
}

/** Reads the nodes of that moment into `table`, once. `changed`: as that of `followNodes`. */
export function readPast(table, at, changed) {
  const read = async () => {
    try {
      const seen = [];
      for (let cursor = null; ;) {
        const { body, headers } = await getWithHeaders("api/v1/nodes", { at: at.toISOString(), limit: PAGE, cursor });
        seen.push(...body.map((node) => ({ ...asRow(node), isListed: true })));
        cursor = headers.get("X-Next-Cursor");
        if (!cursor || seen.length >= NODES_MAX) break;
      }
      table.replace(seen);
      changed({ isComplete: true, isKnown: true, isBlocked: false, hasOlder: false, error: null });
    } catch (error) {
      changed({ isComplete: false, isKnown: false, isBlocked: false, hasOlder: false, error });
    }
  };
  read();
  return { read };
}

const forInput = (date) => timeLocal(date).replace(" ", "T");
