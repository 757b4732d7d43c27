// Which rows of a long table are in the page, and which row a key leads to. Numbers only, no elements.

/** Rows beyond each edge of the viewport, so that no gap is seen while scrolling. */
export const OVERSCAN_ROWS = 8;

/** The rows to render, `first` to `end - 1`. Heights are in pixels, `firstVisible` is the first row in the viewport. */
export function visibleRange({ firstVisible, rowHeight, viewportHeight, count }) {
  const first = Math.max(0, firstVisible - OVERSCAN_ROWS);
  const end = Math.min(count, first + Math.ceil(viewportHeight / rowHeight) + 2 * OVERSCAN_ROWS);
  return { first, end };
}

/** The row that `key` leads to from the row `current` (-1 for none); undefined for keys that do not move. */
export function rowAfterKey(key, { current, rowHeight, viewportHeight, count }) {
  // Two rows of the last page stay visible.
  const page = Math.max(1, Math.floor(viewportHeight / rowHeight) - 2);
  const targets = {
    ArrowDown: current + 1,
    ArrowUp: current - 1,
    PageDown: current + page,
    PageUp: current - page,
    Home: 0,
    End: count - 1,
  };
  return key in targets ? Math.min(Math.max(targets[key], 0), count - 1) : undefined;
}

/**
 * How many rows the content above the viewport has grown by. `visible` are the documents in view, `indexes` and `newIndexes`
 * map ids to rows; the first document in view that has not changed is the one that keeps its place.
 */
export function movedRows(visible, indexes, documents, newIndexes) {
  for (const { documentId, position } of visible) {
    const index = newIndexes.get(documentId);
    if (documents[index]?.position === position) return index - indexes.get(documentId);
  }
  return 0;
}
