// Relative times that stay current, and exact ones.

import { element } from "./dom.js";
import { language } from "./i18n.js";

const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** A relative time such as `12 s ago`; empty if `time` is not a date. */
export function relativeTime(time) {
  const seconds = Math.round((new Date(time) - Date.now()) / 1000);
  if (Number.isNaN(seconds)) return "";
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  const format = new Intl.RelativeTimeFormat(language(), { style: "narrow", numeric: "auto" });
  return format.format(Math.trunc(seconds / length), unit);
}

/** Date and time of the browser's time zone; empty if `time` is not a date. */
export function exactTime(time) {
  const date = new Date(time);
  if (Number.isNaN(date.valueOf())) return "";
  return date.toLocaleString(language(), { dateStyle: "medium", timeStyle: "medium" });
}

/** A relative time that `updateTimes` keeps current, with the exact time as its tooltip. */
export function timeElement(time) {
  return element("time", { datetime: time, title: exactTime(time) }, relativeTime(time));
}

/** Updates all relative times of the page. */
export function updateTimes() {
  for (const shown of document.querySelectorAll("time[datetime]")) {
    const current = relativeTime(shown.dateTime);
    if (shown.textContent !== current) shown.textContent = current;
  }
}
