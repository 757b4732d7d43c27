// The errors that decide whether a stream is reconnected. Every other error counts as a lost connection.

/** The relay rejects the credentials or the request. Retrying with the same token does not help. */
export class RefusedError extends Error {
  /** `code` is the relay's error code, such as `auth_failed`, and a key of the translated texts. */
  constructor(code) {
    super(`refused: ${code}`);
    this.code = code;
  }
}

/** A failure that may go away without a new token; `code` is a key of the translated texts. */
export class TemporaryError extends Error {
  constructor(code) {
    super(`temporary failure: ${code}`);
    this.code = code;
  }
}

/** The relay no longer has all events after the requested position. The client must load its state again. */
export class ResetError extends Error {}
