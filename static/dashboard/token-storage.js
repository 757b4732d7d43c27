// Where the token comes from and where it is kept: in the session storage of the tab. A browser may disable storage; then
// the token lasts until the page is closed.

const STORAGE_KEY = "docrelay-token";

export function saveToken(token) {
  try {
    sessionStorage.setItem(STORAGE_KEY, token);
  } catch {
    // Storage is disabled.
  }
}

export function deleteToken() {
  try {
    sessionStorage.removeItem(STORAGE_KEY);
  } catch {
    // Storage is disabled.
  }
}

/** The stored token, or null. */
export function savedToken() {
  try {
    return sessionStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}

/** The token of `#token=…`, or null. It is removed from the URL, which may be shown, shared and stored. */
export function takeTokenFromUrl() {
  if (!location.hash.startsWith("#token=")) return null;
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);
  return token;
}
