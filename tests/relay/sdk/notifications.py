"""Manages notifications of the relay at $ENDPOINT with Baidu's Python SDK, as client $AK with secret $SK. Prints a report as
JSON.

The SDK has no client for documents. Its base client signs, sends and parses for all clients.
"""

import functools
import json
import os

from baidubce import bce_base_client, bce_client_configuration, exception
from baidubce.auth import bce_credentials, bce_v1_signer
from baidubce.http import bce_http_client, handler, http_content_types, http_headers, http_methods
from baidubce.retry import retry_policy


class DocClient(bce_base_client.BceBaseClient):
    """A client like those of the SDK's services."""

    def _compute_service_id(self):
        return b"doc"

    def send(self, method, path, body=None, signed=None):
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


def error_of(call):
    try:
        call()
    except exception.BceHttpClientError as error:
        return {"status": error.status_code, "code": error.code, "named": bool(error.request_id)}
    return None


def main():
    doc = client(os.environ["SK"])
    one, collection = b"/v2/notification/python_sdk", b"/v2/notification"
    new = {"name": "python_sdk", "endpoint": os.environ["TARGET"]}
    created = doc.send(http_methods.POST, collection, new)
    duplicate = error_of(lambda: doc.send(http_methods.POST, collection, new))
    got = doc.send(http_methods.GET, one)
    listed = doc.send(http_methods.GET, collection, signed=[b"host", b"content-type"])
    forged = error_of(lambda: client("wrong").send(http_methods.GET, collection))
    removed = doc.send(http_methods.DELETE, one)
    missing = error_of(lambda: doc.send(http_methods.GET, one))
    report = {
        "named": bool(created.metadata.bce_request_id and removed.metadata.bce_request_id),
        "again": duplicate,
        "got": {"name": got.name, "endpoint": got.endpoint, "isDefault": got.is_default, "time": got.create_time},
        "listed": [n.name for n in listed.notifications],
        "forged": forged,
        "missing": missing,
    }
    print(json.dumps(report))


main()
