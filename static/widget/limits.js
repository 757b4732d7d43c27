// Limits of the widget.

/** Documents that an element shows. */
export const MAX_ROWS = 8;
/** Documents requested for the first view when the element names none. */
export const SNAPSHOT_LIMIT = 20;
/** Characters of a title or message that are shown. */
export const MAX_TEXT_LENGTH = 160;
/** A request without a complete response after this time, in milliseconds, has failed. */
export const REQUEST_TIMEOUT_MS = 20_000;
/** Documents named in one stream URL. With more, the stream follows all documents. */
export const MAX_NAMED_DOCUMENTS = 100;
/** Documents whose latest event a leader keeps for tabs that subscribe later. */
export const MAX_CACHED_EVENTS = 1000;
/** Events that an element keeps while it loads the present state. */
export const MAX_PENDING_EVENTS = 1000;
/** How long a new leader waits for the interests of the other tabs before it connects, in milliseconds. */
export const INTERESTS_TIMEOUT_MS = 30;
