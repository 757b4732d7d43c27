// Asks the relay at $RELAY without a token, follows the refusal to the metadata of the resource and of the authorization
// server with openid-client, and gets a token as client $CLIENT_ID with $CLIENT_SECRET. Prints a report as JSON.

import * as client from "openid-client";

const { RELAY, CLIENT_ID, CLIENT_SECRET } = process.env;

const unauthorized = await fetch(`${RELAY}/documents`);
const [, address] = /^Bearer resource_metadata="([^"]+)"$/.exec(unauthorized.headers.get("www-authenticate"));
const resource = await (await fetch(address)).json();
const [server] = resource.authorization_servers;

const discover = (secret, options = {}) =>
  client.discovery(new URL(server), CLIENT_ID, undefined, client.ClientSecretBasic(secret), {
    ...options,
    // The relay of the test has no TLS.
    execute: [client.allowInsecureRequests],
  });

const config = await discover(CLIENT_SECRET, { algorithm: "oauth2" });
// By default the library looks for OpenID Connect.
const byDefault = await discover(CLIENT_SECRET);
const token = await client.clientCredentialsGrant(config, { scope: "manage" });
const documents = await client.fetchProtectedResource(config, token.access_token, new URL("/documents", RELAY), "GET");
const refused = await client.clientCredentialsGrant(await discover("wrong")).then(
  () => "accepted",
  (error) => error.status,
);
const report = {
  scope: token.scope,
  documents: documents.status,
  refused,
  byDefault: byDefault.serverMetadata().token_endpoint === config.serverMetadata().token_endpoint,
  resource: resource.resource === RELAY && resource.bearer_methods_supported.includes("header"),
};
console.log(JSON.stringify(report));
