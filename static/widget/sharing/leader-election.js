// Elects the tab that holds the stream: the one that gets the Web Lock. The others queue for the lock, so the browser
// appoints the next leader when the present one closes.

/**
 * Calls `lead` once this tab holds the lock `name`; the lock is held until the promise of `lead` settles. Aborting `signal`
 * leaves the queue. Calls `leadAlone` when there are no locks (a page without TLS) or they are denied (a sandboxed frame).
 */
export async function runForLeader({ locks, name, signal, lead, leadAlone }) {
  if (!locks) return leadAlone();
  let isElected = false;
  const onElected = () => {
    isElected = true;
    return lead();
  };
  try {
    return await locks.request(name, { signal }, onElected);
  } catch (error) {
    if (signal.aborted) return undefined;
    if (isElected) throw error;
    return leadAlone();
  }
}
