/*
 * Numbers and times as people read them. Pure: values in, texts out; unknown values (null, undefined, NaN) become
 * a dash. Elements that carry the exact value on hover are in elements.js.
 */

/** What stands for "not known". */
export const MISSING = "–";

// A narrow space that does not break, between groups of three digits and before units.
const THIN = "\u202f";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** 1234567 → "1 234 567"; at most `digits` decimals. */
export function count(value, digits = 0) {
  if (!isNumber(value)) return MISSING;
  const [whole, decimals] = Math.abs(value).toFixed(digits).split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, THIN) : whole;
  const sign = value < 0 && Number(whole + (decimals ?? "")) !== 0 ? "−" : "";
  return sign + grouped + (decimals ? `.${decimals}` : "");
}

/** Three significant digits: 0.123, 1.23, 12.3, 123, 1 234. */
export function brief(value) {
  if (!isNumber(value)) return MISSING;
  const size = Math.abs(value);
  if (size === 0 || size >= 100) return count(value);
  return trim(count(value, size >= 10 ? 1 : size >= 1 ? 2 : 3));
}

const trim = (text) => text.replace(/\.?0+$/, "");

/** 1536 → "1.5 KiB". */
export function bytes(value) {
  return scaled(value, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 1024);
}

/** 1536 → "1.5 KiB/s". */
export function bytesPerSecond(value) {
  return isNumber(value) ? `${bytes(value)}/s` : MISSING;
}

/** Nanoseconds: 1500 → "1.5 µs". From a minute on as an age. */
export function nanos(value) {
  return Math.abs(value) >= 60e9 ? age(value / 1e9) : scaled(value, ["ns", "µs", "ms", "s"], 1000);
}

/** Milliseconds: 1500 → "1.5 s". */
export function millis(value) {
  return value === 0 ? `0${THIN}ms` : isNumber(value) ? nanos(value * 1e6) : MISSING;
}

function scaled(value, units, step) {
  if (!isNumber(value)) return MISSING;
  let unit = 0;
  while (Math.abs(value) >= step && unit < units.length - 1) {
    value /= step;
    unit += 1;
  }
  return `${unit === 0 && Number.isInteger(value) ? count(value) : brief(value)}${THIN}${units[unit]}`;
}

/** A rate: 1234.5 → "1 235/s". */
export function perSecond(value) {
  return isNumber(value) ? `${brief(value)}/s` : MISSING;
}

/** 0.1234 → "12.3 %". */
export function percent(share) {
  return isNumber(share) ? `${brief(share * 100)}${THIN}%` : MISSING;
}

const SPANS = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];

/** Seconds as the two largest units: 3725 → "1 h 2 min". */
export function age(seconds) {
  if (!isNumber(seconds)) return MISSING;
  if (seconds < 0) return `−${age(-seconds)}`;
  const whole = Math.floor(seconds);
  const first = SPANS.findIndex(([, size]) => whole >= size);
  if (first < 0) return `0${THIN}s`;
  const [unit, size] = SPANS[first];
  const large = `${Math.floor(whole / size)}${THIN}${unit}`;
  const next = SPANS[first + 1];
  const small = next ? Math.floor((whole % size) / next[1]) : 0;
  return small ? `${large} ${small}${THIN}${next[0]}` : large;
}

const two = (value) => String(value).padStart(2, "0");

/** "2026-11-21 12:34:56" by the clock of the reader. */
export function timeLocal(moment, withMillis = false) {
  const date = toDate(moment);
  if (!date) return MISSING;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time}${withMillis ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : ""}`;
}

/** "2026-11-21 12:34:56.789 UTC". */
export function timeUtc(moment) {
  const date = toDate(moment);
  return date ? date.toISOString().replace("T", " ").replace("Z", " UTC") : MISSING;
}

/** The Date of an RFC 3339 text, a Date, or Unix milliseconds; null if it is none. */
export function toDate(moment) {
  if (moment === null || moment === undefined || moment === "") return null;
  const date = moment instanceof Date ? moment : new Date(moment);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** "0x1234…cdef" for hashes, "12D3…gH7jKL" for peer ids; short texts stay whole. */
export function hashShort(hash) {
  if (!hash) return MISSING;
  const text = String(hash);
  if (text.length <= 14) return text;
  return text.startsWith("0x") ? `${text.slice(0, 6)}…${text.slice(-4)}` : `${text.slice(0, 4)}…${text.slice(-6)}`;
}

/** "1 node", "2 nodes". */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const AMOUNT = /^([+-]?\d+(?:\.\d+)?)\s*([a-zµ%/]*)$/i;
const UNITS = {
  k: 1e3, m: 1e6, g: 1e9, t: 1e12, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, tib: 1024 ** 4,
  kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12,
};
const TIMES = { ns: 1e-9, us: 1e-6, "µs": 1e-6, ms: 1e-3, s: 1, min: 60, m: 60, h: 3600, d: 86_400 };

/**
 * Reads what a person types: "16GiB" → bytes, "2k" → 2000, and with `second`, the size of a second in the unit of the
 * column (1 for seconds, 1000 for milliseconds), "1.5s" or "2h". Null if it is no amount.
 */
export function readAmount(text, second = null) {
  const found = AMOUNT.exec(text.trim().replaceAll(THIN, ""));
  if (!found) return null;
  const unit = found[2].replace(/\/s$/i, "").toLowerCase();
  if (unit === "") return Number(found[1]);
  const size = second === null ? UNITS[unit] : TIMES[unit] * second;
  return Number.isFinite(size) ? Number(found[1]) * size : null;
}

const countries = new Intl.DisplayNames("en", { type: "region", fallback: "code" });

/** "DE" → "Germany". */
export function countryName(code) {
  return code ? countries.of(code) : MISSING;
}
