/*
 * Links to the same page with another view.
 */
import { h } from "./lib/elements.js";

/**
 * An <a> to this page with other parameters; null removes. A link to a span of time (`from`, `to`) leaves the named one.
 * A plain click calls `go(changes)` in place of loading the page.
 */
export function linkTo(changes, go) {
  const all = changes.from ? { span: null, ...changes } : changes;
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(all)) {
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  return h("a", {
    href: url.href,
    onclick: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      go(all);
    },
  });
}

/** Parameters of a span of time, given in Unix ms, without a moment. */
export const spanParams = (from, to) => ({ from: new Date(from).toISOString(), to: new Date(to).toISOString(), at: null });

/** Shows the links of `links`, `[id, page, kind]`, to other pages, if there are messages of that kind. */
export function showLinks(links, kinds, peer) {
  for (const [id, page, kind] of links) {
    const link = document.getElementById(id);
    link.href = `${page}?peer_id=${encodeURIComponent(peer)}`;
    link.hidden = !kinds.includes(kind);
  }
}
