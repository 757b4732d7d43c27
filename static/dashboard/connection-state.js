// The line that shows the state of the connection.

import { byId } from "./ui/dom.js";
import { errorText } from "./ui/error-text.js";
import { text } from "./ui/i18n.js";

export class ConnectionState {
  #present = { state: "off", key: "off" };

  /** Whether the relay has rejected the token. */
  get isRefused() {
    return this.#present.state === "refused";
  }

  /** `{state, key, values}` or `{state, error}`; `state` is `off`, `waiting`, `open` or `refused`. */
  show(present) {
    this.#present = present;
    this.render();
  }

  /** Renders the current state. Called again when the language has changed. */
  render() {
    const { state, key, values, error } = this.#present;
    const line = byId("state");
    line.dataset.state = state;
    line.textContent = error ? errorText(error) : text(key, values);
  }
}
