// Announces new events to screen readers, at a bounded rate: a busy stream must not talk without a pause.

import { text } from "../ui/i18n.js";

const FIRST_DELAY_MS = 500;
const MIN_INTERVAL_MS = 10_000;
const MAX_TITLE_LENGTH = 80;

export class Announcer {
  #region;
  #pending = [];
  #timer;

  /** `region` is an element with `role=status`. */
  constructor(region) {
    this.#region = region;
  }

  add(event) {
    this.#pending.push(event);
    this.#timer ??= setTimeout(() => this.#announce(), FIRST_DELAY_MS);
  }

  #announce() {
    const last = this.#pending.at(-1);
    const title = (last.title || last.vendorId).slice(0, MAX_TITLE_LENGTH);
    const values = { count: this.#pending.length, title, status: text(last.status) };
    this.#region.textContent = text("announcement", values);
    this.#pending = [];
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#pending.length > 0) this.#announce();
    }, MIN_INTERVAL_MS);
  }
}
