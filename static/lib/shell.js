/*
 * What all pages share: header, navigation, state of the connection, theme switch, footer. One call per page:
 *
 *   openPage({ page: "nodes" });
 *
 * `page` is a name of PAGES, and of a section of docs/PAGES.md. The page's own content stands in <main id="main"> of its file.
 */
import { get, ROOT } from "./api.js";
import { feed } from "./feed.js";
import { h } from "./elements.js";
import { timeLocal } from "./format.js";

const PAGES = {
  nodes: ["Nodes", ""],
  status: ["Status", "status"],
  alerts: ["Alerts", "alerts"],
  events: ["Events", "events"],
  chain: ["Chains", "chain"],
  profiling: ["Profiling", "profiling"],
  reputation: ["Reputation", "reputation"],
  benchmarks: ["Benchmarks", "benchmarks"],
  server: ["Server", "server"],
};
// Explains the pages, a section for each.
const DOCS = "https://github.com/tetcoin/tetcore-analytics/blob/main/docs/PAGES.md";
// After so many attempts in vain the server is called away, not just reconnecting.
const ATTEMPTS_UNTIL_AWAY = 4;
const THEMES = { system: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };

/**
 * Builds the frame of a page. `page`: a name of PAGES, or the page from which this one is reached ("nodes"); `section`: what explains
 * it, where that is another one.
 */
export function openPage({ page, exact = true, section = page }) {
  const header = h("header", { class: "site" },
    h("a", { class: "brand", href: ROOT.pathname }, "tetcore-analytics"),
    h("nav", { "aria-label": "Pages" }, h("ul", {}, Object.entries(PAGES).map(([name, [title, path]]) => h("li", {},
      h("a", {
        href: new URL(`dashboard/${path}`, ROOT).pathname,
        "aria-current": name === page ? (exact ? "page" : "true") : null,
      }, title))))),
    h("div", { class: "site-end" }, connection(), themeSwitch()));
  document.body.prepend(h("a", { class: "skip", href: "#main" }, "Skip to content"), header);
  document.body.append(footer(section));
  // On a narrow screen the list is longer than its place.
  header.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

function connection() {
  const text = h("span", { role: "status" });
  const now = h("button", { type: "button", class: "quiet", onclick: () => feed.retry() }, "Try now");
  // The seconds count down outside of what screen readers announce.
  const seconds = h("span", { "aria-hidden": "true" });
  const place = h("div", { class: "connection" }, h("span", { class: "dot", "aria-hidden": "true" }), text, seconds, now);
  let timer = 0;
  const say = (told) => {
    if (text.textContent !== told) text.textContent = told;
  };
  const show = () => {
    const { kind, attempts, retryAt, since } = feed.state;
    clearInterval(timer);
    const away = attempts >= ATTEMPTS_UNTIL_AWAY;
    place.hidden = kind === "idle";
    place.dataset.kind = kind === "live" ? "live" : away && !feed.isBlocked ? "away" : "waiting";
    place.title = kind === "live" || !since || feed.isBlocked ? "" : `Last connected ${timeLocal(since)}. What is shown is from then.`;
    now.hidden = kind !== "waiting" || !away;
    seconds.textContent = "";
    if (kind === "live") say("Live");
    else if (feed.isBlocked) say("Live updates blocked");
    else if (away) say("Server offline");
    else say(since || attempts ? "Reconnecting" : "Connecting");
    if (kind !== "waiting") return;
    const count = () => { seconds.textContent = `in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s`; };
    count();
    timer = setInterval(count, 1000);
  };
  feed.addEventListener("state", show);
  show();
  return place;
}

function themeSwitch() {
  const root = document.documentElement;
  const button = h("button", { type: "button", class: "quiet theme", onclick: () => next() },
    h("span", { "aria-hidden": "true" }, "◐"));
  const current = () => root.dataset.theme ?? "system";
  const show = () => {
    button.setAttribute("aria-label", THEMES[current()]);
    button.title = `${THEMES[current()]}. Click to change.`;
  };
  const next = () => {
    const names = Object.keys(THEMES);
    const theme = names[(names.indexOf(current()) + 1) % names.length];
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    try {
      if (theme === "system") localStorage.removeItem("theme");
      else localStorage.setItem("theme", theme);
    } catch {
      // No storage: the theme holds until the page is left.
    }
    show();
    themeChanged();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themeChanged);
  show();
  return button;
}

/** Charts draw on canvases and need an event for it. */
function themeChanged() {
  document.dispatchEvent(new Event("themechange"));
}

function footer(section) {
  const version = h("span", {});
  get("stats/version").then((about) => {
    version.textContent = `${about.name} ${about.version}, up since ${timeLocal(about.started_at)}`;
  }).catch(() => {
    // The state of the connection says more; a footer needs no alarm.
  });
  const link = (path, title) => h("a", { href: new URL(path, ROOT).pathname }, title);
  return h("footer", { class: "site" }, version,
    h("span", {}, link("", "Connect a node"), " · ", link("api/", "API"), " · ", link("metrics", "Metrics"), " · ",
      h("a", { href: `${DOCS}#${section}`, rel: "noreferrer" }, "About this page")));
}
