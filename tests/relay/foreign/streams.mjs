// Follows the stream of the relay at $RELAY with $TOKEN and the package $LIBRARY, a version of eventsource. Prints a line
// for each opening, event and refusal.

const { RELAY, TOKEN, LIBRARY } = process.env;
const { EventSource } = await import(LIBRARY);

// From version 5 on, the library does not keep the process running while it waits to reconnect.
const running = setInterval(() => {}, 60_000);

const withToken = (input, init) =>
  fetch(input, { ...init, headers: { ...init?.headers, Authorization: `Bearer ${TOKEN}` } });

const url = new URL("/events/client", RELAY);
if (LIBRARY === "eventsource") {
  // Up to version 3, the library ignores the position in the opening, a block without data.
  const list = await (await withToken(`${RELAY}/documents?limit=1`)).json();
  url.searchParams.set("last_event_id", list.lastEventId);
}
const stream = new EventSource(url, { fetch: withToken });
stream.addEventListener("open", () => console.log("open"));
stream.addEventListener("message", (message) => console.log("event", JSON.parse(message.data).documentId));
stream.addEventListener("reset", (message) => console.log("reset", message.data));
stream.addEventListener("error", (error) => {
  // Without data, the connection was lost: the library reconnects.
  if (error.data === undefined) return;
  stream.close();
  clearInterval(running);
  console.log("refused", error.data);
});
