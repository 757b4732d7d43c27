// The page of notifications: where events go out, how the last deliveries fared, and another try for those that failed.

const LOOKS_AGAIN = 1000;

/** One delivery with its last attempt, and a button that sends it again. */
function delivery(session, one, changed, withTarget) {
  const last = one.attempts.at(-1);
  const outcome = last && [last.status, last.reason].filter(Boolean).join(" · ");
  const button = build("button", { type: "button", class: "small", "data-key": `retry-${one.id}`, click: async () => {
    button.disabled = true;
    try {
      await session.ask(`/deliveries/${one.id}/retry`, { method: "POST" });
      button.textContent = word("queued");
      setTimeout(changed, LOOKS_AGAIN);
    } catch (error) {
      button.disabled = false;
      button.after(build("span", { role: "alert" }, error.message));
    }
  } }, word(one.state === "delivered" ? "sendAgain" : "retry"));
  const target = withTarget ? (one.notification ?? one.callback) : undefined;
  return build("li", {},
    build("div", { class: "line" },
      badge(one.state),
      target ? build("strong", {}, foreign(target, 100)) : build("a", { href: documentAddress(one.documentId), "data-key": `document-${one.id}` }, build("code", {}, one.documentId.slice(0, 8))),
      age(last?.time ?? one.createTime),
      one.attempts.length > 1 ? build("span", { class: "quiet" }, word("attempts", { count: one.attempts.length })) : "",
      outcome ? build("span", { class: "quiet" }, foreign(outcome, 300)) : "",
      one.nextAttempt && one.state === "pending" ? build("span", { class: "quiet" }, word("nextAttempt", { time: ago(one.nextAttempt) })) : "",
      button));
}

class NotificationsPage {
  constructor(place, session) {
    Object.assign(this, { place, session });
  }

  async load() {
    const [{ notifications }, dead] = await Promise.all([this.session.ask("/v2/notification"), this.session.ask("/deliveries?state=dead&limit=20")]);
    const last = await Promise.all(notifications.map(({ name }) => this.session.ask(`/deliveries?limit=5&notification=${encodeURIComponent(name)}`)));
    // What has not changed is not drawn again under somebody's hands.
    const drawn = JSON.stringify([notifications, dead, last, language]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const focus = document.activeElement?.dataset?.key;
    this.place.replaceChildren(
      head("notifications", "notificationsHelp"),
      notifications.length > 0
        ? build("ul", { class: "cards" }, ...notifications.map((one, at) => this.notification(one, last[at].deliveries)))
        : this.none(),
      build("section", {}, build("h2", {}, word("deadOnes")), this.list(dead.deliveries, "noDead", true)));
    if (focus) this.place.querySelector(`[data-key="${focus}"]`)?.focus();
  }

  notification(one, deliveries) {
    return build("li", { class: "card" },
      build("div", { class: "heading" }, build("h2", {}, one.name), badge(one.state), one.isDefault ? build("span", { class: "tag" }, word("isDefault")) : ""),
      facts([word("endpoint"), build("code", { class: "address" }, foreign(one.endpoint))], [word("format"), one.format]),
      build("h3", {}, word("lastAttempts")),
      this.list(deliveries, "noDeliveries"));
  }

  list(deliveries, nothing, withTarget) {
    if (deliveries.length === 0) return build("p", { class: "quiet" }, word(nothing));
    return build("ul", { class: "deliveries" }, ...deliveries.map((one) => delivery(this.session, one, () => this.reload?.(), withTarget)));
  }

  none() {
    const line = `curl -H "Authorization: Bearer $TOKEN" -d '{"name":"main","endpoint":"https://app.example.com/hear","format":"standard","isDefault":true}' ${location.origin}/v2/notification`;
    return empty(word("noNotifications"), build("pre", { tabindex: "0", role: "region", "aria-label": word("withCurl") }, line));
  }
}
