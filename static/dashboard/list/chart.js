// The chart of events per minute, as inline SVG; colors come from the style sheet. A text alternative gives the totals.

import { MINUTE_MS } from "../document-store.js";
import { noCounts, STATUSES } from "../statuses.js";
import { element } from "../ui/dom.js";
import { formatNumber, language, text } from "../ui/i18n.js";

const HEIGHT = 112;
const LEFT = 38;
const TOP = 6;
const BASELINE = HEIGHT - 20;
const BARS = 60;
/** From the baseline upward. */
const STACK_ORDER = ["COMPLETED", "PENDING", "ERROR"];

/** Draws the hour that ends with the present minute. `minutes` maps minutes to counts by status. */
export function drawChart(container, minutes, now = Date.now()) {
  const columns = lastHour(minutes, now);
  const maximum = Math.max(...columns.map(({ counts }) => sum(counts)));
  const totals = noCounts();
  for (const { counts } of columns) for (const status of STATUSES) totals[status] += counts[status];
  const caption = element("figcaption", {}, element("h2", {}, text("perMinute")), legend(totals));
  container.replaceChildren(caption, picture(columns, { width: availableWidth(container), maximum, totals }));
}

/** The smallest of 1, 2, 5, 10, 20, … that is not below `value`. */
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function lastHour(minutes, now) {
  const last = now - (now % MINUTE_MS);
  return Array.from({ length: BARS }, (_, index) => {
    const time = last - (BARS - 1 - index) * MINUTE_MS;
    return { time, counts: minutes.get(time) ?? noCounts() };
  });
}

function sum(counts) {
  return STATUSES.reduce((total, status) => total + counts[status], 0);
}

/** One unit of the picture is one pixel, so that texts and bars keep their size. */
function availableWidth(container) {
  return Math.max(260, container.clientWidth - 34);
}

function picture(columns, { width, maximum, totals }) {
  const scale = roundUp(maximum);
  const step = (width - LEFT) / BARS;
  const root = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", class: "chart" });
  root.append(gridLine(0, BASELINE, width));
  if (maximum > 0) root.append(gridLine(scale, TOP, width));
  columns.forEach((column, index) => {
    if (sum(column.counts) > 0) root.append(bar(column, { x: LEFT + index * step + 1, width: step - 2, scale }));
  });
  for (const minutes of [60, 45, 30, 15]) {
    const label = text("minutesAgo", { count: minutes });
    const anchor = minutes === BARS ? "axis" : "axis middle";
    root.append(svg("text", { x: LEFT + (BARS - minutes) * step, y: HEIGHT - 3, class: anchor }, label));
  }
  root.append(svg("text", { x: width, y: HEIGHT - 3, class: "axis end" }, text("now")));
  const total = sum(totals);
  const summary = total === 0 ? text("chartEmpty") : text("chartSummary", { total, maximum, ...totals });
  root.setAttribute("aria-label", summary);
  return root;
}

function gridLine(value, y, width) {
  return svg(
    "g",
    {},
    svg("line", { x1: LEFT, x2: width, y1: y, y2: y, class: "grid" }),
    svg("text", { x: LEFT - 6, y: y + 3.5, class: "axis end" }, formatNumber(value)),
  );
}

/** The events of one minute, stacked by status. */
function bar({ time, counts }, { x, width, scale }) {
  const clock = new Date(time).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit" });
  const parts = STATUSES.filter((status) => counts[status] > 0);
  const tooltip = parts.map((status) => `${text(status)} ${formatNumber(counts[status])}`).join(", ");
  const group = svg("g", {}, svg("title", {}, `${clock}: ${tooltip}`));
  let y = BASELINE;
  for (const status of STACK_ORDER.filter((status) => counts[status] > 0)) {
    // A single event among thousands must stay visible.
    const height = Math.max((counts[status] / scale) * (BASELINE - TOP), 1.5);
    y -= height;
    group.append(svg("rect", { x, y, width, height, rx: 1, "data-kind": status }));
  }
  return group;
}

function legend(totals) {
  const entries = STACK_ORDER.map((status) =>
    element("span", { "data-kind": status }, `${text(status)} ${formatNumber(totals[status])}`),
  );
  return element("p", { class: "legend" }, entries);
}

function svg(name, attributes, ...children) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, String(value));
  created.append(...children);
  return created;
}
