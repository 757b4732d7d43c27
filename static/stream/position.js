// Positions in the relay's log. A position is an event id (`<epoch>.<sequence>`), `earliest`, or the empty string for
// "after all events stored so far".

/** The sequence number of an event id. */
export function sequenceOf(id) {
  return Number(id.split(".")[1]);
}

/** Whether two event ids are of one epoch. Only then the order of their sequence numbers means something. */
export function isSameEpoch(a, b) {
  return a.split(".")[0] === b.split(".")[0];
}

/** Whether position `a` lies before `b`. True for ids of different epochs, which have no order: the relay sends `reset`. */
export function isBefore(a, b) {
  if (a === b || a === "" || b === "earliest") return false;
  if (b === "" || a === "earliest") return true;
  return !isSameEpoch(a, b) || sequenceOf(a) < sequenceOf(b);
}
