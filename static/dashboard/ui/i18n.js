// The language of the page: which one is used, and the texts and numbers in it.

import { TEXTS } from "./texts.js";

const STORAGE_KEY = "docrelay-language";

let current = initialLanguage();

/** `en` or `zh`, or another tag stored by an earlier version: everything but `zh` shows English texts. */
export function language() {
  return current;
}

/** The text of a key in the present language, with `{name}` replaced by values. Numbers are formatted. */
export function text(key, values = {}) {
  const template = TEXTS[key]?.[current === "zh" ? 1 : 0] ?? key;
  return template.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? formatNumber(value) : value;
  });
}

export function formatNumber(value) {
  return value.toLocaleString(current);
}

/** Sets the texts of all elements that name a key in `data-text`, `data-aria-label` or `data-placeholder`. */
export function translate(root = document) {
  document.documentElement.lang = current;
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of root.querySelectorAll("[data-aria-label]")) {
    element.setAttribute("aria-label", text(element.dataset.ariaLabel));
  }
  for (const element of root.querySelectorAll("[data-placeholder]")) {
    element.placeholder = text(element.dataset.placeholder);
  }
}

export function switchLanguage() {
  current = current === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(STORAGE_KEY, current);
  } catch {
    // Storage is disabled: the choice lasts until the page is closed.
  }
  translate();
}

/** The language chosen earlier, or else the browser's. */
function initialLanguage() {
  try {
    const stored = localStorage.getItem(STORAGE_KEY);
    if (stored) return stored;
  } catch {
    // Storage is disabled.
  }
  return navigator.language.startsWith("zh") ? "zh" : "en";
}
