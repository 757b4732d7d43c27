// The page of notifications: the endpoints that get events, their last deliveries, and the deliveries that have failed.

import { badge, codeBlock, element, emptyState, facts, foreign, pageHeader } from "../ui/dom.js";
import { language, text } from "../ui/i18n.js";
import { deliveryRow, documentLink, targetName } from "./delivery-row.js";

const RECENT_DELIVERIES = 5;
const FAILED_DELIVERIES = 20;

export class NotificationsPage {
  #container;
  #session;
  /** What is shown, to leave the page alone while nothing changes. */
  #rendered;

  constructor(container, session) {
    this.#container = container;
    this.#session = session;
    /** Loads the page again, unless another page is shown; set by app.js. */
    this.reload = undefined;
  }

  /** Shows the content even if it has not changed: something else was shown in its place. */
  invalidate() {
    this.#rendered = undefined;
  }

  async load() {
    const [{ notifications }, failed] = await Promise.all([
      this.#session.request("/v2/notification"),
      this.#session.request(`/deliveries?state=dead&limit=${FAILED_DELIVERIES}`),
    ]);
    const recent = await Promise.all(notifications.map(({ name }) => this.#recentDeliveries(name)));
    const rendered = JSON.stringify([notifications, failed, recent, language()]);
    if (rendered === this.#rendered) return;
    this.#rendered = rendered;
    const focusKey = document.activeElement?.dataset?.key;
    const cards = notifications.map((notification, index) => this.#card(notification, recent[index]));
    this.#container.replaceChildren(
      pageHeader("notifications", "notificationsHelp"),
      cards.length > 0 ? element("ul", { class: "cards" }, cards) : noNotifications(),
      element("section", {}, element("h2", {}, text("failedDeliveries")), this.#failed(failed.deliveries)),
    );
    if (focusKey) this.#container.querySelector(`[data-key="${focusKey}"]`)?.focus();
  }

  async #recentDeliveries(name) {
    const query = `limit=${RECENT_DELIVERIES}&notification=${encodeURIComponent(name)}`;
    return (await this.#session.request(`/deliveries?${query}`)).deliveries;
  }

  #card(notification, deliveries) {
    const { name, state, isDefault, endpoint, format } = notification;
    const tag = isDefault && element("span", { class: "tag" }, text("isDefault"));
    return element(
      "li",
      { class: "card" },
      element("div", { class: "heading" }, element("h2", {}, name), badge(state), tag),
      facts([text("endpoint"), element("code", { class: "address" }, foreign(endpoint))], [text("format"), format]),
      element("h3", {}, text("lastDeliveries")),
      deliveries.length > 0 ? this.#list(deliveries, documentLink) : nothing("noDeliveries"),
    );
  }

  #failed(deliveries) {
    if (deliveries.length === 0) return nothing("noFailedDeliveries");
    return this.#list(deliveries, (delivery) => targetName(delivery) ?? documentLink(delivery));
  }

  #list(deliveries, subjectOf) {
    const onChange = () => this.reload?.();
    const rows = deliveries.map((delivery) =>
      deliveryRow(this.#session, delivery, { subject: subjectOf(delivery), onChange }),
    );
    return element("ul", { class: "deliveries" }, rows);
  }
}

function nothing(key) {
  return element("p", { class: "quiet" }, text(key));
}

function noNotifications() {
  const body = '{"name":"main","endpoint":"https://app.example.com/webhook","format":"standard","isDefault":true}';
  const command = `curl -H "Authorization: Bearer $TOKEN" -d '${body}' ${location.origin}/v2/notification`;
  return emptyState(text("noNotifications"), codeBlock(command, text("withCurl")));
}
