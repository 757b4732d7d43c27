// The page of one document: what is known of it, how it came about, and where it went.

class DocumentPage {
  constructor(place, session, id, back) {
    Object.assign(this, { place, session, id, back });
    this.open = new Set();
    this.load();
  }

  /** Anew from the relay; the page stays as it is until that is there. */
  async load() {
    this.loading = true;
    this.stale = false;
    try {
      const [known, history] = await Promise.all([
        this.session.ask(`/documents/${encodeURIComponent(this.id)}`),
        this.session.ask(`/documents/${encodeURIComponent(this.id)}/events`),
      ]);
      const deliveries = await this.session.ask(`/deliveries?limit=50&document=${known.documentId}`).catch((error) => error);
      if (!this.place.isConnected) return;
      this.known = known;
      // What has not changed is not drawn again under somebody's hands.
      const drawn = JSON.stringify([known, history, deliveries, language]);
      if (drawn !== this.drawn) this.draw(known, history.events, deliveries);
      this.drawn = drawn;
      // Deliveries happen without an event.
      if (deliveries.deliveries?.some((one) => one.state === "pending")) {
        setTimeout(() => this.heading.isConnected && this.changed(), LOOKS_AGAIN * 3);
      }
    } catch (error) {
      this.drawn = undefined;
      this.place.replaceChildren(this.way(), error.status === 404 ? empty(word("noDocument")) : failure(error, () => this.load()));
    }
    this.loading = false;
    if (this.stale) this.load();
  }

  /** The document has news. */
  changed() {
    if (this.loading) this.stale = true;
    else this.load();
  }

  way() {
    return build("p", {}, build("a", { href: this.back, class: "back" }, `← ${word("back")}`));
  }

  draw(known, events, deliveries) {
    const focus = document.activeElement?.dataset?.key;
    const idPlace = build("code", {}, known.documentId);
    const labels = Object.entries(known.labels ?? {}).map(([name, value]) => foreign(`${name}: ${value}`));
    const heading = build("h1", { tabindex: "-1" }, foreign(known.title || known.vendorId, 300));
    this.heading = heading;
    this.place.replaceChildren(
      this.way(),
      build("div", { class: "heading" }, heading, badge(known.status)),
      facts(
        [word("vendor"), known.vendor],
        [word("vendorId"), build("code", {}, foreign(known.vendorId))],
        [word("documentId"), build("span", { class: "copyable" }, idPlace, copyButton(known.documentId, idPlace))],
        [word("updated"), [age(known.time), ` · ${exact(known.time)}`]],
        [word("vendorTime"), known.vendorTime && exact(known.vendorTime)],
        [word("labels"), labels.length > 0 && build("span", { class: "labels" }, ...labels)],
        [word("title"), known.title?.length > 300 && build("div", { class: "long", tabindex: "0", role: "region", "aria-label": word("title") }, foreign(known.title))],
      ),
      known.error ? build("section", { class: "error-box" }, build("h2", {}, word("error")), build("p", {}, foreign([known.error.code, known.error.message].filter(Boolean).join(": ") || word("ERROR")))) : "",
      known.result ? build("section", {}, build("h2", {}, word("result")), block(JSON.stringify(known.result, null, 2), word("result"))) : "",
      build("section", {}, build("h2", {}, word("history")), build("ol", { class: "history" }, ...[...events].reverse().map((event) => this.event(event)))),
      build("section", {}, build("h2", {}, word("deliveries")), this.deliveries(deliveries)),
    );
    document.title = `${(known.title || known.vendorId).slice(0, 60)} · docrelay`;
    if (focus) this.place.querySelector(`[data-key="${focus}"]`)?.focus();
    else if (!this.focused) heading.focus({ preventScroll: true });
    this.focused = true;
  }

  event(event) {
    const why = event.error && [event.error.code, event.error.message].filter(Boolean).join(" ");
    const shown = build("div", {});
    const details = build("details", { toggle: () => this.toggle(event.eventId, details, shown) },
      build("summary", { "data-key": event.eventId }, word("raw")), shown);
    if (this.open.has(event.eventId)) details.open = true;
    return build("li", {},
      build("div", { class: "line" }, badge(event.status), age(event.time), build("span", { class: "quiet" }, exact(event.time)), why ? foreign(why, 300) : ""),
      details);
  }

  async toggle(id, details, shown) {
    if (!details.open) return this.open.delete(id);
    this.open.add(id);
    if (shown.hasChildNodes()) return undefined;
    this.raws ??= new Map();
    if (!this.raws.has(id)) {
      const asked = this.session.ask(`/events/${id}/raw`).then(request, (error) => {
        this.raws.delete(id);
        return error.status === 404 ? word("noRaw") : error.message;
      });
      this.raws.set(id, asked);
    }
    shown.replaceChildren(block(await this.raws.get(id), word("raw")));
    return undefined;
  }

  deliveries(answer) {
    if (answer instanceof Error) return build("p", { class: "quiet" }, answer.message);
    if (answer.deliveries.length === 0) return build("p", { class: "quiet" }, word("noDeliveries"));
    return build("ul", { class: "deliveries" }, ...answer.deliveries.map((one) => delivery(this.session, one, () => this.changed(), true)));
  }
}
