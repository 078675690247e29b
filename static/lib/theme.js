/*
 * Sets the remembered theme before anything is painted, and says so if a part of the page does not load. A classic script,
 * loaded in <head>; the switch of the theme is in shell.js.
 */
"use strict";
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage: the theme of the system holds.
}

// A module that does not load, as when the network changes, leaves a blank page. One reload by itself, then a text.
addEventListener("error", ({ target }) => {
  if (!(target instanceof HTMLScriptElement)) return;
  try {
    const last = Number(sessionStorage.getItem("reloaded-at"));
    if (Date.now() - last > 60_000) {
      sessionStorage.setItem("reloaded-at", String(Date.now()));
      setTimeout(() => location.reload(), 1000);
      return;
    }
  } catch {
    // No storage: it may have been reloaded already.
  }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Reload";
  button.addEventListener("click", () => location.reload());
  const text = document.createElement("p");
  text.className = "notice bad";
  text.setAttribute("role", "alert");
  text.append("A part of this page did not load. ", button);
  const show = () => document.querySelector("main")?.prepend(text);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show);
  else show();
}, true);
