// A vendor's request as text.

/** The method, the headers and the body of a stored request; a JSON body is indented. */
export function requestText(request) {
  const lines = [`${request.method}${request.query ? ` ?${request.query}` : ""}`];
  for (const [name, value] of Object.entries(request.headers ?? {})) lines.push(`${name}: ${value}`);
  const body = request.body === undefined ? request.bodyBase64 : indentJson(request.body);
  return lines.join("\n") + (body ? `\n\n${body}` : "");
}

function indentJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
