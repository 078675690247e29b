/*
 * The state of a page in its address, so that a view can be shared and the back button works.
 * Values are texts. What equals its default is left out of the address.
 */

/** Reads the parameters that `defaults` names: `readAddress({ chain: "", span: "1h" })`. */
export function readAddress(defaults = {}) {
  const params = new URLSearchParams(location.search);
  const read = {};
  for (const [name, value] of Object.entries(defaults)) read[name] = params.get(name) ?? value;
  return read;
}

/** All parameters whose name begins with `prefix`, without it. */
export function readAddressGroup(prefix) {
  const entries = [...new URLSearchParams(location.search)];
  return Object.fromEntries(entries.filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value]));
}

/**
 * Changes parameters and leaves the others; null and "" remove. `push` makes a step for the back button: for a choice
 * like another chain, not for each key of a search.
 */
export function writeAddress(changes, { push = false } = {}) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  if (url.href === location.href) return;
  history[push ? "pushState" : "replaceState"](null, "", url);
}

/** Calls `changed` when the reader goes back or forth, until `signal` aborts. */
export function onAddress(changed, signal) {
  addEventListener("popstate", () => changed(), { signal });
}

/** What was chosen on this machine; `fallback` if nothing was, or nothing can be kept. */
export function recall(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Keeps a choice on this machine. */
export function remember(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // No storage: the choice holds until the page is left.
  }
}
