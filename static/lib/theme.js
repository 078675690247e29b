/* Sets the remembered theme before anything is painted. A classic script, loaded in <head>; the switch is in shell.js. */
"use strict";
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage: the theme of the system holds.
}
