/*
 * The values of a node over time: buckets from the server, changed by the messages that arrive. Pure.
 */

// A value holds until the next, but not longer than this (or one bucket): a node sends every few seconds.
const HOLD_S = 60;

const VALUES = [
  "height", "chain_height", "finalized_height", "peers", "transactions", "ready", "future", "download_bytes_per_s",
  "upload_bytes_per_s",
];

// Which value a field of a message is.
const FIELDS = {
  "system.interval": {
    height: "height", finalized_height: "finalized_height", peers: "peers", txcount: "transactions",
    bandwidth_download: "download_bytes_per_s", bandwidth_upload: "upload_bytes_per_s",
  },
  "block.import": { height: "height" },
  "notify.finalized": { height: "finalized_height" },
  "txpool.import": { ready: "ready", future: "future" },
};

export class Series {
  #step = 1;
  // Start of a bucket in seconds → { at: { value: time of its message }, …values }.
  #buckets = new Map();

  /** Seconds of a bucket. */
  get step() {
    return this.#step;
  }

  /** Takes an answer of the server in place of all there is. */
  load({ step_s: step, points }) {
    this.#step = step;
    this.#buckets.clear();
    this.#take(points);
  }

  /** Takes a later answer for some of the buckets; false if its buckets are others. */
  merge({ step_s: step, points }) {
    if (step !== this.#step) return false;
    this.#take(points);
    return true;
  }

  #take(points) {
    for (const point of points) {
      const start = Date.parse(point.created_at) / 1000;
      const bucket = this.#buckets.get(start) ?? { at: {} };
      this.#buckets.set(start, bucket);
      for (const value of VALUES) {
        // What arrived is newer than an answer that was on its way meanwhile.
        if (!(value in bucket.at)) bucket[value] = point[value];
      }
    }
  }

  /** Takes a message that arrived; `seconds` is its time. False if it has no value that is shown. */
  hear(msg, fields, seconds) {
    const names = FIELDS[msg];
    if (!names) return false;
    const start = Math.floor(seconds / this.#step) * this.#step;
    const bucket = this.#buckets.get(start) ?? { at: {} };
    this.#buckets.set(start, bucket);
    for (const [field, value] of Object.entries(names)) {
      const said = numberOf(fields[field]);
      // The last one of its bucket counts, by the time of the message.
      if (said === null || bucket.at[value] > seconds) continue;
      bucket[value] = said;
      bucket.at[value] = seconds;
    }
    return true;
  }

  /**
   * Columns over a span (Unix ms): `times` in seconds, all values, and `behind` and `lag` in blocks. Values hold over
   * short silences, but not while the node was away: `isAway(from, to)`, Unix ms.
   */
  columns({ from, to }, isAway) {
    const step = this.#step;
    const columns = { times: [], behind: [], lag: [] };
    for (const value of VALUES) columns[value] = [];
    const hold = Math.max(HOLD_S, step);
    const held = new Map();
    for (let start = Math.floor(from / 1000 / step) * step; start * 1000 < to; start += step) {
      columns.times.push(start);
      if (isAway(start * 1000, (start + step) * 1000)) held.clear();
      const bucket = this.#buckets.get(start);
      for (const value of VALUES) {
        const said = bucket?.[value] ?? null;
        if (said !== null) held.set(value, { said, start });
        const known = held.get(value);
        columns[value].push(known && start - known.start <= hold ? known.said : null);
      }
      const at = columns.times.length - 1;
      const height = columns.height[at];
      // Between two looks at the chain the node itself may be ahead.
      columns.chain_height[at] = highest(columns.chain_height[at], height);
      columns.behind.push(height === null ? null : columns.chain_height[at] - height);
      columns.lag.push(height === null || columns.finalized_height[at] === null ? null
        : Math.max(0, height - columns.finalized_height[at]));
    }
    return columns;
  }

  /** Forgets what lies before a time (Unix ms). */
  forget(before) {
    for (const start of this.#buckets.keys()) {
      if ((start + this.#step) * 1000 <= before) this.#buckets.delete(start);
    }
  }
}

/** The larger of two numbers of which either may be unknown. */
function highest(one, other) {
  if (one === null || one === undefined) return other ?? null;
  return other === null || other === undefined ? one : Math.max(one, other);
}

function numberOf(said) {
  const number = typeof said === "string" && said !== "" ? Number(said) : said;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
}
