"""Runs oidc-provider-mock, and prints its address and an ID token of the user `acme` as one line of JSON. Ends with its
standard input."""

import json
import sys
from urllib.parse import parse_qs, urlparse

import httpx
from oidc_provider_mock import User, run_server_in_thread

USER = User(sub="acme", claims={"relay_roles": ["follower", "other"]})
CALLBACK = "http://127.0.0.1/callback"

with run_server_in_thread(user_claims=[USER]) as server:
    base = f"http://localhost:{server.server_port}"
    query = {"client_id": "relay", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid"}
    allowed = httpx.post(base + "/oauth2/authorize", params=query, data={"sub": USER.sub})
    code = parse_qs(urlparse(allowed.headers["location"]).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    token = httpx.post(base + "/oauth2/token", data=form, auth=("relay", "secret")).raise_for_status().json()
    report = {"issuer": base, "jwks": base + "/jwks", "tokens": {"RS256": token["id_token"]}}
    print(json.dumps(report), flush=True)
    sys.stdin.read()
