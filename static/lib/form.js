/*
 * Forms in a dialog that enter something by POST, or end it by DELETE. The server judges what is entered; a refusal is shown beside the
 * field that it names. If a token for writing is needed, the form has a field for it, keeps it until the tab is closed,
 * and never shows it again.
 */
import { post, remove, setToken } from "./api.js";
import { h } from "./elements.js";
import { timeLocal, toDate } from "./format.js";

let forms = 0;

/**
 * Opens a form. `title`; `path`: where it is sent; `fields`: `[{ name, label, kind, hint, isRequired, value, options,
 * suggestions }]`; `toBody(values)`: what is sent, if not the values by name; `verb`: text of the button;
 * `sent(row)`: called with the answer; `isEnd`: it ends what `path` names, and `about` says what that is.
 *
 * Kinds: "text" (default), "number" (a whole one), "time" (local; sent as UTC; `value`: a Date), "json" (an object), and
 * "choice" among `options` `[value, text]`, sent as a number. What is left empty is not sent.
 */
export function openForm({ title, path, fields, toBody = (values) => values, verb = "Enter", sent, isEnd = false, about = null }) {
  const prefix = `form${++forms}`;
  const known = new Map(fields.map((field) => [field.name, buildField(field, `${prefix}-${field.name}`)]));
  const fault = h("p", { class: "notice bad", role: "alert", hidden: true });
  const token = buildToken(`${prefix}-token`);
  const enter = h("button", { type: "submit", class: "primary" }, verb);
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h("form", { class: "fields", novalidate: true },
    [...known.values()].flatMap(({ label, cell }) => [label, cell]), token.element,
    h("div", { class: "row-end bar" }, enter, cancel));
  const dialog = h("dialog", { class: "form-dialog", "aria-labelledby": `${prefix}-title`, onclose: () => dialog.remove() },
    h("h2", { id: `${prefix}-title` }, title), about && h("p", {}, about), fault, form);

  const refuse = (name, text) => {
    const field = known.get(name);
    if (!field) {
      fault.textContent = text;
      fault.hidden = false;
      return;
    }
    // Beside its field the name of the parameter says nothing.
    const words = text.startsWith(`${name} `) ? text.slice(name.length + 1) : text;
    field.refuse(words.charAt(0).toUpperCase() + words.slice(1));
    field.input.focus();
  };
  const clear = () => {
    fault.hidden = true;
    for (const field of known.values()) field.refuse("");
  };
  const submit = async () => {
    clear();
    const values = {};
    for (const [name, field] of known) {
      try {
        const value = field.read();
        if (value !== undefined) values[name] = value;
      } catch (error) {
        refuse(name, error.message);
        return;
      }
    }
    token.keep();
    enter.disabled = true;
    try {
      const row = await (isEnd ? remove(path) : post(path, toBody(values)));
      dialog.close();
      sent(row);
    } catch (error) {
      refuse(error.parameter, error.message);
      if (error.status === 401 || error.status === 403) token.ask();
    }
    enter.disabled = false;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  document.body.append(dialog);
  dialog.showModal();
  (form.querySelector("input:not([type=password]), select, textarea") ?? enter).focus();
  return dialog;
}

function buildField(field, id) {
  const { label: title, kind = "text", hint, isRequired = false, value = "" } = field;
  const described = `${id}-hint ${id}-fault`;
  const common = { id, name: field.name, "aria-describedby": described, "aria-required": String(isRequired), spellcheck: "false", autocomplete: "off" };
  const list = field.suggestions && h("datalist", { id: `${id}-list` }, field.suggestions.map((one) => h("option", { value: one })));
  const inputs = {
    text: () => h("input", { ...common, type: "text", value, list: list ? list.id : null }),
    number: () => h("input", { ...common, type: "text", inputmode: "numeric", value }),
    time: () => h("input", { ...common, type: "datetime-local", step: 1, value: value ? timeLocal(value).replace(" ", "T") : "" }),
    json: () => h("textarea", { ...common, rows: 4, class: "mono" }, value),
    choice: () => h("select", common, field.options.map(([option, text]) => h("option", { value: option, selected: String(option) === String(value) }, text))),
  };
  const input = inputs[kind]();
  const fault = h("span", { class: "wrong", id: `${id}-fault`, role: "alert" });
  const cell = h("div", { class: "field" }, input, list, h("span", { class: "hint", id: `${id}-hint` }, hint ?? ""), fault);
  const refuse = (text) => {
    fault.textContent = text;
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  const label = h("label", { for: id }, title, isRequired && h("span", { class: "quiet-text", "aria-hidden": "true" }, " *"));
  return { label, cell, input, refuse, read: () => readField(kind, input.value.trim()) };
}

/** What is sent; undefined for nothing. */
function readField(kind, text) {
  if (text === "") return undefined;
  if (kind === "number" || kind === "choice") {
    // What is no number goes as it is: the server says what is allowed.
    const plain = text.replace(/[\s\u202f]/g, "");
    return /^-?\d+$/.test(plain) ? Number(plain) : text;
  }
  if (kind === "time") return toDate(text)?.toISOString() ?? text;
  if (kind !== "json") return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}`);
  }
}

function buildToken(id) {
  const input = h("input", { id, type: "password", autocomplete: "off", "aria-describedby": `${id}-hint` });
  const label = h("label", { for: id, hidden: true }, "Token for writing");
  const cell = h("div", { class: "field", hidden: true }, input,
    h("span", { class: "hint", id: `${id}-hint` }, "One of API_TOKENS of the server. It is kept until this tab is closed."));
  const ask = () => {
    // The one that was kept, if any, is not good.
    setToken("");
    label.hidden = cell.hidden = false;
    input.focus();
  };
  const keep = () => {
    if (input.value.trim()) setToken(input.value.trim());
    input.value = "";
  };
  return { element: [label, cell], ask, keep };
}
