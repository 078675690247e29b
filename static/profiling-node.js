/*
 * A field that chooses a node by name or peer id.
 */
import { get } from "./lib/api.js";
import { h } from "./lib/elements.js";
import { hashShort } from "./lib/format.js";

const SUGGESTIONS_MAX = 30;

/**
 * Puts the field in `place`. `chosen(peer)` is called with a peer id, or "" for all nodes. Returns `show(peer)`, which
 * shows the choice.
 */
export function createNodeField(place, chosen) {
  let nodes = null;
  let peer = "";
  const list = h("datalist", { id: "profiling-nodes" });
  const wrong = h("span", { class: "wrong", role: "alert" });
  const page = h("a", { hidden: true }, "Its page");
  const input = h("input", {
    type: "search", "aria-label": "Node, by name or peer id", placeholder: "All nodes", spellcheck: "false", autocomplete: "off", list: list.id,
    onfocus: () => load().then(suggest), oninput: () => {
      wrong.textContent = "";
      suggest();
      const exact = find(input.value);
      if (exact && exact !== peer) chosen(exact);
    },
    onchange: () => enter(),
  });
  place.append(h("span", { class: "bar" }, input, list, page, wrong));

  // Read once, with the first focus of the field.
  const load = () => {
    nodes ??= get("nodes").catch(() => { nodes = null; return []; });
    return nodes.then((all) => { known = all; });
  };
  let known = [];
  const nameOf = (id) => known.find((node) => node.peer_id === id)?.name;

  const find = (text) => {
    const wanted = text.trim();
    const found = known.find((node) => node.peer_id === wanted) ?? known.find((node) => optionOf(node) === wanted);
    if (found) return found.peer_id;
    const named = known.filter((node) => node.name === wanted);
    return named.length === 1 ? named[0].peer_id : null;
  };
  const suggest = () => {
    const wanted = input.value.trim().toLowerCase();
    const fitting = known.filter((node) => optionOf(node).toLowerCase().includes(wanted)).slice(0, SUGGESTIONS_MAX);
    list.replaceChildren(...fitting.map((node) => h("option", { value: optionOf(node) })));
  };
  const enter = async () => {
    const text = input.value.trim();
    if (text === "") {
      if (peer !== "") chosen("");
      return;
    }
    await load();
    const found = find(text);
    // The server has peers that are no longer among the listed ones.
    if (found || /^\w{30,}$/.test(text)) {
      if ((found ?? text) !== peer) chosen(found ?? text);
      else show(peer);
    } else wrong.textContent = "No node is called so, or several are: choose one of the list.";
  };
  const show = (id) => {
    peer = id;
    wrong.textContent = "";
    page.hidden = !id;
    page.href = `node?peer_id=${encodeURIComponent(id)}`;
    if (!id) {
      input.value = "";
      return;
    }
    input.value = id;
    load().then(() => {
      if (peer === id && input.value === id && nameOf(id)) input.value = optionOf({ peer_id: id, name: nameOf(id) });
    });
  };
  return show;
}

const optionOf = ({ peer_id: peer, name }) => (name ? `${name} (${hashShort(peer)})` : peer);
