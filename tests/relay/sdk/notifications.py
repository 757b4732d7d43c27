"""Baidu's Python SDK manages notifications of the relay at $ENDPOINT as client $AK with $SK; prints what it saw as JSON.

The SDK has no client of its own for documents: its base client signs, sends and reads as all of them do.
"""

import functools
import json
import os

from baidubce import bce_base_client, bce_client_configuration, exception
from baidubce.auth import bce_credentials, bce_v1_signer
from baidubce.http import bce_http_client, handler, http_content_types, http_headers, http_methods
from baidubce.retry import retry_policy


class DocClient(bce_base_client.BceBaseClient):
    """What the SDK would have, were there a service of that name."""

    def _compute_service_id(self):
        return b"doc"

    def ask(self, method, path, body=None, signed=None):
        headers = {http_headers.CONTENT_TYPE: http_content_types.JSON}
        sign = functools.partial(bce_v1_signer.sign, headers_to_sign=signed) if signed else bce_v1_signer.sign
        handlers = [handler.parse_error, handler.parse_json]
        body = body and json.dumps(body)
        return bce_http_client.send_request(self.config, sign, handlers, method, path, body, headers, None)


def client(secret):
    return DocClient(
        bce_client_configuration.BceClientConfiguration(
            credentials=bce_credentials.BceCredentials(os.environ["AK"], secret),
            endpoint=os.environ["ENDPOINT"],
            retry_policy=retry_policy.NoRetryPolicy(),
        )
    )


def refused(do):
    try:
        do()
    except exception.BceHttpClientError as error:
        return {"status": error.status_code, "code": error.code, "named": bool(error.request_id)}
    return None


def main():
    doc = client(os.environ["SK"])
    one, collection = b"/v2/notification/python_sdk", b"/v2/notification"
    new = {"name": "python_sdk", "endpoint": os.environ["TARGET"]}
    made = doc.ask(http_methods.POST, collection, new)
    again = refused(lambda: doc.ask(http_methods.POST, collection, new))
    got = doc.ask(http_methods.GET, one)
    listed = doc.ask(http_methods.GET, collection, signed=[b"host", b"content-type"])
    forged = refused(lambda: client("wrong").ask(http_methods.GET, collection))
    gone = doc.ask(http_methods.DELETE, one)
    missing = refused(lambda: doc.ask(http_methods.GET, one))
    seen = {
        "named": bool(made.metadata.bce_request_id and gone.metadata.bce_request_id),
        "again": again,
        "got": {"name": got.name, "endpoint": got.endpoint, "isDefault": got.is_default, "time": got.create_time},
        "listed": [n.name for n in listed.notifications],
        "forged": forged,
        "missing": missing,
    }
    print(json.dumps(seen))


main()
