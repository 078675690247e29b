/*
 * How long spans took, in windows of time, for each target and name. Pure.
 */

// A line goes on over windows without a span, but not over more than this many, or this many seconds.
const BRIDGED_WINDOWS = 3;
const BRIDGED_S = 60;

// Windows that can be read off a clock, seconds.
export const INTERVALS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];
// So many windows fill a chart; so many the server gives at most, less one that is cut.
const WINDOWS_USUAL = 180;
const WINDOWS_MAX = 1999;
const SHORTEST_S = 5;

/** The seconds of a window that suit a span of so many seconds. */
export function usualInterval(seconds) {
  return INTERVALS.find((interval) => interval >= SHORTEST_S && seconds / interval <= WINDOWS_USUAL) ?? INTERVALS.at(-1);
}

export const fits = (interval, seconds) => seconds / interval <= WINDOWS_MAX;

/** What identifies the spans of a target and name. */
export const keyOf = ({ target, name }) => JSON.stringify([target ?? null, name ?? null]);

/** "pallet_babe::on_initialize" */
export function labelOf(key) {
  const [target, name] = JSON.parse(key);
  return [target, name].filter((one) => one !== null).join("::") || "without a name";
}

export class Windows {
  #interval;
  // Key → start of the window in seconds → nanoseconds.
  #series = new Map();

  /** `interval`: seconds of a window. */
  constructor(interval) {
    this.#interval = interval;
  }

  /** Takes windows, `[{ created_at, target, name, time }]`; what is known of the same window is replaced. */
  take(windows) {
    for (const { created_at: start, target, name, time } of windows) {
      const key = keyOf({ target, name });
      let times = this.#series.get(key);
      if (!times) this.#series.set(key, times = new Map());
      times.set(Date.parse(start) / 1000, time);
    }
  }

  has(key) {
    return this.#series.has(key);
  }

  /** Forgets windows before a time in seconds. */
  forget(before) {
    for (const times of this.#series.values()) {
      for (const start of times.keys()) if (start < before) times.delete(start);
    }
  }

  /** Columns for a chart: times in seconds, then the times of each key; `undefined` is bridged, null is not. */
  columns(keys) {
    const all = keys.map((key) => this.#series.get(key) ?? new Map());
    const known = [...new Set(all.flatMap((times) => [...times.keys()]))].sort((a, b) => a - b);
    const bridged = Math.max(BRIDGED_S, BRIDGED_WINDOWS * this.#interval);
    // Where all pause for longer, a window without any ends the lines.
    const starts = known.flatMap((start, index) => (start - known[index - 1] > bridged ? [start - this.#interval, start] : [start]));
    return [starts, ...all.map((times) => this.#column(starts, times, bridged))];
  }

  #column(starts, times, bridged) {
    const column = starts.map((start) => times.get(start));
    let before = null;
    starts.forEach((start, index) => {
      if (column[index] === undefined) return;
      if (before !== null && start - starts[before] > bridged) column.fill(null, before + 1, index);
      before = index;
    });
    return column;
  }
}
