// Standard Webhooks and CloudEvents with the packages standardwebhooks, svix and cloudevents, as $TASK says. Prints a report
// as JSON.

import { CloudEvent, emitterFor, httpTransport, Mode } from "cloudevents";
import * as standardwebhooks from "standardwebhooks";
import * as svix from "svix";

const { TASK, SECRET, HOOK, HEADERS, BODY } = process.env;

const LIBRARIES = { standardwebhooks: standardwebhooks.Webhook, svix: svix.Webhook };

// Whether each library accepts the delivery with $HEADERS and $BODY, and whether it accepts a changed body.
function verify() {
  const accepts = (Webhook, body) => {
    try {
      new Webhook(SECRET).verify(body, JSON.parse(HEADERS));
      return true;
    } catch (error) {
      if (error instanceof standardwebhooks.WebhookVerificationError) return false;
      throw error;
    }
  };
  const both = ([name, Webhook]) => [name, [accepts(Webhook, BODY), accepts(Webhook, `${BODY} `)]];
  return Object.fromEntries(Object.entries(LIBRARIES).map(both));
}

// Sends a webhook to $HOOK with the headers of each library. Returns the status for a correct and for a wrong secret.
async function send() {
  const report = {};
  for (const [name, prefix] of [["standardwebhooks", "webhook"], ["svix", "svix"]]) {
    const statusFor = async (secret, id) => {
      const [body, time] = [JSON.stringify({ type: "document.completed", data: { id: `node ${name}` } }), new Date()];
      const headers = {
        "Content-Type": "application/json",
        [`${prefix}-id`]: id,
        [`${prefix}-timestamp`]: String(Math.floor(time / 1000)),
        [`${prefix}-signature`]: new LIBRARIES[name](secret).sign(id, time, body),
      };
      return (await fetch(HOOK, { method: "POST", headers, body })).status;
    };
    report[name] = [await statusFor(SECRET, `msg_node_${name}`), await statusFor("whsec_AAAA", "msg_node_wrong")];
  }
  return report;
}

// Sends one CloudEvent to $HOOK in both modes. Returns the event ids of the responses.
async function sendCloudEvents() {
  const type = "com.example.document.completed.v1";
  const event = new CloudEvent({ id: "node", source: "/jobs", type, subject: "node cloudevents", data: { pages: 3 } });
  const ids = [];
  for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
    const response = await emitterFor(httpTransport(HOOK), { mode })(event);
    ids.push(response.headers["docrelay-event-id"]);
  }
  return ids;
}

console.log(JSON.stringify(await { verify, send, sendCloudEvents }[TASK]()));
