// Follows the event stream of the client over as many connections as it takes.

import { RetrySchedule, wait } from "../stream/backoff.js";
import { readRelayStream } from "../stream/connection.js";
import { RefusedError, ResetError } from "../stream/errors.js";
import { Parser } from "../stream/sse.js";

/**
 * Follows until the token is refused or `signal` is aborted.
 *
 * `load()` loads the present state and returns the id after which the stream continues without a gap. `onEvent(event)` gets
 * each event. `onState({state, key, values})` gets the state of the connection (`waiting`, `open` or `refused`) and the key
 * of its text; `refused` comes with the `error` instead.
 */
export async function follow(session, { signal, load, onEvent, onState }) {
  const schedule = new RetrySchedule();
  let position;
  let wasReset = false;
  const onOpen = () => {
    schedule.connected();
    onState({ state: "open", key: wasReset ? "reset" : "open" });
    wasReset = false;
  };
  while (!signal.aborted) {
    onState({ state: "waiting", key: schedule.failures === 0 ? "connecting" : "reconnecting" });
    const { token } = session;
    // A new parser for each connection: an event that the last one received in part is sent again.
    let parser;
    let failure;
    try {
      position ??= await load();
      parser = new Parser(position);
      const onNext = (event) => {
        schedule.received();
        onEvent(event);
      };
      await readRelayStream("/events/client", { token, parser, signal, onOpen, onEvent: onNext });
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return;
    position = parser?.lastEventId ?? position;
    schedule.retry = parser?.retry ?? schedule.retry;
    if (failure instanceof ResetError) {
      wasReset = true;
      position = undefined;
      if (schedule.resetReceived()) continue;
    } else if (failure instanceof RefusedError) {
      const isRenewed = await renew(session, token);
      if (isRenewed) continue;
      if (isRenewed === false) return onState({ state: "refused", error: failure });
      schedule.failed();
    } else if (failure) {
      schedule.failed();
    }
    onState({ state: "waiting", key: "lost", values: { seconds: Math.ceil(schedule.delay / 1000) } });
    await wait(schedule.delay, signal);
  }
}

/** Whether the token was renewed; undefined when that cannot be known now. */
async function renew(session, token) {
  try {
    return await session.renew(token);
  } catch (error) {
    return error instanceof RefusedError ? false : undefined;
  }
}
