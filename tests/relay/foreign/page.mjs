// Follows the stream with the browser's EventSource and three packages, each into a list of its own. `relay` and `token` are
// variables of the page.

import { fetchEventSource } from "@microsoft/fetch-event-source";
import { EventSourcePolyfill } from "event-source-polyfill";
import ReconnectingEventSource from "reconnecting-eventsource";

const url = `${relay}/events/client`;
const headers = { Authorization: `Bearer ${token}` };

function lines(name) {
  const list = document.createElement("ul");
  list.id = name;
  document.body.append(list);
  return (...words) => {
    const item = document.createElement("li");
    item.textContent = words.join(" ");
    list.append(item);
  };
}

function follow(name, stream) {
  const show = lines(name);
  // reconnecting-eventsource has no open event, only the property.
  stream.onopen = () => show("open");
  stream.addEventListener("message", (message) => show("event", JSON.parse(message.data).documentId));
  stream.addEventListener("reset", (message) => show("reset", message.data));
  stream.addEventListener("error", (error) => {
    // Without data, the connection was lost: the library reconnects.
    if (error.data === undefined) return;
    stream.close();
    show("refused", error.data);
  });
}

follow("EventSource", new EventSource(`${url}?token=${token}`));
follow("reconnecting-eventsource", new ReconnectingEventSource(`${url}?token=${token}`));

async function followWithPolyfill() {
  // The package ignores the position in the opening, a block without data. It replaces the parameter when it reconnects.
  const list = await (await fetch(`${relay}/documents?limit=1`, { headers })).json();
  follow("event-source-polyfill", new EventSourcePolyfill(`${url}?lastEventId=${list.lastEventId}`, { headers }));
}
followWithPolyfill();

function followWithFetchEventSource() {
  const show = lines("fetch-event-source");
  const stop = new AbortController();
  let lastId = "";
  fetchEventSource(url, {
    signal: stop.signal,
    // The library moves its own position on as soon as it reads an id, before the event is complete.
    fetch: (input, init) =>
      fetch(input, { ...init, headers: { ...headers, Accept: "text/event-stream", "Last-Event-ID": lastId } }),
    onopen: async () => show("open"),
    // Also called for blocks without data.
    onmessage: ({ id, event, data }) => {
      if (event === "error") {
        stop.abort();
        return show("refused", data);
      }
      if (event === "reset") show("reset", data);
      else if (data) show("event", JSON.parse(data).documentId);
      lastId = id || lastId;
    },
    // The end of a response is an error: otherwise the library does not reconnect.
    onclose: () => {
      throw new Error("the stream has ended");
    },
  });
}
followWithFetchEventSource();
