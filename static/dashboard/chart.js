// Events per minute over the last hour, as inline SVG: colours come from the style sheet, numbers from the store. What the
// picture says is also said in words.

const CHART = { height: 112, left: 38, bottom: 20, top: 6, bars: 60 };

function shape(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** A round number that is not below: 1, 2, 5, 10, 20 … */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}

/** Draws the hour that ends with the present minute. */
function drawChart(place, minutes, now = Date.now()) {
  const { height, left, bottom, top, bars } = CHART;
  // As wide as there is room, so that letters and bars keep their size.
  const width = Math.max(260, place.clientWidth - 34);
  const last = now - (now % MINUTE);
  const columns = Array.from({ length: bars }, (_, at) => {
    const time = last - (bars - 1 - at) * MINUTE;
    return { time, counts: minutes.get(time) };
  });
  const sum = (counts) => (counts ? STATUSES.reduce((all, status) => all + counts[status], 0) : 0);
  const most = Math.max(...columns.map(({ counts }) => sum(counts)));
  const scale = roundUp(most);
  const floor = height - bottom;
  const high = (count) => (count / scale) * (floor - top);
  const step = (width - left) / bars;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart" });
  for (const [value, y] of most > 0 ? [[scale, top], [0, floor]] : [[0, floor]]) {
    svg.append(shape("line", { x1: left, x2: width, y1: y, y2: y, class: "grid" }));
    svg.append(shape("text", { x: left - 6, y: y + 3.5, class: "axis end" }, number(value)));
  }
  const totals = { PENDING: 0, COMPLETED: 0, ERROR: 0 };
  for (const [at, { time, counts }] of columns.entries()) {
    if (!counts) continue;
    const clock = new Date(time).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });
    const said = STATUSES.filter((status) => counts[status] > 0).map((status) => `${word(status)} ${number(counts[status])}`);
    const column = shape("g", {}, shape("title", {}, `${clock}: ${said.join(", ")}`));
    let y = floor;
    for (const status of ["COMPLETED", "PENDING", "ERROR"]) {
      totals[status] += counts[status];
      if (counts[status] === 0) continue;
      // A single event among thousands is still to be seen.
      const tall = Math.max(high(counts[status]), 1.5);
      y -= tall;
      column.append(shape("rect", { x: left + at * step + 1, y, width: step - 2, height: tall, rx: 1, "data-kind": status }));
    }
    svg.append(column);
  }
  for (const ahead of [60, 45, 30, 15]) {
    const text = word("minutesAgo", { count: ahead });
    svg.append(shape("text", { x: left + (bars - ahead) * step, y: height - 3, class: ahead === 60 ? "axis" : "axis middle" }, text));
  }
  svg.append(shape("text", { x: width, y: height - 3, class: "axis end" }, word("now")));
  const total = sum(totals);
  svg.setAttribute("aria-label", total === 0 ? word("chartQuiet") : word("chartSays", { total, most, ...totals }));
  const legend = build("p", { class: "legend" }, ...["COMPLETED", "PENDING", "ERROR"].map((status) =>
    build("span", { "data-kind": status }, `${word(status)} ${number(totals[status])}`)));
  place.replaceChildren(build("figcaption", {}, build("h2", {}, word("perMinute")), legend), svg);
}
