// Reads the claims of a token without verifying them. They only tell which requests are worth sending and which tabs may
// share a stream; the relay decides what a token allows.

/** The claims of a JWT; an empty object when `token` is not a JWT. */
export function readClaims(token) {
  try {
    const bytes = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    const json = new TextDecoder().decode(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
    return Object(JSON.parse(json));
  } catch {
    return {};
  }
}

/** Equal for tokens that grant the same access. Tabs share a stream only if their tokens do. */
export function accessKey(token) {
  const { exp, iat, nbf, jti, position, ...access } = readClaims(token);
  return Object.keys(access).length > 0 ? JSON.stringify(access) : token;
}

/** Whether `GET /documents` is likely to work. A ticket only opens streams, and browsers log each refused request. */
export function canReadDocuments(token) {
  const { scope, use } = readClaims(token);
  return use !== "ticket" && /(^| )(events|manage)( |$)/.test(scope);
}
