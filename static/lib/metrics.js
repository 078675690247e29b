/*
 * The text format of Prometheus, as `/metrics` answers, and what can be learned from two such answers: rates and
 * quantiles of the time between them. Pure: texts in, numbers out; what is not known is null.
 */

/** One answer. `at`: when it was given, Unix ms. */
export class Metrics {
  #series;

  constructor(text, at = Date.now()) {
    this.at = at;
    this.#series = parse(text);
  }

  /** `[{ labels: { reason: "idle" }, value: 3 }]` of a metric; empty if there is none of this name. */
  all(name) {
    return this.#series.get(name) ?? [];
  }

  /** The value of a metric without labels. */
  value(name) {
    const [first] = this.all(name);
    return first ? first.value : null;
  }

  /** The sum over all labels. */
  sum(name) {
    const all = this.all(name);
    return all.length > 0 ? all.reduce((sum, { value }) => sum + value, 0) : null;
  }

  /** Values by one label, the largest first: `[["idle", 3], …]`. */
  by(name, label) {
    const sums = new Map();
    for (const { labels, value } of this.all(name)) sums.set(labels[label], (sums.get(labels[label]) ?? 0) + value);
    return [...sums].sort(([, a], [, b]) => b - a);
  }

  /** The buckets of a histogram, all labels together: `[{ upTo, count }]`, each with all that is smaller. */
  buckets(name, fits = () => true) {
    const counts = new Map();
    for (const { labels, value } of this.all(`${name}_bucket`)) {
      if (!fits(labels)) continue;
      const upTo = labels.le === "+Inf" ? Infinity : Number(labels.le);
      counts.set(upTo, (counts.get(upTo) ?? 0) + value);
    }
    return [...counts].map(([upTo, count]) => ({ upTo, count })).sort((a, b) => a.upTo - b.upTo);
  }
}

/** By how much something grew; null if one of them is not known, or it was reset in between. */
export function growth(before, now) {
  return before === null || now === null || now < before ? null : now - before;
}

/** Growth of a counter (all labels together) each second between two answers. */
export function rate(before, now, name) {
  if (!before || now.at <= before.at) return null;
  const grown = growth(before.sum(name), now.sum(name));
  return grown === null ? null : grown / ((now.at - before.at) / 1000);
}

/**
 * A quantile (0.5 for the median) of what a histogram observed between two answers; of everything if `before` is null.
 * It lies within a bucket, where values are taken to be evenly spread; beyond the last bucket it is the end of that one.
 */
export function quantile(before, now, name, share, fits) {
  const start = before ? before.buckets(name, fits) : [];
  const known = new Map(start.map(({ upTo, count }) => [upTo, count]));
  const buckets = now.buckets(name, fits).map(({ upTo, count }) => ({ upTo, count: count - (known.get(upTo) ?? 0) }));
  const total = buckets.at(-1)?.count ?? 0;
  if (total <= 0) return null;
  let low = 0;
  let below = 0;
  for (const { upTo, count } of buckets) {
    if (count >= share * total && count > below) {
      return upTo === Infinity ? low : low + (upTo - low) * ((share * total - below) / (count - below));
    }
    low = upTo;
    below = count;
  }
  return null;
}

/** The mean of what a histogram observed between two answers; of everything if `before` is null. */
export function mean(before, now, name) {
  const count = growth(before ? before.sum(`${name}_count`) : 0, now.sum(`${name}_count`));
  const sum = growth(before ? before.sum(`${name}_sum`) : 0, now.sum(`${name}_sum`));
  return count && sum !== null ? sum / count : null;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { n: "\n", "\\": "\\", '"': '"' };

function parse(text) {
  const series = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const found = LINE.exec(line);
    if (!found) continue;
    const [, name, labelled = "", written] = found;
    const labels = {};
    for (const [, label, value] of labelled.matchAll(LABEL)) {
      labels[label] = value.replace(/\\(.)/g, (whole, letter) => ESCAPED[letter] ?? whole);
    }
    const one = { labels, value: toNumber(written) };
    if (series.has(name)) series.get(name).push(one);
    else series.set(name, [one]);
  }
  return series;
}

function toNumber(text) {
  if (text === "+Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}
