/*
 * The filters of the messages of a node: kind, target, text; and a button that holds new messages back.
 */
import { get, isAbort } from "./lib/api.js";
import { h, say } from "./lib/elements.js";
import { count } from "./lib/format.js";

// Typing is over after this long.
const TYPED_MS = 500;

/**
 * Puts the filters in `place`. `changed({ msg?, target?, text? }, { push })` is called when the reader chose or typed,
 * `paused(isPaused)` when new messages shall wait. Returns `{ show(values), load(params, signal), count(messages), setLive(isLive) }`;
 * `load` gives the kinds there are. `clock()`: the time of the server, Unix ms.
 */
export function createFilters(place, { changed, paused, clock }) {
  const kinds = h("select", { "aria-label": "Kind of message", onchange: () => changed({ msg: kinds.value }) });
  const target = field("Target", "Target is …", (value) => changed({ target: value }, { push: false }));
  const text = field("Text in the message", "Text contains …", (value) => changed({ text: value }, { push: false }));
  const pause = h("button", {
    type: "button", "aria-pressed": "false",
    onclick: () => {
      const isPaused = pause.getAttribute("aria-pressed") !== "true";
      pause.setAttribute("aria-pressed", String(isPaused));
      paused(isPaused);
    },
  }, "Pause");
  const targets = h("datalist", { id: "targets" });
  target.setAttribute("list", targets.id);
  place.append(kinds, target, targets, text, pause);
  let counts = new Map();
  let chosen = "";
  let areCounted = true;
  // What the server has counted already, Unix ms.
  let countedTo = Infinity;

  const showKinds = () => {
    const all = [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
    if (chosen && !counts.has(chosen)) all.push([chosen, 0]);
    const sum = all.reduce((total, [, number]) => total + number, 0);
    const told = (name, number) => (areCounted ? `${name} (${count(number)})` : name);
    // Changed in place, for the list may be open.
    const wanted = [["", told("All kinds", sum)], ...all.map(([name, number]) => [name, told(name, number)])];
    wanted.forEach(([value, label], index) => {
      const option = kinds.options[index] ?? kinds.appendChild(h("option", {}));
      if (option.value !== value || option.textContent !== label) {
        option.value = value;
        option.textContent = label;
      }
    });
    while (kinds.options.length > wanted.length) kinds.lastElementChild.remove();
    kinds.value = chosen;
  };

  return {
    show(values) {
      chosen = values.msg;
      showKinds();
      for (const [input, value] of [[target, values.target], [text, values.text]]) {
        if (input !== document.activeElement || input.value.trim() !== value) input.value = value;
      }
    },
    async load(params, signal) {
      countedTo = Infinity;
      const askedAt = clock();
      try {
        const stats = await get("nodes/log_stats", params, { signal });
        counts = new Map(stats.map(({ log_type: kind, qty }) => [kind, qty]));
        areCounted = true;
        countedTo = askedAt;
      } catch (error) {
        if (isAbort(error)) return [...counts.keys()];
        areCounted = false;
        say(`The kinds could not be counted. ${error.message}`);
      }
      showKinds();
      return [...counts.keys()];
    },
    count(messages) {
      let isNew = false;
      for (const { msg, logs, micros } of messages) {
        if (typeof logs.target === "string") suggest(targets, logs.target);
        if (micros / 1000 < countedTo) continue;
        isNew = true;
        counts.set(msg, (counts.get(msg) ?? 0) + 1);
      }
      if (isNew && kinds !== document.activeElement) showKinds();
    },
    setLive(isLive) {
      pause.hidden = !isLive;
    },
  };
}

function field(label, placeholder, entered) {
  let timer = 0;
  const input = h("input", {
    type: "search", "aria-label": label, placeholder, spellcheck: "false", autocomplete: "off",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => entered(input.value.trim()), TYPED_MS);
    },
    onchange: () => {
      clearTimeout(timer);
      entered(input.value.trim());
    },
  });
  return input;
}

function suggest(list, value) {
  if ([...list.options].some((option) => option.value === value)) return;
  if (list.options.length < 50) list.append(h("option", { value }));
}
