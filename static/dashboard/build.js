// Building pieces of a page from values. Text becomes text nodes and nothing else: whatever a vendor says, it is shown and
// never read as markup. Directions do not leak out of <bdi>.

const byId = (id) => document.getElementById(id);

/** `build("a", { href: "#/" }, "text", …)`; functions among the properties listen to events, `undefined` is left out. */
function build(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Somebody else's text, in its own direction. Marks that override directions go: they make `fdp.exe` look like `exe.pdf`. */
function foreign(text, longest = Infinity) {
  const whole = String(text ?? "").replace(/[\u202a-\u202e]/g, "");
  return build("bdi", {}, whole.length > longest ? `${whole.slice(0, longest)}…` : whole);
}

/** A status in words, with a shape and a colour of its own. */
function badge(kind, text = word(kind)) {
  return build("span", { class: "badge", "data-kind": kind }, text);
}

const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** `12 s ago`, in words of the language. */
function ago(time) {
  const seconds = Math.round((new Date(time) - Date.now()) / 1000);
  if (Number.isNaN(seconds)) return "";
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(language, { style: "narrow", numeric: "auto" }).format(Math.trunc(seconds / length), unit);
}

/** An age that grows by itself, with the exact time for those who point at it. */
function age(time) {
  return build("time", { datetime: time, title: exact(time) }, ago(time));
}

function exact(time) {
  const at = new Date(time);
  return Number.isNaN(at.valueOf()) ? "" : at.toLocaleString(language, { dateStyle: "medium", timeStyle: "medium" });
}

/** All ages on the page, as they are now. */
function growOlder() {
  for (const place of document.querySelectorAll("time[datetime]")) {
    const text = ago(place.dateTime);
    if (place.textContent !== text) place.textContent = text;
  }
}

/** Names and values, those without a value left out. */
function facts(...pairs) {
  const list = build("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    if (value === undefined || value === null || value === false || value === "") continue;
    list.append(build("div", {}, build("dt", {}, name), build("dd", {}, value)));
  }
  return list;
}

/** A value of several lines, that can be scrolled with the keyboard. */
function block(text, label) {
  return build("pre", { tabindex: "0", role: "region", "aria-label": label }, build("bdi", {}, String(text ?? "")));
}

/** JSON as people read it; text that is none as it is. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** A vendor's request as it came. */
function request(raw) {
  const head = [`${raw.method}${raw.query ? ` ?${raw.query}` : ""}`];
  for (const [name, value] of Object.entries(raw.headers ?? {})) head.push(`${name}: ${value}`);
  const body = raw.body === undefined ? raw.bodyBase64 : pretty(raw.body);
  return head.join("\n") + (body ? `\n\n${body}` : "");
}

/** A button that copies, and says that it has. Without the clipboard (plain http) the text is selected and copied so. */
function copyButton(text, source) {
  return build("button", { type: "button", class: "small", click: async ({ currentTarget }) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    currentTarget.textContent = word("copied");
    setTimeout(() => (currentTarget.textContent = word("copy")), 2000);
  } }, word("copy"));
}

/** A place without anything in it yet, and what to do about that. */
function empty(headline, ...help) {
  return build("div", { class: "empty" }, build("p", { class: "headline" }, headline), ...help);
}
