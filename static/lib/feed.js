/*
 * The client of the live feed: one socket for the page, several subscriptions.
 *
 *   import { feed } from "./lib/feed.js";
 *   const subscription = feed.subscribe({ peer_id, msg: "block.import" }, {
 *     data(message, text) {}, // as the server sent it: data, cursor; or nodes; presence; status, cursor; events, cursor; and the text of that
 *     begin() {},           // requested (again): after a reconnect a table of nodes starts afresh
 *     lagged(count) {},     // this many messages were skipped, for the page read too slowly
 *     problem(text) {},     // the history could not be read; what comes now is shown all the same
 *     error(text) {},       // refused; the subscription is over
 *   });
 *   subscription.close();
 *
 * A connection that broke is tried again after 0.5 s to 30 s; messages then continue after the last cursor, windows after
 * the last window, with neither a gap nor a repeat. `feed.state` says how it stands; each change is an event "state".
 */
import { ROOT } from "./api.js";

const WAIT_MS_FIRST = 500;
const WAIT_MS_MAX = 30_000;
// A connection may die without a close (sleep, a lost network). After silence the client sends a request; any answer
// shows that the server is there.
const SILENCE_MS = 20_000;
const ANSWER_MS = 10_000;
// A connection that held this long begins anew with short waits.
const STEADY_MS = 10_000;
// Topics whose messages carry their name.
const TOPICS = ["nodes", "presence", "status", "events"];

/** The feed of a server. Pages share the one that is exported as `feed`. */
export class Feed extends EventTarget {
  #address;
  #socket = null;
  #subscriptions = new Set();
  #requests = new Map();
  #number = 0;
  #attempts = 0;
  #retryTimer = 0;
  #pulse = 0;
  #heardAt = 0;
  #openedAt = 0;

  /**
   * `kind`: "idle" (nothing subscribed), "connecting", "live", "waiting" (tried again at `retryAt`, Unix ms);
   * `since`: when it was last live; `attempts` in vain since then.
   */
  state = { kind: "idle", since: null, attempts: 0, retryAt: null };

  /** Whether the server can be reached over HTTP only, as a page noticed: it asks for what it shows again and again. */
  isBlocked = false;

