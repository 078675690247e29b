/*
 * Requests to the server over HTTP. Addresses are relative to the root of the server, also under the path of a proxy:
 * `get("nodes", { limit: 10 })`. Failures become an ApiError whose message can be shown to people.
 */

/** The root of the server, with a slash at its end. */
export const ROOT = new URL("../../", import.meta.url);

const TOKEN_KEY = "api-token";
const TRIES_MAX = 4;
const WAIT_S_MAX = 30;

/** Why a request failed. `status` is 0 if the server was not reached. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "", parameter = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.parameter = parameter;
  }
}

/**
 * GET as JSON. `params`: query parameters; null, undefined and "" are left out.
 * `options.signal` cancels (then the AbortError of the browser is thrown); `options.onwait(seconds, error)` is called when
 * the server is busy or starts, and the request is tried again by itself, `options.tries` times in all;
 * `options.accepted`: statuses that are no failure beside those of success.
 */
export async function get(path, params = {}, options = {}) {
  return (await ask(path, params, options)).body;
}

/** As `get`, with the headers of the answer: `{ body, headers }`. */
export function getWithHeaders(path, params = {}, options = {}) {
  return ask(path, params, options);
}

/** GET as text, for `/metrics`. */
export async function getText(path, params = {}, options = {}) {
  return (await ask(path, params, { ...options, text: true })).body;
}

/** POST of JSON. It is sent once only: what failed may have been done. Sends the token that `setToken` keeps. */
export function post(path, body, options = {}) {
  return change("POST", path, { ...options, headers: { "Content-Type": "application/json" }, payload: JSON.stringify(body) });
}

/** DELETE, once only, as `post`. */
export function remove(path, options = {}) {
  return change("DELETE", path, { ...options, headers: {} });
}

async function change(method, path, options) {
  const token = getToken();
  if (token) options.headers.Authorization = `Bearer ${token}`;
  return (await ask(path, {}, { ...options, method, tries: 1 })).body;
}

/** The token for writing, kept until the tab is closed. */
export function getToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? "";
  } catch {
    return "";
  }
}

/** Keeps a token for writing; an empty one forgets it. */
export function setToken(token) {
  try {
    if (token) sessionStorage.setItem(TOKEN_KEY, token);
    else sessionStorage.removeItem(TOKEN_KEY);
  } catch {
    // No storage: the token must be given each time.
  }
}

/** Whether an error is a request that the page itself cancelled. */
export const isAbort = (error) => error?.name === "AbortError";

/** The address of a route, for links and downloads. */
export function address(path, params = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

async function ask(path, params, options) {
  const { signal, onwait, method = "GET", headers = {}, payload, text = false, tries = TRIES_MAX, accepted = [] } = options;
  const url = address(path, params);
  for (let tried = 1; ; tried += 1) {
    const response = await send(url, { signal, method, headers, body: payload });
    if (response.ok || accepted.includes(response.status)) {
      return { body: text ? await response.text() : await readJson(response), headers: response.headers };
    }
    const error = await toError(response);
    if (response.status !== 503 || tried >= tries) throw error;
    const seconds = Math.min(Number(response.headers.get("Retry-After")) || 2 ** tried, WAIT_S_MAX);
    onwait?.(seconds, error);
    await wait(seconds * 1000, signal);
  }
}

async function send(url, request) {
  try {
    return await fetch(url, request);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("The server cannot be reached. Is it running, and is the network up?", { code: "unreachable" });
  }
}

async function readJson(response) {
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("The answer is no JSON. Does a proxy answer in place of the server?", { status: response.status });
  }
}

async function toError(response) {
  const { status } = response;
  let told = {};
  try {
    told = (await response.json()).error ?? {};
  } catch {
    // Some proxy answered; the status says it all.
  }
  const message = told.message ? sentence(told.message, told.parameter) : `The server answered ${status} ${response.statusText}.`;
  const where = told.parameter && !message.includes(told.parameter) ? ` (parameter ${told.parameter})` : "";
  return new ApiError(`${message}${where}${hint(status)}`, { status, code: told.code, parameter: told.parameter });
}

function hint(status) {
  if (status === 401) return " Reload the page, and give any name and a token of READ_TOKENS as the password.";
  if (status === 429) return " Wait a moment, then try again.";
  return "";
}

/** A whole sentence; the name of a parameter stays as it is written. */
function sentence(text, parameter) {
  const begun = parameter && text.startsWith(parameter) ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return begun + (/[.!?]$/.test(text) ? "" : ".");
}

function wait(millis, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, millis);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
