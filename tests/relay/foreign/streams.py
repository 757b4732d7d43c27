"""Follows the stream of the relay at $RELAY with $TOKEN and the package $LIBRARY. Prints a line for each opening, event and
refusal.

Both packages parse only; the program reconnects.
"""

import json
import os
import time

import httpx
import httpx_sse
import sseclient

URL = os.environ["RELAY"] + "/events/client"
AUTHORIZATION = {"Authorization": "Bearer " + os.environ["TOKEN"]}


def with_httpx_sse(http, headers):
    with httpx_sse.connect_sse(http, "GET", URL, headers=headers) as stream:
        yield None
        yield from stream.iter_sse()


def with_sseclient(http, headers):
    with http.stream("GET", URL, headers=headers) as response:
        yield None
        yield from sseclient.SSEClient(response.iter_raw()).events()


def start_position(http):
    """The position that sseclient-py starts from: it does not show the one of the opening, a block without data."""
    return http.get(os.environ["RELAY"] + "/documents?limit=1", headers=AUTHORIZATION).json()["lastEventId"]


def show(line, *values):
    print(line, *values, flush=True)


def main():
    wait = 3.0
    with httpx.Client(timeout=httpx.Timeout(10.0, read=45.0)) as http:
        is_sseclient = os.environ["LIBRARY"] == "sseclient-py"
        follow = with_sseclient if is_sseclient else with_httpx_sse
        last_id = start_position(http) if is_sseclient else ""
        while True:
            headers = AUTHORIZATION | ({"Last-Event-ID": last_id} if last_id else {})
            try:
                for message in follow(http, headers):
                    if message is None:
                        show("open")
                        continue
                    if message.retry is not None:
                        wait = int(message.retry) / 1000
                    if message.event == "error" and message.data:
                        return show("refused", message.data)
                    if message.event == "reset":
                        show("reset", message.data)
                    elif message.event == "message" and message.data:
                        show("event", json.loads(message.data)["documentId"])
                    last_id = message.id or last_id
            except (httpx.TransportError, json.JSONDecodeError):
                # At a cut, sseclient-py also yields the event of which only the beginning has arrived.
                pass
            time.sleep(wait)


main()
