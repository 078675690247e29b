/*
 * The span of time of a page: the last 15 minutes to 7 days, or from–to, kept in the address (`span=6h`, or `from` and
 * `to` in RFC 3339), so that a link leads to the same moment.
 */
import { readAddress, writeAddress, onAddress } from "./address.js";
import { h } from "./elements.js";
import { timeLocal, toDate } from "./format.js";

const CHOICES = [
  ["15m", "Last 15 min", 900], ["1h", "Last hour", 3600], ["6h", "Last 6 h", 21_600],
  ["24h", "Last 24 h", 86_400], ["7d", "Last 7 d", 604_800],
];

/**
 * Puts a picker in `place`. `changed(span)` is called when the span changes (not at the start).
 * Returns `{ get(), set(from, to), reset(), show() }`; a span is `{ from: Date, to: Date, live: boolean, name }`. `live` spans
 * end now: call `get()` again for a later one. `reset` goes back to the one that was shown last,
 * `show` shows what the page itself wrote into the address.
 */
export function spanPicker(place, { fallback = "1h", changed = () => {} } = {}) {
  const choice = h("select", { "aria-label": "Span of time", onchange: () => choose() },
    ...CHOICES.map(([name, text]) => h("option", { value: name }, text)), h("option", { value: "own" }, "From – to"));
  const from = h("input", { type: "datetime-local", step: "1", "aria-label": "From", onchange: () => own() });
  const to = h("input", { type: "datetime-local", step: "1", "aria-label": "To", onchange: () => own() });
  const wrong = h("span", { class: "wrong", role: "alert" });
  const fields = h("span", { class: "span-own" }, from, " – ", to, wrong);
  const earlier = h("button", { type: "button", title: "Earlier", "aria-label": "Earlier span of time", onclick: () => move(-1) }, "◂");
  const later = h("button", { type: "button", title: "Later", "aria-label": "Later span of time", onclick: () => move(1) }, "▸");
  place.append(h("span", { class: "span-picker" }, earlier, choice, later, fields));
  let lastLive = fallback;

  const read = () => {
    const asked = readAddress({ span: fallback, from: "", to: "" });
    const begin = toDate(asked.from);
    const end = toDate(asked.to);
    if (begin && end && begin < end) return { from: begin, to: end, live: false, name: "own" };
    const [name, , seconds] = CHOICES.find(([known]) => known === asked.span)
      ?? CHOICES.find(([known]) => known === fallback);
    const now = new Date();
    return { from: new Date(now.getTime() - seconds * 1000), to: now, live: true, name };
  };
  const show = () => {
    const span = read();
    choice.value = span.name;
    if (span.live) lastLive = span.name;
    later.disabled = span.live;
    fields.hidden = span.name !== "own";
    from.value = forInput(span.from);
    to.value = forInput(span.to);
    wrong.textContent = "";
  };
  const set = (begin, end) => {
    writeAddress({ span: null, from: begin.toISOString(), to: end.toISOString() }, { push: true });
    show();
    changed(read());
  };
  const setLive = (name) => {
    writeAddress({ span: name === fallback ? null : name, from: null, to: null }, { push: true });
    show();
    changed(read());
  };
  const choose = () => {
    if (choice.value === "own") {
      fields.hidden = false;
      from.focus();
    } else setLive(choice.value);
  };
  // By the whole length, but not into the future: there it becomes live, if it is as long as a choice.
  const move = (direction) => {
    const span = read();
    const length = span.to - span.from;
    const end = Math.min(span.to.getTime() + direction * length, Date.now());
    const [live] = CHOICES.find(([, , seconds]) => Math.abs(seconds * 1000 - length) < 1000) ?? [];
    if (live && end > Date.now() - 1000) setLive(live);
    else set(new Date(end - length), new Date(end));
  };
  const own = () => {
    const begin = toDate(from.value);
    const end = toDate(to.value);
    const fits = begin && end && begin < end;
    wrong.textContent = fits ? "" : " The first time must lie before the second.";
    if (fits) set(begin, end);
  };
  onAddress(() => {
    show();
    changed(read());
  });
  show();
  return { get: read, set, reset: () => setLive(lastLive), show };
}

const forInput = (date) => timeLocal(date).replace(" ", "T");