  constructor(address = new URL("feed", ROOT)) {
    super();
    this.#address = address;
    this.#address.protocol = this.#address.protocol === "https:" ? "wss:" : "ws:";
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retry();
    });
  }

  /** Subscribes; `asked` is what the server expects, without `interest` and `request_id`. */
  subscribe(asked, handlers) {
    // The server takes an empty text for none, and names subscriptions accordingly.
    const request = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== "" && value !== null));
    const subscription = { request, key: keyOfRequest(request), handlers, resume: {} };
    for (const other of this.#subscriptions) {
      if (other.key === subscription.key) throw new Error(`subscribed twice: ${subscription.key}`);
    }
    this.#subscriptions.add(subscription);
    if (this.state.kind === "live") this.#ask(subscription);
    else if (this.state.kind === "idle") this.#connect();
    return {
      close: () => {
        if (!this.#subscriptions.delete(subscription)) return;
        if (this.state.kind === "live") this.#send({ ...nameOf(subscription.request), interest: "unsubscribe" }, subscription);
      },
    };
  }

  /** Says whether the server can be reached over HTTP only. */
  setBlocked(isBlocked) {
    if (this.isBlocked === isBlocked) return;
    this.isBlocked = isBlocked;
    this.dispatchEvent(new Event("state"));
  }

  /** Tries again at once, if the connection is broken. */
  retry() {
    if (this.state.kind === "waiting") this.#connect();
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    this.#tell("connecting");
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    const current = (act) => (event) => {
      if (this.#socket === socket) act(event);
    };
    socket.onopen = current(() => this.#opened());
    socket.onmessage = current((event) => this.#heard(event.data));
    socket.onclose = current(() => this.#lost());
  }

  #opened() {
    this.#openedAt = this.#heardAt = Date.now();
    this.#pulse = setInterval(() => this.#checkPulse(), 5000);
    this.#tell("live");
    for (const subscription of this.#subscriptions) this.#ask(subscription);
  }

  #lost() {
    const socket = this.#socket;
    this.#socket = null;
    socket.onclose = null;
    socket.close();
    clearInterval(this.#pulse);
    this.#requests.clear();
    if (this.#openedAt && Date.now() - this.#openedAt > STEADY_MS) this.#attempts = 0;
    this.#openedAt = 0;
    const longest = Math.min(WAIT_MS_FIRST * 2 ** this.#attempts, WAIT_MS_MAX);
    const millis = longest * (0.5 + Math.random() / 2);
    this.#attempts += 1;
    this.#tell("waiting", Date.now() + millis);
    this.#retryTimer = setTimeout(() => this.#connect(), millis);
  }

  #checkPulse() {
    const silence = Date.now() - this.#heardAt;
    if (silence > SILENCE_MS + ANSWER_MS) this.#lost();
    else if (silence > SILENCE_MS) this.#send({ interest: "unsubscribe", peer_id: "-", msg: "-" });
  }

  #ask(subscription) {
    subscription.handlers.begin?.();
    this.#send({ ...subscription.request, ...subscription.resume, interest: "subscribe" }, subscription);
  }

  #send(request, subscription = null) {
    const id = ++this.#number;
    this.#requests.set(id, { subscription, key: subscription?.key, interest: request.interest });
    this.#socket.send(JSON.stringify({ ...request, request_id: id }));
  }

  #heard(text) {
    this.#heardAt = Date.now();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      console.warn("the feed sent no JSON");
      return;
    }
    if (message.ack) this.#requests.delete(message.ack.request_id);
    else if ("error" in message && message.peer_message) {
      this.#each(sameMessages(message), (one) => one.handlers.problem?.(message.error));
    } else if ("error" in message) this.#refused(message);
    else this.#deliver(message, text);
  }

  #refused({ error, request_id: id }) {
    const asked = this.#requests.get(id);
    this.#requests.delete(id);
    if (!asked) {
      this.dispatchEvent(new CustomEvent("problem", { detail: error }));
    } else if (asked.interest === "subscribe" && this.#subscriptions.delete(asked.subscription)) {
      asked.subscription.handlers.error?.(error);
    }
  }

  #deliver(message, text) {
    if ("lagged" in message) {
      this.#each(sameMessages(message), (one) => one.handlers.lagged?.(message.lagged));
      return;
    }
    const key = TOPICS.find((topic) => topic in message) ?? keyOfMessage(message);
    // What is still on its way for a subscription that was left does not belong to the next of the same name.
    for (const asked of this.#requests.values()) {
      if (asked.interest === "unsubscribe" && asked.key === key) return;
    }
    this.#each((one) => one.key === key, (one) => {
      one.resume = resumeAfter(message) ?? one.resume;
      one.handlers.data?.(message, text);
    });
  }

  /** A fault of one subscriber must not cost the others their message. */
  #each(fits, act) {
    for (const subscription of [...this.#subscriptions].filter(fits)) {
      try {
        act(subscription);
      } catch (error) {
        console.error(error);
      }
    }
  }

  #tell(kind, retryAt = null) {
    const since = this.state.kind === "live" || kind === "live" ? Date.now() : this.state.since;
    this.state = { kind, since, attempts: this.#attempts, retryAt };
    this.dispatchEvent(new Event("state"));
  }
}

/** What names a subscription, for `unsubscribe`. */
function nameOf({ topic, peer_id, chain, msg, aggregate_type, aggregate_interval, aggregate_key }) {
  return { topic, peer_id, chain, msg, aggregate_type, aggregate_interval, aggregate_key };
}

/** The request that continues after a message. */
function resumeAfter({ cursor, aggregate, data }) {
  if (cursor) return { cursor, start_time: undefined };
  if (!aggregate || !data?.length) return null;
  const last = Date.parse(data.at(-1).created_at) + aggregate.interval * 1000;
  return { start_time: new Date(last).toISOString() };
}

/** Subscriptions to the messages that are named, aggregated or not. */
function sameMessages(message) {
  const prefix = keyOfMessage({ peer_message: message.peer_message });
  return (one) => one.key.startsWith(prefix);
}

function keyOfRequest(request) {
  if (request.topic && request.topic !== "messages") return request.topic;
  const { peer_id, chain, msg, aggregate_type: type, aggregate_interval: interval, aggregate_key: key } = request;
  const prefix = keyOfMessage({ peer_message: { peer_id, chain, msg } });
  return type ? `${prefix}${type.toLowerCase()} ${interval} ${key ?? "time"}` : prefix;
}

function keyOfMessage({ peer_message: named, aggregate }) {
  const prefix = `${JSON.stringify([named?.peer_id ?? null, named?.chain ?? null, named?.msg ?? null])} `;
  return aggregate ? `${prefix}${aggregate.type} ${aggregate.interval} ${aggregate.key}` : prefix;
}

/** The feed of this page's server. It connects with the first subscription. */
export const feed = new Feed();
