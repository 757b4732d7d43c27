"""Finds the token endpoint of the relay at $RELAY with Authlib, gets tokens as client $CLIENT_ID with $CLIENT_SECRET, and
verifies them with PyJWT. Prints a report as JSON."""

import base64
import json
import os

import httpx
import jwt
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

RELAY = os.environ["RELAY"]

# The relay of the test has no TLS.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
METADATA = AuthorizationServerMetadata(httpx.get(get_well_known_url(RELAY, external=True)).raise_for_status().json())
METADATA.validate()
KEYS = jwt.PyJWKClient(METADATA["jwks_uri"])


def client(secret, method):
    return OAuth2Client(
        os.environ["CLIENT_ID"],
        secret,
        scope="manage",
        token_endpoint=METADATA["token_endpoint"],
        token_endpoint_auth_method=method,
        grant_type="client_credentials",
    )


def claims_of(token):
    key = KEYS.get_signing_key_from_jwt(token)
    return jwt.decode(token, key, algorithms=["EdDSA"], issuer="docrelay", audience="docrelay")


def report_of(method):
    with client(os.environ["CLIENT_SECRET"], method) as oauth:
        token = oauth.fetch_token()
        documents = oauth.get(RELAY + "/documents").status_code
    claims = claims_of(token["access_token"])
    try:
        client("wrong", method).fetch_token()
        refused = "accepted"
    except OAuthError as error:
        refused = error.error
    # The changed claims keep the signature.
    head, _, signature = token["access_token"].split(".")
    changed = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "other"}).encode()).rstrip(b"=").decode()
    try:
        claims_of(".".join([head, changed, signature]))
        forged = "accepted"
    except jwt.InvalidSignatureError:
        forged = "rejected"
    return {
        "expired": token.is_expired(),
        "scope": token["scope"],
        "documents": documents,
        "sub": claims["sub"],
        "refused": refused,
        "forged": forged,
    }


print(json.dumps({"header": report_of("client_secret_basic"), "body": report_of("client_secret_post")}))
