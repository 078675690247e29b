/*
 * The start page (index.html) works without this. With it: the frame of all pages, and while no node has ever connected
 * it waits for the first and leads to the live view by itself.
 */
import { openPage } from "./lib/shell.js";
import { feed } from "./lib/feed.js";
import { get, ROOT } from "./lib/api.js";
import { h, timeElement } from "./lib/elements.js";
import { counted } from "./lib/format.js";
import { refusalWords } from "./lib/reasons.js";

// For proxies that let no websocket through: how often to look whether a node is there.
const LOOK_MS = 5000;
// Long enough to read who came.
const READ_MS = 1500;

// How often to look whether nodes are still there.
const ONLINE_MS = 15_000;

// Refusals are looked for so often, and so many are shown.
const REFUSALS_MS = 10_000;
const REFUSALS_MAX = 10;

// Nodes try again every 10 to 19 s.
const WRONG_PATH_MS = 60_000;

const WAITING = "Waiting for the first node. This page opens the live view when it connects.";
const NODES = new URL("dashboard/", ROOT).pathname;
const live = document.getElementById("live");

openPage({ page: null, section: "start" });
begin();
showRefusals();

/** Connections that were refused lately, with reason and cure. */
async function showRefusals() {
  const place = document.getElementById("refused");
  let shown = "";
  for (;;) {
    const refusals = await get("api/v1/refusals").catch(() => null);
    const text = JSON.stringify(refusals);
    if (refusals && text !== shown) {
      shown = text;
      document.getElementById("refusals").hidden = refusals.length === 0;
      const more = refusals.length - REFUSALS_MAX;
      place.replaceChildren(...refusals.slice(0, REFUSALS_MAX).map(refusal), ...(more > 0 ? [h("li", {}, `and ${more} more`)] : []));
    }
    await pause(REFUSALS_MS);
  }
}

function refusal(one) {
  return h("li", {}, one.ip_addr && h("code", {}, one.ip_addr), one.ip_addr && " – ", h("strong", {}, refusalWords(one)),
    h("span", { class: "quiet-text" }, `, ${counted(one.count, "time")}, last `, timeElement(one.last_at)), h("br"), one.cure);
}

async function begin() {
  const known = await nodes();
  if (known.length === 0) {
    await waitForFirst();
    return;
  }
  // While nodes are there, a reader of the line stays on this page.
  for (;;) {
    const isOnline = (await nodes({ online: true })).length > 0;
    show(isOnline, isOnline ? "Nodes are connected." : "No node is connected now.", h("a", { class: "button", href: NODES }, "Open the live view"));
    await pause(ONLINE_MS);
  }
}

async function waitForFirst() {
  show(false, WAITING);
  let isHere = false;
  const leave = (name) => {
    if (isHere) return;
    isHere = true;
    show(true, `${name || "The first node"} has connected. Opening the live view…`);
    setTimeout(() => location.assign(NODES), READ_MS);
  };
  feed.subscribe({ topic: "presence" }, {
    data: ({ presence }) => {
      const came = presence.find(({ event, peer_id: peer }) => event === "online" && peer);
      if (came) leave(came.name);
    },
  });
  while (!isHere) {
    const [known, wrong] = [await nodes(), await wrongPath()];
    if (isHere) return;
    if (known.length > 0) leave("");
    else if (wrong) show(false, wrong);
    else show(false, WAITING);
    await pause(LOOK_MS);
  }
}

/** A text about the last node with a wrong path, if there was one lately. */
async function wrongPath() {
  const [latest] = await get("api/v1/wrong_paths").catch(() => []);
  if (!latest || Date.now() - Date.parse(latest.last_at) > WRONG_PATH_MS) return "";
  const line = document.getElementById("flag").textContent;
  return `A node requests ${latest.path}, which is no path for nodes. Start it with ${line}`;
}

/** At most one node; repeats the request until the server answers. */
async function nodes(params = {}) {
  for (;;) {
    try {
      return await get("nodes", { limit: 1, ...params });
    } catch (error) {
      show(false, `${error.message} Trying again.`);
      await pause(LOOK_MS);
    }
  }
}

function show(isThere, text, ...more) {
  // Screen readers read what is put here, even if it is the same again.
  if (live.children[1]?.textContent === text) return;
  live.classList.toggle("is-there", isThere);
  live.replaceChildren(h("span", { class: "dot", "aria-hidden": "true" }), h("span", {}, text), ...more);
}

const pause = (millis) => new Promise((resolve) => { setTimeout(resolve, millis); });
