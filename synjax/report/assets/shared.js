"use strict";
// What all parts of the page use: its data, its theme, and the row that is chosen.

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const isDark = matchMedia("(prefers-color-scheme: dark)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// A new element with attributes and text or elements inside; text is never markup.
function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

function say(id, text) {
  byId(id).textContent = text;
}

const listeners = [];
const onChosen = (listener) => listeners.push(listener);

// Chooses a row of the table: charts, table and explorer follow. `from` says where it was chosen.
function choose(row, from) {
  for (const listener of listeners) listener(row, from);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Where the page may not use the clipboard by itself.
    const area = make("textarea", { readonly: "", "aria-hidden": "true" });
    area.value = text;
    area.style.cssText = "position:fixed;opacity:0";
    document.body.append(area);
    const before = document.activeElement;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus?.();
    return done;
  }
}

for (const button of document.querySelectorAll(".command .copy")) {
  button.addEventListener("click", async () => {
    const done = await copy(button.previousElementSibling.textContent);
    button.textContent = done ? "Copied" : "Select and copy it by hand";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}
