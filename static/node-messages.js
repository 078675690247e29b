/*
 * The messages of a node, newest first: pages from the server, and what arrives meanwhile.
 */
import { address, getWithHeaders, isAbort } from "./lib/api.js";
import { h } from "./lib/elements.js";
import { count, counted, timeLocal } from "./lib/format.js";
import { parseExact } from "./lib/json.js";
import { showEmpty, showError, showLoading } from "./lib/states.js";
import { messageItem, micros, passes, timeOfMicros, toMessage } from "./node-message.js";

const PAGE = 100;
// Messages in the list while new ones arrive; older ones can be loaded again.
const LIVE_MAX = 500;
// Newer messages than a moment are looked for in windows of at first this many microseconds.
const WINDOW_FIRST = 10_000_000;
// Messages of a connection are at least one microsecond apart, so a page holds all of the shortest.
const WINDOW_MIN = 64;

/**
 * Puts the list in `place`. `options`: `peer`; `linkTo(at)` gives an <a> to a moment; `only(msg)`, `clearFilters()`;
 * `explainEmpty(place)`: shows why there are no messages at all; `clock()`: the time of the server, Unix ms.
 * Returns `{ load(view), hear(messages), pause(isPaused) }`. A view is `{ from, to, isLive, at, filters }`: Dates; `at`
 * is the text of a time or ""; a live view without `at` takes what arrives.
 */
export function createMessages(place, options) {
  return new Messages(place, options);
}

class Messages {
  #options;
  #view = null;
  #messages = [];
  #items = new Map();
  #held = [];
  #isPaused = false;
  #isLoading = false;
  // Parameters of the request for what is older than the list, or null if there is nothing.
  #older = null;
  #request = null;
  #list = h("ol", { class: "messages" });
  #state = h("div");
  #newer = h("button", { type: "button", class: "messages-newer", onclick: () => this.#showNewer() });
  #more = h("button", { type: "button", onclick: () => this.#showOlder() }, "Older messages");
  #told = h("span", { class: "quiet-text" });
  #wrong = h("p", { class: "notice bad", role: "alert", hidden: true });
  #asJson = h("a", {}, "As JSON");

