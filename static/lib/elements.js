/*
 * Builds elements. What nodes send is never trusted: children become text or are nodes already, so markup in a
 * name stays text. There is no way to give markup or a style as text; the security policy refuses both.
 */
import { age, hashShort, timeLocal, timeUtc, toDate, MISSING } from "./format.js";

/** `h("button", { class: "quiet", type: "button", onclick }, "Text", node)`; null and false leave out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A moment in local time, with UTC on hover. */
export function timeElement(moment, { millis = false } = {}) {
  const date = moment instanceof Date ? moment : new Date(moment ?? NaN);
  if (Number.isNaN(date.getTime())) return document.createTextNode(MISSING);
  return h("time", { datetime: date.toISOString(), title: timeUtc(date) }, timeLocal(date, millis));
}

/** "since 12:34:56, 5 min"; null if the moment is not known. */
export function sinceElement(moment, what = "since") {
  const date = toDate(moment);
  if (!date) return null;
  return h("span", { class: "quiet-text" }, `${what} `, timeElement(date), `, ${age(Math.max(0, Date.now() - date.getTime()) / 1000)}`);
}

/** A long hash or peer id, shortened; the whole on hover, and to copy. */
export function hashElement(hash, { copy = true } = {}) {
  if (!hash) return document.createTextNode(MISSING);
  const short = h("code", { class: "hash", title: hash }, hashShort(hash));
  return copy ? h("span", { class: "hash-copy" }, short, copyButton(hash)) : short;
}

/** A small button that copies a text and says so. */
export function copyButton(text, label = "Copy") {
  return h("button", {
    type: "button", class: "icon copy", "aria-label": `${label} ${hashShort(text)}`, title: label,
    onclick: (event) => {
      event.stopPropagation();
      copyText(text);
    },
  }, h("span", { class: "copy-mark", "aria-hidden": "true" }));
}

/** Copies a text, and says whether that worked; `done`: what is said then. */
export async function copyText(text, done = "Copied.") {
  try {
    await navigator.clipboard.writeText(text);
    say(done);
  } catch {
    say(copyOld(text) ? done : "This browser does not allow copying here (it does over https). Select the text instead.");
  }
}

/** The way that works without https, in most browsers. */
function copyOld(text) {
  const area = h("textarea", { class: "unseen", "aria-hidden": "true", tabindex: -1 });
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}

/** A button with a panel beneath it; closes by Escape and by a click elsewhere. */
export function menu(label, ...content) {
  const panel = h("div", { class: "menu-panel" }, ...content);
  const details = h("details", { class: "menu" }, h("summary", { class: "button" }, label), panel);
  const close = (event) => {
    if (event.type === "keydown" && event.key !== "Escape") return;
    if (event.type === "pointerdown" && details.contains(event.target)) return;
    details.open = false;
    if (event.type === "keydown") details.firstElementChild.focus();
  };
  details.addEventListener("toggle", () => {
    const change = details.open ? "addEventListener" : "removeEventListener";
    document[change]("pointerdown", close);
    document[change]("keydown", close);
    if (!details.open) return;
    // The panel stays in the window: hangs from the other edge if it must, and scrolls.
    details.classList.remove("from-left");
    details.classList.toggle("from-left", panel.getBoundingClientRect().left < 0);
    panel.style.maxHeight = `${Math.max(160, innerHeight - panel.getBoundingClientRect().top - 12)}px`;
  });
  return details;
}

let said;
let saidTimer;

/** A short remark that leaves by itself, also for screen readers. */
export function say(text) {
  if (!said) {
    said = h("div", { class: "said", role: "status" });
    document.body.append(said);
  }
  said.textContent = text;
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => { said.textContent = ""; }, 4000);
}

/** Hands a text over as a file. */
export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
