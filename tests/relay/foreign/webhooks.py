"""Standard Webhooks and CloudEvents with the packages standardwebhooks, svix and cloudevents, as $TASK says. Prints a report
as JSON."""

import datetime
import json
import os

import httpx
import standardwebhooks
import svix
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

LIBRARIES = {"standardwebhooks": standardwebhooks.Webhook, "svix": svix.Webhook}


def verify():
    """Whether each library accepts the delivery with $HEADERS and $BODY, and whether it accepts a changed body."""

    def accepts(webhook, body):
        try:
            webhook(os.environ["SECRET"]).verify(body, json.loads(os.environ["HEADERS"]))
            return True
        except standardwebhooks.WebhookVerificationError:
            return False

    body = os.environ["BODY"]
    return {name: [accepts(webhook, body), accepts(webhook, body + " ")] for name, webhook in LIBRARIES.items()}


def send():
    """Sends a webhook to $HOOK with the headers of each library. Returns the status for a correct and for a wrong secret."""
    report = {}
    for name, prefix in [("standardwebhooks", "webhook"), ("svix", "svix")]:

        def status_for(secret, message_id):
            body = json.dumps({"type": "document.completed", "data": {"id": f"python {name}"}})
            now = datetime.datetime.now(datetime.timezone.utc)
            headers = {
                "Content-Type": "application/json",
                f"{prefix}-id": message_id,
                f"{prefix}-timestamp": str(int(now.timestamp())),
                f"{prefix}-signature": LIBRARIES[name](secret).sign(message_id, now, body),
            }
            return httpx.post(os.environ["HOOK"], content=body, headers=headers).status_code

        secret = os.environ["SECRET"]
        report[name] = [status_for(secret, f"msg_python_{name}"), status_for("whsec_AAAA", "msg_python_wrong")]
    return report


def send_cloud_events():
    """Sends one CloudEvent to $HOOK in both modes. Returns the event ids of the responses."""
    attributes = {
        "specversion": "1.0",
        "id": "python",
        "source": "/jobs",
        "type": "com.example.document.completed.v1",
        "subject": "python cloudevents",
    }
    event = CloudEvent(attributes, {"pages": 3})
    messages = [to_binary_event(event), to_structured_event(event)]
    responses = [httpx.post(os.environ["HOOK"], content=m.body, headers=m.headers) for m in messages]
    return [response.raise_for_status().headers["docrelay-event-id"] for response in responses]


TASKS = {"verify": verify, "send": send, "sendCloudEvents": send_cloud_events}
print(json.dumps(TASKS[os.environ["TASK"]]()))
