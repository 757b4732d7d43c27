// The page of hooks: the URLs that vendors call, and the last call of each.

import { copyButton, createHookCommand, element, emptyState, facts, foreign, pageHeader } from "../ui/dom.js";
import { text } from "../ui/i18n.js";
import { timeElement } from "../ui/time.js";

export class HooksPage {
  #container;
  #session;

  constructor(container, session) {
    this.#container = container;
    this.#session = session;
  }

  async load() {
    const hooks = await loadHooks(this.#session);
    const content = hooks.length > 0 ? element("ul", { class: "cards" }, hooks.map(hookCard)) : noHooks();
    this.#container.replaceChildren(pageHeader("hooks", "hooksHelp"), content);
  }
}

/** All hooks, from as many pages as they have. */
export async function loadHooks(session) {
  const hooks = [];
  let path = "/hooks";
  while (path) {
    const page = await session.request(path);
    hooks.push(...page.hooks);
    path = page.next && `/hooks?cursor=${page.next}`;
  }
  return hooks;
}

/** The name of a hook in texts and menus. */
export function hookName(hook) {
  return hook.name || hook.vendor;
}

function hookCard(hook) {
  const url = element("code", { class: "address" }, hook.url);
  const { lastCall, lastRefusal } = hook;
  const notCalled = element("span", { class: "quiet" }, text("notCalled"));
  const rejected = lastRefusal && [
    timeElement(lastRefusal.time),
    ` · ${lastRefusal.status} · `,
    foreign(lastRefusal.reason, 300),
  ];
  const labels = Object.entries(hook.labels).map(([name, value]) => `${name}: ${value}`);
  const name = element("h2", {}, foreign(hookName(hook), 100));
  return element(
    "li",
    { class: "card" },
    element("div", { class: "heading" }, name, element("span", { class: "tag" }, hook.vendor)),
    element("div", { class: "copyable" }, url, copyButton(hook.url, url)),
    facts(
      [text("verification"), hook.verify.type],
      [text("lastCall"), lastCall ? [timeElement(lastCall.time), ` · ${lastCall.status}`] : notCalled],
      [text("lastRejected"), rejected],
      [text("labels"), labels.join(", ")],
    ),
  );
}

function noHooks() {
  return emptyState(text("noHooks"), element("p", {}, text("curlHook")), createHookCommand());
}
