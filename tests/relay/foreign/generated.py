"""Uses the client that openapi-python-client has generated from docs/openapi.json, at the relay at $RELAY with $TOKEN: makes
a notification for $ENDPOINT, and follows the stream. Prints a report as JSON."""

import json
import os

import httpx_sse
from docrelay_api import AuthenticatedClient
from docrelay_api.api.deliveries import list_deliveries
from docrelay_api.api.documents import get_history, list_documents, register_document
from docrelay_api.api.hooks import add_hook
from docrelay_api.api.notifications import create_notification, delete_notification, list_notifications
from docrelay_api.api.stream import follow_stream, make_ticket
from docrelay_api.models import (
    Event,
    Format,
    NewDocument,
    NewHook,
    NewNotification,
    NewTicket,
    Status,
    Vendor,
    VerifyType2,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def follow(client, **parameters):
    """The events of the stream. The generated function reads a whole response, and a stream has no end: only the request is
    the generated one."""
    request = follow_stream._get_kwargs(**parameters)
    with httpx_sse.connect_sse(client.get_httpx_client(), request.pop("method"), request.pop("url"), **request) as stream:
        for message in stream.iter_sse():
            if message.event == "message" and message.data:
                yield Event.from_dict(json.loads(message.data))


def main():
    client = AuthenticatedClient(os.environ["RELAY"], os.environ["TOKEN"], raise_on_unexpected_status=True)
    new = NewNotification("main", os.environ["ENDPOINT"], Format.STANDARD, is_default=True, secret=[SECRET])
    created = create_notification.sync(client=client, body=new)
    verify = VerifyType2("standard", SECRET)
    hook = add_hook.sync(client=client, body=NewHook(Vendor.STANDARD, verify, name="generated"))
    document = NewDocument(Vendor.STANDARD, "job-1", title="a.docx", notification="main")
    registered = register_document.sync(client=client, body=document)
    ticket = make_ticket.sync(client=client, body=NewTicket(documents=[registered.document_id]))
    event = next(follow(client, document=[str(registered.document_id)], status=[Status.PENDING], last_event_id="earliest"))
    documents = list_documents.sync(client=client, vendor=Vendor.STANDARD, vendor_id="job-1")
    history = get_history.sync(str(registered.document_id), client=client)
    deliveries = list_deliveries.sync(client=client, notification="main")
    listed = list_notifications.sync(client=client)
    removed = delete_notification.sync_detailed("main", client=client)
    report = {
        "notification": [created.name, created.format_, created.state, created.is_default],
        "hook": [hook.vendor, hook.verify.type_, hook.name],
        "ticket": ticket.expires_in > 0,
        "event": [event.vendor_id, event.title, event.status],
        "isSame": event.document_id == registered.document_id == documents.documents[0].document_id,
        "history": [past.event_id == registered.event_id for past in history.events],
        "deliveries": [delivery.event_id == registered.event_id for delivery in deliveries.deliveries],
        "listed": [notification.name for notification in listed.notifications],
        "removed": removed.status_code,
    }
    print(json.dumps(report))


main()
