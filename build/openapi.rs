//! An OpenAPI document as Markdown: each operation with its parameters, bodies and responses, and each schema. Covers
//! the parts of OpenAPI that `docs/openapi.json` uses.

use serde_json::Value;

/// Writes the whole document.
///
/// # Errors
///
/// A document that is not JSON.
pub(crate) fn to_markdown(document: &str) -> Result<String, serde_json::Error> {
    let root: Value = serde_json::from_str(document)?;
    let mut out = format!("# API\n\n{}\n\n", text(&root["info"]["description"]));
    out += "For programs: [openapi.json](openapi.json), and [asyncapi.json](asyncapi.json) for the stream.\n\n";
    for tag in root["tags"].as_array().into_iter().flatten() {
        out += &format!("## {}\n\n{}\n\n", text(&tag["name"]), text(&tag["description"]));
        for (path, item) in members(&root["paths"]) {
            let shared = resolved(&root, item);
            for (method, operation) in members(shared).filter(|(_, o)| o["tags"][0] == tag["name"]) {
                out += &operation_section(&root, path, method, shared, operation);
            }
        }
    }
    out += "## Schemas\n\n";
    for (name, schema) in members(&root["components"]["schemas"]) {
        let json = serde_json::to_string_pretty(schema).unwrap_or_default();
        out += &format!("### {name}\n\n```json\n{json}\n```\n\n");
    }
    Ok(out)
}

fn operation_section(root: &Value, path: &str, method: &str, item: &Value, operation: &Value) -> String {
    let mut out = format!("### `{} {path}`\n\n{}.", method.to_uppercase(), text(&operation["summary"]));
    if let Some(more) = operation["description"].as_str() {
        out += &format!(" {more}");
    }
    out += "\n\n";
    let schemes = operation["security"].as_array().into_iter().flatten().map(requirement).collect::<Vec<_>>();
    if !schemes.is_empty() {
        out += &format!("Authentication: {}.\n\n", schemes.join(" or "));
    }
    let parameters: Vec<&Value> =
        [item, operation].iter().flat_map(|o| o["parameters"].as_array().into_iter().flatten()).collect();
    if !parameters.is_empty() {
        out += "| parameter | in | meaning |\n|---|---|---|\n";
    }
    for parameter in parameters {
        let parameter = resolved(root, parameter);
        let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
        out += &format!("| `{name}` | {place} | {} |\n", text(&parameter["description"]));
    }
    let bodies: Vec<String> = members(&operation["requestBody"]["content"])
        .map(|(kind, media)| format!("`{kind}`{}", named(&media["schema"])))
        .collect();
    if !bodies.is_empty() {
        out += &format!("\nBody: {}.\n", bodies.join(" or "));
    }
    out += "\n| status | meaning | body |\n|---|---|---|\n";
    for (status, response) in members(&operation["responses"]) {
        let response = resolved(root, response);
        let bodies: Vec<String> =
            members(&response["content"]).map(|(kind, media)| format!("`{kind}`{}", named(&media["schema"]))).collect();
        out += &format!("| `{status}` | {} | {} |\n", text(&response["description"]), bodies.join(", "));
    }
    out + "\n"
}

/// `bearer` with `manage`; `none` for an operation without authentication.
fn requirement(one: &Value) -> String {
    let schemes: Vec<String> = members(one)
        .map(|(name, scopes)| {
            let scopes = scopes.as_array().into_iter().flatten().map(|s| format!("`{}`", text(s)));
            let scopes = scopes.collect::<Vec<_>>().join(" and ");
            if scopes.is_empty() { format!("`{name}`") } else { format!("`{name}` with {scopes}") }
        })
        .collect();
    if schemes.is_empty() { "none".to_owned() } else { schemes.join(" and ") }
}

/// A link to the schema that is referred to.
fn named(schema: &Value) -> String {
    let name = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/components/schemas/"));
    name.map_or_else(String::new, |name| format!(" [{name}](#{})", name.to_lowercase()))
}

/// The target of a reference within the document; any other value is its own target.
fn resolved<'a>(root: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(value)
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// The text of a value, or nothing.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn operations_list_parameters_and_responses() {
        let document = std::fs::read_to_string("docs/openapi.json").expect("a document");
        let markdown = super::to_markdown(&document).expect("JSON");
        for part in [
            "### `POST /hooks`\n",
            "### `DELETE /v1/notification/{name}`\n",
            "Authentication: `bearer` with `manage` or `bceAuthV1`.",
            "| `limit` | query | At most 1000; larger values count as 1000. |",
            "Body: `application/json` [NewHook](#newhook).",
            "| `404` | Not found, or owned by another client. | `application/problem+json` [Problem](#problem) |",
        ] {
            assert!(markdown.contains(part), "{part}");
        }
    }
}
