// The page of hooks: what vendors call, whether they do, and why they were refused.

class HooksPage {
  constructor(place, session) {
    Object.assign(this, { place, session });
  }

  async load() {
    const { hooks } = await this.session.ask("/hooks");
    this.place.replaceChildren(
      head("hooks", "hooksHelp"),
      hooks.length > 0 ? build("ul", { class: "cards" }, ...hooks.map((hook) => this.hook(hook))) : this.none());
  }

  hook(hook) {
    const address = build("code", { class: "address" }, hook.url);
    const { lastCall, lastRefusal } = hook;
    return build("li", { class: "card" },
      build("div", { class: "heading" }, build("h2", {}, foreign(hook.name || hook.vendor, 100)), build("span", { class: "tag" }, hook.vendor)),
      build("div", { class: "copyable" }, address, copyButton(hook.url, address)),
      facts(
        [word("proof"), hook.verify.type],
        [word("lastCall"), lastCall ? [age(lastCall.time), ` · ${lastCall.status}`] : build("span", { class: "quiet" }, word("notCalled"))],
        [word("lastRefusal"), lastRefusal && [age(lastRefusal.time), ` · ${lastRefusal.status} · `, foreign(lastRefusal.reason, 300)]],
        [word("labels"), Object.entries(hook.labels).map(([name, value]) => `${name}: ${value}`).join(", ")],
      ));
  }

  none() {
    const line = `curl -H "Authorization: Bearer $TOKEN" -d '{"vendor":"ppj"}' ${location.origin}/hooks`;
    return empty(word("noHooks"), build("p", {}, word("curlHook")), build("pre", { tabindex: "0", role: "region", "aria-label": word("withCurl") }, line));
  }
}
