/*
 * The choice among the chains of the Nodes page: a button for each of those with the most nodes, and where there are more a
 * menu of all of them with a search.
 */
import { h, menu } from "./lib/elements.js";
import { count } from "./lib/format.js";

// More chains than this do not fit beside each other.
const TABS_MAX = 5;

/** Puts the buttons in `tabs` and the menu in `more`; `choose(id)` is called with a chain. Returns `show(chains, chosen)`. */
export function createTabs(tabs, more, choose) {
  let shown = "";
  let buttons = new Map();
  let list = null;

  const button = ({ id, name }) => h("button", { type: "button", onclick: () => choose(id) }, h("span", {}, name), h("span", { class: "number" }));

  const build = (chains) => {
    const near = chains.length > TABS_MAX + 1 ? chains.slice(0, TABS_MAX) : chains;
    buttons = new Map(near.map((chain) => [chain.id, button(chain)]));
    tabs.replaceChildren(...buttons.values());
    list = near.length < chains.length ? chainMenu(chains) : null;
    more.replaceChildren(...(list ? [list.element] : []));
  };

  /** Elements stay as long as the chains do, so that they can be used while it counts. */
  const chainMenu = (chains) => {
    const rows = new Map(chains.map((chain) => [chain.id, button(chain)]));
    const search = h("input", { type: "search", placeholder: "Search chains", "aria-label": "Search chains" });
    const nothing = h("p", { class: "quiet-text", role: "status" });
    search.addEventListener("input", () => {
      const wanted = search.value.trim().toLowerCase();
      for (const { id, name } of chains) rows.get(id).hidden = !`${name} ${id}`.toLowerCase().includes(wanted);
      nothing.textContent = [...rows.values()].every(({ hidden }) => hidden) ? "No chain has this name or genesis hash." : "";
    });
    const label = h("span");
    const element = menu(label, search, nothing, h("div", { class: "chain-list" }, [...rows.values()]));
    element.addEventListener("toggle", () => element.open && search.focus());
    for (const row of rows.values()) row.addEventListener("click", () => { element.open = false; });
    return { element, rows, label };
  };

  return (chains, chosen) => {
    const names = chains.map(({ id, name }) => `${id} ${name}`).join("\n");
    if (names !== shown) {
      shown = names;
      build(chains);
    }
    for (const { id, name, total, online } of chains) {
      for (const one of [buttons.get(id), list?.rows.get(id)].filter(Boolean)) {
        one.setAttribute("aria-pressed", String(id === chosen));
        one.lastChild.textContent = count(total);
        one.title = `${count(online)} of ${count(total)} online`;
      }
      if (list && id === chosen) list.label.textContent = buttons.has(id) ? `${chains.length - 1} chains` : name;
    }
  };
}
