// Builds the content of the shadow root. Values of vendors become text nodes, never markup.

import { codeText } from "./i18n.js";
import { MAX_TEXT_LENGTH } from "./limits.js";

/** Shapes, because a status must be recognizable without its color. */
const ICON_PATHS = {
  PENDING: "M12 3a9 9 0 1 0 9 9",
  COMPLETED: "M4 12.5l5.5 5.5L20 6.5",
  ERROR: "M6 6l12 12M18 6L6 18",
};

/** An element whose class and part have the same name. */
export function node(tag, name, text) {
  const created = document.createElement(tag);
  created.className = name;
  created.setAttribute("part", name);
  if (text !== undefined) created.textContent = text;
  return created;
}

/** Text of a vendor, cut to MAX_TEXT_LENGTH characters. */
export function shorten(text) {
  // Direction overrides would make `fdp.exe` read as `exe.pdf`.
  const plain = String(text)
    .slice(0, 4 * MAX_TEXT_LENGTH)
    .replace(/[\u202a-\u202e]/g, "");
  // An array of characters: a cut inside a surrogate pair would leave half of it.
  const characters = Array.from(plain.replace(/\p{Cc}+/gu, " "));
  return characters.length > MAX_TEXT_LENGTH
    ? `${characters.slice(0, MAX_TEXT_LENGTH).join("")}…`
    : characters.join("");
}

/** The children of the box. `emptyText` is shown when there are no rows and nothing is wrong. */
export function renderBox({ status, rows, emptyText, showsReset }, texts, language) {
  const line = node("p", "state");
  line.append(node("span", "dot"), node("span", "state-text", texts.states[status.state]));
  const children = [line];
  const problem = status.code && codeText(texts, status.code);
  if (problem || showsReset) children.push(node("p", "message", problem ?? texts.reset));
  if (rows.length > 0) {
    const list = node("ul", "list");
    list.append(...rows.map((row) => renderItem(row, texts, language)));
    children.push(list);
  } else if (!problem) {
    children.push(node("p", "empty", emptyText));
  }
  return children;
}

function renderItem({ event, isNew }, texts, language) {
  const item = node("li", "item");
  item.part.add(`item-${String(event.status).toLowerCase()}`);
  item.dataset.status = event.status;
  item.classList.toggle("is-new", isNew);
  const title = foreignText("title", event.title || event.vendorId || event.documentId);
  item.append(icon(event.status), title, node("span", "status", texts.statuses[event.status] ?? event.status));
  const problem = event.error && [event.error.code, event.error.message].filter(Boolean).join(": ");
  if (event.status === "ERROR" && problem) item.append(foreignText("problem", problem));
  const time = new Date(event.time);
  if (!Number.isNaN(time.valueOf())) {
    const shown = node("time", "time", formatTime(time, language));
    shown.dateTime = event.time;
    item.append(shown);
  }
  return item;
}

/** Text of a vendor in its own direction, isolated from the text around it. */
function foreignText(name, text) {
  const bdi = node("bdi", name, shorten(text));
  bdi.dir = "auto";
  return bdi;
}

function icon(status) {
  const span = node("span", "mark");
  span.setAttribute("aria-hidden", "true");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICON_PATHS[status] ?? "M12 12h.01");
  svg.append(path);
  span.append(svg);
  return span;
}

/** Today's times without a date. */
function formatTime(time, language) {
  const isToday = time.toDateString() === new Date().toDateString();
  const format = isToday ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(language, format).format(time);
}
