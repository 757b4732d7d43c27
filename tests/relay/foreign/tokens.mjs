// Gets tokens of the relay at $RELAY with simple-oauth2, as client $CLIENT_ID with $CLIENT_SECRET, and verifies them with
// jose. Prints a report as JSON.

import { createRemoteJWKSet, errors, jwtVerify } from "jose";
import { ClientCredentials } from "simple-oauth2";

const { RELAY, CLIENT_ID, CLIENT_SECRET } = process.env;

const keys = createRemoteJWKSet(new URL("/.well-known/jwks.json", RELAY));
const options = { issuer: "docrelay", audience: "docrelay", algorithms: ["EdDSA"] };

const getToken = (secret, authorizationMethod) =>
  new ClientCredentials({
    client: { id: CLIENT_ID, secret },
    auth: { tokenHost: RELAY, tokenPath: "/oauth/token" },
    options: { authorizationMethod },
  }).getToken({ scope: "manage" });

const report = {};
// HTTP Basic and the form.
for (const method of ["header", "body"]) {
  const issued = await getToken(CLIENT_SECRET, method);
  const { access_token: token, token_type, scope } = issued.token;
  const documents = await fetch(`${RELAY}/documents`, { headers: { Authorization: `${token_type} ${token}` } });
  const { payload } = await jwtVerify(token, keys, options);
  const refused = await getToken("wrong", method).catch((error) => [error.output.statusCode, error.data.payload.error]);
  // The changed claims keep the signature.
  const [head, claims, signature] = token.split(".");
  const changed = Buffer.from(JSON.stringify({ ...payload, sub: "other" })).toString("base64url");
  const forged = await jwtVerify([head, changed, signature].join("."), keys, options).then(
    () => "accepted",
    (error) => (error instanceof errors.JWSSignatureVerificationFailed ? "rejected" : String(error)),
  );
  report[method] = { expired: issued.expired(), scope, documents: documents.status, sub: payload.sub, refused, forged };
}
console.log(JSON.stringify(report));