  constructor(place, options) {
    this.#options = options;
    place.append(this.#newer, this.#list, this.#state, this.#wrong, h("div", { class: "bar" }, this.#more, this.#told, h("span", { class: "end" }, this.#asJson)));
    setInterval(() => this.#release(), 500);
  }

  /** Shows another view. */
  async load(view) {
    this.#view = view;
    this.#request?.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    this.#clear();
    showLoading(this.#state);
    this.#isLoading = true;
    this.#asJson.href = address("nodes/logs", { ...this.#params(), limit: 1000 });
    try {
      // The page ends with the moment itself; what came after it is read separately.
      const end = view.at ? { end_time: timeOfMicros(micros(view.at) + 1) } : {};
      await this.#readOlder({ ...this.#params(), ...end }, signal);
      if (view.at) await this.#readNewer(signal);
      this.#isLoading = false;
      this.#explain();
      if (view.at) this.#reveal();
    } catch (error) {
      if (isAbort(error)) return;
      this.#isLoading = false;
      this.#explain();
      showError(this.#state, error, () => this.load(this.#view));
    }
  }

  /** Takes messages that arrived: `[{ msg, createdAt, logs }]`, as toMessage gives them. */
  hear(messages) {
    if (!this.#isLive) return;
    this.#held.push(...messages.filter((message) => passes(message, this.#view.filters)));
    this.#release();
  }

  pause(isPaused) {
    this.#isPaused = isPaused;
    this.#release();
  }

  get #isLive() {
    return this.#view?.isLive && !this.#view.at;
  }

  #params() {
    const { from, to, isLive, filters } = this.#view;
    return {
      peer_id: this.#options.peer, ...filters, limit: PAGE, start_time: from.toISOString(),
      end_time: isLive ? null : to.toISOString(),
    };
  }

  #clear() {
    this.#messages = [];
    this.#items.clear();
    this.#held = [];
    this.#older = null;
    this.#list.replaceChildren();
    for (const element of [this.#newer, this.#more, this.#wrong]) element.hidden = true;
    this.#told.textContent = "";
  }

  async #readOlder(params, signal) {
    const { messages, cursor } = await this.#ask(params, signal);
    this.#older = cursor ? { ...params, cursor } : null;
    this.#add(messages);
  }

  /** Messages after the newest of the list, in a window of time that has neither none nor too many. */
  async #readNewer(signal) {
    const last = micros((this.#view.isLive ? new Date(this.#options.clock()) : this.#view.to).toISOString());
    let start = (this.#messages[0]?.micros ?? micros(this.#view.at)) + 1;
    let width = WINDOW_FIRST;
    let found = [];
    while (start < last && found.length === 0) {
      const end = Math.min(start + width, last);
      const params = { ...this.#params(), start_time: timeOfMicros(start), end_time: timeOfMicros(end) };
      const { messages, cursor } = await this.#ask(params, signal);
      if (cursor && width > WINDOW_MIN) {
        width = Math.max(WINDOW_MIN, Math.floor(width / 8));
      } else {
        found = messages;
        start = end;
        width *= 4;
      }
    }
    this.#add(found);
    this.#newer.hidden = start >= last;
    this.#newer.textContent = "Newer messages";
  }

  async #ask(params, signal) {
    const onwait = (seconds, error) => showLoading(this.#state, `${error.message} Trying again in ${seconds} s…`);
    const { body, headers } = await getWithHeaders("nodes/logs", params, { signal, onwait, text: true });
    const messages = parseExact(body).map(({ msg, created_at: createdAt, logs }) => toMessage(msg, createdAt, logs));
    return { messages, cursor: headers.get("X-Next-Cursor") };
  }

  /** Puts messages where they belong: the newest at the top. */
  #add(messages) {
    const at = this.#view.at ? micros(this.#view.at) : null;
    const added = messages.filter(({ key }) => !this.#items.has(key));
    for (const message of added) {
      this.#items.set(message.key, messageItem(message, {
        link: this.#options.linkTo(message.createdAt), isMoment: message.micros === at, only: this.#options.only,
      }));
    }
    this.#messages = [...this.#messages, ...added].sort((a, b) => b.micros - a.micros);
    // Most are above or beneath all others, so few elements move.
    let next = this.#list.firstChild;
    for (const { key } of this.#messages) {
      const item = this.#items.get(key);
      if (item === next) next = next.nextSibling;
      else this.#list.insertBefore(item, next);
    }
  }

  #trim() {
    if (this.#messages.length <= LIVE_MAX) return;
    for (const { key } of this.#messages.splice(LIVE_MAX)) {
      this.#items.get(key).remove();
      this.#items.delete(key);
    }
    this.#older = { ...this.#params(), end_time: timeOfMicros(this.#messages.at(-1).micros + 1) };
  }

  /** Shows what arrived, unless that would move what is being read. */
  #release() {
    if (!this.#isLive || this.#isLoading) return;
    // The feed repeats the last minute; what is older than the list belongs to the next page.
    const oldest = this.#older === null ? -Infinity : this.#messages.at(-1)?.micros ?? -Infinity;
    this.#held = this.#held.filter(({ key, micros: at }) => at >= oldest && !this.#items.has(key));
    if (this.#held.length === 0) return;
    if (this.#isPaused || this.#isRead()) {
      if (this.#held.length > LIVE_MAX) this.#held.splice(0, this.#held.length - LIVE_MAX);
      this.#newer.hidden = false;
      this.#newer.textContent = `Show ${this.#held.length === LIVE_MAX ? `${count(LIVE_MAX)} or more` : count(this.#held.length)} new`;
    } else this.#showHeld();
  }

  #isRead() {
    return this.#list.matches(":hover, :focus-within") || this.#list.querySelector("details[open]") !== null
      || this.#list.getBoundingClientRect().top < 0;
  }

  #showHeld() {
    const held = this.#held;
    this.#held = [];
    this.#newer.hidden = true;
    this.#add(held);
    this.#trim();
    this.#explain();
  }

  async #showNewer() {
    if (this.#isLive) {
      this.#showHeld();
      this.#list.firstChild?.scrollIntoView({ block: "nearest" });
      return;
    }
    await this.#turn(this.#newer, (signal) => this.#readNewer(signal));
  }

  async #showOlder() {
    const last = this.#list.lastElementChild;
    await this.#turn(this.#more, (signal) => this.#readOlder(this.#older, signal));
    // The button may be gone: the keyboard goes on with the first of the new ones.
    if (this.#more.hidden) last?.nextElementSibling?.querySelector("a")?.focus({ preventScroll: true });
  }

  async #turn(button, act) {
    const { signal } = this.#request;
    button.disabled = true;
    this.#wrong.hidden = true;
    try {
      await act(signal);
      this.#explain();
    } catch (error) {
      if (isAbort(error)) return;
      this.#wrong.textContent = error.message;
      this.#wrong.hidden = false;
    } finally {
      button.disabled = false;
    }
  }

  /** Shows how much there is, or why there is nothing. */
  #explain() {
    const { filters } = this.#view;
    const shown = this.#messages.length;
    this.#state.replaceChildren();
    this.#more.hidden = this.#older === null;
    const oldest = this.#messages.at(-1);
    this.#told.textContent = shown === 0 ? ""
      : `${counted(shown, "message")}${this.#older ? ` back to ${timeLocal(oldest.createdAt)}` : ", all in this time range"}`;
    if (shown > 0) return;
    if (filters.msg || filters.target || filters.text) {
      showEmpty(this.#state, "No messages match the filters.",
        h("p", {}, h("button", { type: "button", onclick: () => this.#options.clearFilters() }, "Clear filters")));
    } else this.#options.explainEmpty(this.#state);
  }

  /** Brings the moment into sight: the message itself, or the last one before it. */
  #reveal() {
    const at = micros(this.#view.at);
    const found = this.#messages.find((message) => message.micros <= at) ?? this.#messages.at(-1);
    if (!found) return;
    const item = this.#items.get(found.key);
    item.setAttribute("aria-current", "true");
    item.scrollIntoView({ block: "center" });
  }
}
