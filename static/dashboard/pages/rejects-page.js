// The page of rejects: requests that could not be parsed or verified, and a button that replays each after its hook was changed.

import { documentRoute } from "../route.js";
import { codeBlock, element, emptyState, facts, foreign, pageHeader } from "../ui/dom.js";
import { errorText } from "../ui/error-text.js";
import { text } from "../ui/i18n.js";
import { requestText } from "../ui/request-text.js";
import { exactTime, timeElement } from "../ui/time.js";
import { hookName, loadHooks } from "./hooks-page.js";

export class RejectsPage {
  #container;
  #session;
  #hooks;
  #list;
  #message;

  constructor(container, session) {
    this.#container = container;
    this.#session = session;
  }

  async load() {
    const [page, hooks] = await Promise.all([this.#session.request("/rejects"), loadHooks(this.#session)]);
    this.#hooks = hooks;
    this.#list = element("ul", { class: "cards" }, this.#cards(page));
    this.#message = element("p", { role: "status" });
    const content = page.rejects.length > 0 ? this.#list : emptyState(text("noRejects"));
    this.#container.replaceChildren(
      pageHeader("rejects", "rejectsHelp"),
      this.#message,
      content,
      this.#moreButton(page),
    );
  }

  #cards({ rejects }) {
    return rejects.map((reject) => this.#card(reject));
  }

  /** A button that loads the next page, or an empty text if there is none. */
  #moreButton({ next }) {
    if (!next) return "";
    const onClick = async () => {
      const page = await this.#session.request(`/rejects?cursor=${next}`);
      this.#list.append(...this.#cards(page));
      button.replaceWith(this.#moreButton(page));
    };
    const button = element("button", { type: "button", click: onClick }, text("more"));
    return button;
  }

  #card(reject) {
    const hook = this.#hooks.find(({ id }) => id === reject.hook);
    const details = element("summary", {}, text("raw"));
    const card = element(
      "li",
      { class: "card" },
      element("div", { class: "heading" }, element("h2", {}, foreign(reject.reason, 300))),
      facts(
        [text("received"), [timeElement(reject.time), ` · ${exactTime(reject.time)}`]],
        [text("hook"), hook ? foreign(hookName(hook), 100) : text("deleted")],
        [text("verification"), !reject.verified && text("notVerified")],
      ),
      element("details", {}, details, codeBlock(requestText(reject), text("raw"))),
    );
    if (this.#hooks.length > 0) card.append(this.#actions(reject, hook, card));
    return card;
  }

  /** The replay button, with a choice of hooks if the original one was deleted. */
  #actions(reject, hook, card) {
    const options = this.#hooks.map((other) => element("option", { value: other.id }, hookName(other)));
    const select = hook ? undefined : element("select", { "aria-label": text("replayWith") }, options);
    const problem = element("span", { role: "alert", class: "quiet" });
    const onClick = async () => {
      button.disabled = true;
      try {
        await this.#replay(reject, select?.value, card);
      } catch (error) {
        button.disabled = false;
        problem.textContent = errorText(error);
      }
    };
    const button = element("button", { type: "button", class: "small", click: onClick }, text("replay"));
    const choice = select && element("label", {}, `${text("replayWith")} `, select);
    return element("div", { class: "actions" }, choice, button, problem);
  }

  async #replay(reject, hookId, card) {
    const query = hookId ? `?hook=${encodeURIComponent(hookId)}` : "";
    const path = `/rejects/${reject.id}/replay${query}`;
    const { documentId } = await this.#session.request(path, { method: "POST" });
    const link = element("a", { href: documentRoute(documentId) }, documentId);
    this.#message.replaceChildren(text("replayed"), " ", link);
    card.remove();
    if (!this.#list.hasChildNodes()) this.#list.replaceWith(emptyState(text("noRejects")));
    link.focus();
  }
}
