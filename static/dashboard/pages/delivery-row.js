// One delivery of an event to an endpoint, with its last attempt and a button that repeats it.

import { documentRoute } from "../route.js";
import { badge, element, foreign } from "../ui/dom.js";
import { errorText } from "../ui/error-text.js";
import { text } from "../ui/i18n.js";
import { relativeTime, timeElement } from "../ui/time.js";

/** An attempt that was just queued needs about this long. */
const REFRESH_AFTER_RETRY_MS = 1000;

/** Deliveries happen without an event, so pages that show them load them again at this interval. */
export const REFRESH_INTERVAL_MS = 3000;

/** A link to the document of a delivery, for pages about notifications. */
export function documentLink(delivery) {
  const id = element("code", {}, delivery.documentId.slice(0, 8));
  return element("a", { href: documentRoute(delivery.documentId), "data-key": `document-${delivery.id}` }, id);
}

/** Where a delivery goes: the name of its notification, or its callback URL. Undefined for a deleted notification. */
export function targetName(delivery) {
  const target = delivery.notification ?? delivery.callback;
  return target && element("strong", {}, foreign(target, 100));
}

/** A list item. `subject` is what the delivery belongs to; `onChange` is called after it was repeated. */
export function deliveryRow(session, delivery, { subject, onChange }) {
  const last = delivery.attempts.at(-1);
  const outcome = last && [last.status, last.reason].filter(Boolean).join(" · ");
  const isWaiting = delivery.nextAttempt && delivery.state === "pending";
  const notes = [
    delivery.attempts.length > 1 && text("attempts", { count: delivery.attempts.length }),
    outcome && foreign(outcome, 300),
    isWaiting && text("nextAttempt", { time: relativeTime(delivery.nextAttempt) }),
  ];
  return element(
    "li",
    {},
    element(
      "div",
      { class: "line" },
      badge(delivery.state),
      subject,
      timeElement(last?.time ?? delivery.createTime),
      notes.filter(Boolean).map((note) => element("span", { class: "quiet" }, note)),
      retryButton(session, delivery, onChange),
    ),
  );
}

function retryButton(session, delivery, onChange) {
  const onClick = async () => {
    button.disabled = true;
    try {
      await session.request(`/deliveries/${delivery.id}/retry`, { method: "POST" });
      button.textContent = text("queued");
      setTimeout(onChange, REFRESH_AFTER_RETRY_MS);
    } catch (error) {
      button.disabled = false;
      button.after(element("span", { role: "alert" }, errorText(error)));
    }
  };
  const label = text(delivery.state === "delivered" ? "sendAgain" : "retry");
  const properties = { type: "button", class: "small", "data-key": `retry-${delivery.id}`, click: onClick };
  const button = element("button", properties, label);
  return button;
}
