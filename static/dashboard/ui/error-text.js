// Errors in the language of the page.

import { RefusedError } from "../../stream/errors.js";
import { ApiError } from "../session.js";
import { element } from "./dom.js";
import { text } from "./i18n.js";
import { TEXTS } from "./texts.js";

/** A sentence that tells what is wrong and what to do. */
export function errorText(error) {
  if (error instanceof RefusedError) {
    return error.code in TEXTS ? text(error.code) : text("refused", { reason: error.code });
  }
  if (error instanceof ApiError) {
    if (error.status === 403) return text("readOnly");
    return error.detail ?? text("badStatus", { status: String(error.status) });
  }
  // fetch() throws a TypeError when there is no connection.
  return error instanceof TypeError ? text("unreachable") : error.message;
}

/** What a page shows when its content cannot be loaded, with a button that calls `retry`. */
export function errorNotice(error, retry) {
  const button = element("button", { type: "button", click: retry }, text("tryAgain"));
  return element(
    "div",
    { class: "empty", role: "alert" },
    element("p", { class: "headline" }, errorText(error)),
    element("p", {}, button),
  );
}
