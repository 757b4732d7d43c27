// Builds elements from values. Strings become text nodes, so texts of vendors are never parsed as markup.

import { text } from "./i18n.js";

export const byId = (id) => document.getElementById(id);

/**
 * Creates an element: `element("a", { href: "#/" }, "text", child)`. A function among the properties is an event listener,
 * `true` an empty attribute. `undefined` and `false` properties, and empty children (`undefined`, `null`, `false`), are left out.
 */
export function element(tag, properties = {}, ...children) {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") created.addEventListener(name, value);
    else created.setAttribute(name, value === true ? "" : value);
  }
  created.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return created;
}

/** Text of a vendor, cut to `maxLength`, in its own direction. */
export function foreign(value, maxLength = Infinity) {
  // Direction overrides would make `fdp.exe` read as `exe.pdf`.
  const whole = String(value ?? "").replace(/[\u202a-\u202e]/g, "");
  return element("bdi", {}, whole.length > maxLength ? `${whole.slice(0, maxLength)}…` : whole);
}

/** A status or state as a colored label with a shape of its own. */
export function badge(kind) {
  return element("span", { class: "badge", "data-kind": kind }, text(kind));
}

/** A list of `[name, value]` pairs; pairs without a value are left out. */
export function facts(...pairs) {
  const present = pairs.filter(([, value]) => value !== undefined && value !== null && value !== false && value !== "");
  const rows = present.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  return element("dl", { class: "facts" }, rows);
}

/** Preformatted text that can be scrolled with the keyboard. */
export function codeBlock(value, label) {
  return element(
    "pre",
    { tabindex: "0", role: "region", "aria-label": label },
    element("bdi", {}, String(value ?? "")),
  );
}

/** A button that copies `value`. `source` is the element that shows it. */
export function copyButton(value, source) {
  const onClick = async ({ currentTarget }) => {
    try {
      await navigator.clipboard.writeText(value);
    } catch {
      // There is no clipboard API on pages without TLS.
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    currentTarget.textContent = text("copied");
    setTimeout(() => {
      currentTarget.textContent = text("copy");
    }, 2000);
  };
  return element("button", { type: "button", class: "small", click: onClick }, text("copy"));
}

/** What a page shows when there is nothing to show, with what to do next. */
export function emptyState(headline, ...help) {
  return element("div", { class: "empty" }, element("p", { class: "headline" }, headline), help);
}

/** The curl command that creates a first hook. */
export function createHookCommand() {
  const command = `curl -H "Authorization: Bearer $TOKEN" -d '{"vendor":"ppj"}' ${location.origin}/hooks`;
  return codeBlock(command, text("withCurl"));
}

/** The heading of a page; `title` and `help` are keys. */
export function pageHeader(title, help) {
  const heading = element("h1", { tabindex: "-1" }, text(title));
  return element("header", {}, heading, element("p", { class: "quiet" }, text(help)));
}
