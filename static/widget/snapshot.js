// Loads the present state of the documents that an element shows, before the stream brings their next events.

import { isBefore, isSameEpoch } from "../stream/position.js";
import { REQUEST_TIMEOUT_MS, SNAPSHOT_LIMIT } from "./limits.js";
import { canReadDocuments, readClaims } from "./token.js";

/**
 * Returns `{documents, interest, isNews}`: what to show (undefined to keep what is shown), what the stream has to bring
 * after that, and a function that tells which of its events are news. `options` is `{relay, credentials, documents, vendor}`,
 * where null documents mean all that the token allows.
 */
export async function loadSnapshot({ relay, credentials, documents: wanted, vendor }, signal) {
  let token = await credentials.token();
  // A ticket may name the documents it is valid for.
  const documents = wanted ?? readClaims(token).documents ?? null;
  const fromStream = () => ({
    documents: wanted === null ? [] : undefined,
    interest: { documents, after: documents === null ? "" : "earliest" },
    isNews: newsTest(token),
  });
  if (!canReadDocuments(token)) return fromStream();
  const query = new URLSearchParams({ limit: documents ? 1 : SNAPSHOT_LIMIT });
  if (vendor && !documents) query.set("vendor", vendor);
  const load = (path) => getJson(relay + path, token, signal);
  let list = await load(`/documents?${query}`);
  if (list === null && credentials.ticketUrl) {
    token = await credentials.token(token);
    list = await load(`/documents?${query}`);
  }
  // The stream reports why the token is refused, or accepts it.
  if (list === null) return fromStream();
  // The documents are requested after `lastEventId` was read, so they are as new as that position or newer.
  const found = documents
    ? await Promise.all(documents.map((id) => load(`/documents/${encodeURIComponent(id)}`)))
    : list.documents;
  return {
    documents: found.filter(Boolean).map(asEvent),
    interest: { documents, after: list.lastEventId },
    isNews: () => true,
  };
}

/** The stream brings the past, too: a test whether an event was stored after the ticket was issued. */
function newsTest(token) {
  const { position, iat } = readClaims(token);
  // Without a position of this log: `iat` has whole seconds, so an old event may pass for news, but no news is dropped.
  const since = Math.min(iat * 1000 || Date.now(), Date.now());
  return ({ id, time }) =>
    typeof position === "string" && isSameEpoch(position, id) ? isBefore(position, id) : Date.parse(time) >= since;
}

/** A document in the form of its last event. */
function asEvent({ eventId, ...document }) {
  return { ...document, id: eventId };
}

/** The JSON of a response; null when this token gets none. Throws when the relay cannot answer now. */
async function getJson(url, token, signal) {
  const response = await fetch(url, {
    headers: { Authorization: `Bearer ${token}` },
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
  });
  if ([400, 401, 403, 404].includes(response.status)) return null;
  if (!response.ok) throw new Error(`the relay responded with status ${response.status}`);
  return response.json();
}
