// Runs oauth2-mock-server with a key of each type, and prints its address and a token of each key for the client `acme` as
// one line of JSON. Ends with its standard input.

import { OAuth2Server } from "oauth2-mock-server";

const server = new OAuth2Server();
const algorithms = ["RS256", "ES256", "EdDSA"];
const keys = [];
for (const algorithm of algorithms) {
  keys.push(await server.issuer.keys.generate(algorithm));
}
await server.start(0, "127.0.0.1");

const tokens = {};
for (const [index, { kid }] of keys.entries()) {
  tokens[algorithms[index]] = await server.issuer.buildToken({
    kid,
    scopesOrTransform: (_header, payload) => {
      Object.assign(payload, { sub: "acme", aud: "https://relay.example", scope: "openid events" });
    },
  });
}
const { port } = server.address();
console.log(JSON.stringify({ issuer: server.issuer.url, jwks: `http://localhost:${port}/jwks`, tokens }));
process.stdin.resume();
process.stdin.on("end", () => process.exit());
