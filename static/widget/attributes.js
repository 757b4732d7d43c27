// The attributes of the element, as options of its source.

import { relaySource } from "./relay-source.js";

/** The ids of the attribute `document`; null when it names none. */
export function documentIdsOf(element) {
  const ids = (element.getAttribute("document") ?? "")
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  return ids.length > 0 ? ids : null;
}

/** The relay that the attributes name; by default the one that serves this module. */
export function sourceOf(element) {
  const relay = relayUrl(element);
  if (!relay) return (notify) => notify({ state: "error", code: "bad_relay" });
  const ticketUrl = element.getAttribute("ticket-url");
  return relaySource({
    relay,
    token: element.getAttribute("token")?.trim(),
    ticketUrl: ticketUrl && new URL(ticketUrl, document.baseURI).href,
    documents: documentIdsOf(element),
    vendor: element.getAttribute("vendor"),
  });
}

/** The base URL of the relay without a slash at its end; undefined when it is not an http or https URL. */
function relayUrl(element) {
  try {
    const url = new URL(element.getAttribute("relay") || new URL(".", import.meta.url), document.baseURI);
    return /^https?:$/.test(url.protocol) ? (url.origin + url.pathname).replace(/\/+$/, "") : undefined;
  } catch {
    return undefined;
  }
}
