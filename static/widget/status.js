// The connection state that an element shows: `{state, code}`. Both are part of the public interface.

import { RefusedError, TemporaryError } from "../stream/errors.js";

/** The status to show after a failure. */
export function statusOf(error) {
  if (error instanceof RefusedError) return { state: "error", code: error.code };
  if (!navigator.onLine) return { state: "offline", code: "offline" };
  const code = error instanceof TemporaryError ? error.code : "unreachable";
  // The user has to sign in to the site again, so the widget shows an error although it keeps trying.
  return { state: code === "ticket_refused" ? "error" : "offline", code };
}
