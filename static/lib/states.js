/*
 * What a place shows while it has nothing to show: loading, empty, error. Each says what to do next.
 * `showLoading(place)`, `showEmpty(place, …)` and `showError(place, …)` replace what the place holds.
 */
import { h } from "./elements.js";
import { isAbort } from "./api.js";

/** Something is on its way. */
export function showLoading(place, text = "Loading…") {
  place.replaceChildren(h("div", { class: "state loading", role: "status" }, h("p", {}, text)));
}

/** There is nothing; `what` says so, `advice` (texts or nodes) says why and what to do. */
export function showEmpty(place, what, ...advice) {
  place.replaceChildren(h("div", { class: "state empty", role: "status" },
    h("p", { class: "what" }, what), ...paragraphs(advice)));
}

/** It failed; `retry`, if given, is called by a button. A request that the page itself cancelled is no failure. */
export function showError(place, error, retry = null) {
  if (isAbort(error)) return;
  place.replaceChildren(h("div", { class: "state error", role: "alert" },
    h("p", { class: "what" }, error?.message ?? String(error)),
    retry && h("p", {}, h("button", { type: "button", onclick: () => retry() }, "Try again"))));
}

const paragraphs = (advice) => advice.flat().map((one) => (one instanceof HTMLElement ? one : h("p", {}, one)));
