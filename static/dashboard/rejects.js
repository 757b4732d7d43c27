// The page of rejects: what could not be understood, as it came, and another try after the hook was mended.

class RejectsPage {
  constructor(place, session) {
    Object.assign(this, { place, session });
  }

  async load() {
    const [page, { hooks }] = await Promise.all([this.session.ask("/rejects"), this.session.ask("/hooks")]);
    this.hooks = hooks;
    this.list = build("ul", { class: "cards" }, ...page.rejects.map((reject) => this.reject(reject)));
    this.said = build("p", { role: "status" });
    this.place.replaceChildren(head("rejects", "rejectsHelp"), this.said, page.rejects.length > 0 ? this.list : empty(word("noRejects")), this.more(page.next));
  }

  more(next) {
    if (!next) return "";
    const button = build("button", { type: "button", click: async () => {
      const page = await this.session.ask(`/rejects?cursor=${next}`);
      this.list.append(...page.rejects.map((reject) => this.reject(reject)));
      button.replaceWith(this.more(page.next));
    } }, word("more"));
    return button;
  }

  reject(reject) {
    const own = this.hooks.find((hook) => hook.id === reject.hook);
    const select = own ? undefined : build("select", { "aria-label": word("replayWith") }, ...this.hooks.map((hook) => build("option", { value: hook.id }, hook.name || hook.vendor)));
    const said = build("span", { role: "alert", class: "quiet" });
    const button = build("button", { type: "button", class: "small", click: () => this.replay(reject, select?.value, item, button, said) }, word("replay"));
    const item = build("li", { class: "card" },
      build("div", { class: "heading" }, build("h2", {}, foreign(reject.reason, 300))),
      facts(
        [word("age"), [age(reject.time), ` · ${exact(reject.time)}`]],
        [word("hook"), own ? foreign(own.name || own.vendor, 100) : word("gone")],
      ),
      build("details", {}, build("summary", {}, word("raw")), block(request(reject), word("raw"))),
      build("div", { class: "actions" }, select ? build("label", {}, `${word("replayWith")} `, select) : "", this.hooks.length > 0 || own ? button : "", said));
    return item;
  }

  async replay(reject, instead, item, button, said) {
    button.disabled = true;
    try {
      const query = instead ? `?hook=${encodeURIComponent(instead)}` : "";
      const { documentId } = await this.session.ask(`/rejects/${reject.id}/replay${query}`, { method: "POST" });
      this.said.replaceChildren(word("replayed"), " ", build("a", { href: documentAddress(documentId) }, documentId));
      item.remove();
      if (!this.list.hasChildNodes()) this.list.replaceWith(empty(word("noRejects")));
      this.said.querySelector("a").focus();
    } catch (error) {
      button.disabled = false;
      said.textContent = error.message;
    }
  }
}
