// One connection to the relay's `/events/client`: turns its event types into callbacks and errors. The dashboard and the
// widget add their own rules for reconnecting.

import { RefusedError, ResetError } from "./errors.js";
import { read } from "./sse.js";

/** The relay sends a keepalive every 15 seconds by default. A stream that is silent for longer than this is dead. */
const SILENCE_MS = 90_000;

/**
 * Reads the stream at `url` until it ends. `onEvent` gets the JSON of each event with its `id` added.
 *
 * Throws a ResetError for `event: reset`, a RefusedError for `event: error`, and the errors of `read`.
 */
export function readRelayStream(url, { token, parser, signal, onOpen, onEvent, onChunk }) {
  return read(url, {
    headers: { Authorization: `Bearer ${token}` },
    parser,
    signal,
    silence: SILENCE_MS,
    onOpen,
    onChunk,
    onEvent: ({ type, data, lastEventId }) => {
      if (type === "error") throw new RefusedError(data);
      if (type === "reset") throw new ResetError("events after this position are no longer available");
      if (type === "message") onEvent({ ...JSON.parse(data), id: lastEventId });
    },
  });
}
