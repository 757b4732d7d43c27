// The statuses of documents, in the order of the filters.

export const STATUSES = ["PENDING", "COMPLETED", "ERROR"];

/** A count of zero for each status. */
export function noCounts() {
  return Object.fromEntries(STATUSES.map((status) => [status, 0]));
}
