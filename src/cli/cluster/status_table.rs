//! The state of a cluster as a table: one line for each member, then one for the broker and one for each replica of the
//! journal.

use std::fmt::Write;

use serde_json::Value;

use crate::cli::io::sanitize_line;

const MEMBER_COLUMNS: [&str; 11] =
    ["NODE", "HOST", "LISTEN", "VERSION", "POSITION", "LAG", "LEASE", "SILENT", "ALIVE", "LEADER", "COMPARED"];
const REPLICA_COLUMNS: [&str; 5] = ["REPLICA", "CURRENT", "ONLINE", "LAG", "SILENT"];

/// Space between two columns.
const GAP: usize = 2;

/// The response of `GET /admin/cluster` as text, without a line break at the end.
pub(super) fn render(status: &Value) -> String {
    let members = status["members"].as_array().into_iter().flatten().map(|member| member_row(member, &status["fence"]));
    let mut text = table(&MEMBER_COLUMNS, members);
    let broker = &status["broker"];
    if broker["error"].is_string() {
        line(&mut text, &format!("\nbroker: {}", cell(&broker["error"])));
        return text;
    }
    let range = format!("entries {} to {}", cell(&broker["range"]["first"]), cell(&broker["range"]["end"]));
    let size = format!("{} of {} bytes", cell(&broker["bytes"]), cell(&broker["maxBytes"]));
    let server = format!("server {} {}", cell(&broker["serverName"]), cell(&broker["serverVersion"]));
    let leader = format!("leader {}, replicas {}", cell(&broker["leader"]), cell(&broker["replicas"]));
    line(&mut text, &format!("\nbroker: {server}, {leader}, {range}, {size}"));
    let followers: Vec<&Value> = broker["followers"].as_array().into_iter().flatten().collect();
    if !followers.is_empty() {
        line(&mut text, &format!("\n{}", table(&REPLICA_COLUMNS, followers.into_iter().map(replica_row))));
    }
    text
}

fn member_row(member: &Value, fence: &Value) -> [String; MEMBER_COLUMNS.len()] {
    let compared = &member["comparison"];
    let agrees = match compared["agrees"].as_bool() {
        Some(true) => "agrees",
        Some(false) => "differs",
        None => "undecided",
    };
    [
        cell(&member["name"]),
        cell(&member["host"]),
        cell(&member["listen"]),
        cell(&member["version"]),
        cell(&member["position"]),
        cell(&member["lag"]),
        seconds(&member["leaseMs"]),
        seconds(&member["silentMs"]),
        yes_or_no(&member["isAlive"]),
        if member["isLeader"] == true { format!("fence {}", cell(fence)) } else { "-".to_owned() },
        if compared.is_null() { "-".to_owned() } else { format!("{} {agrees}", cell(&compared["position"])) },
    ]
}

fn replica_row(replica: &Value) -> [String; REPLICA_COLUMNS.len()] {
    [
        cell(&replica["name"]),
        yes_or_no(&replica["isCurrent"]),
        yes_or_no(&Value::from(replica["isOffline"] == false)),
        cell(&replica["lag"]),
        seconds(&replica["silentMs"]),
    ]
}

/// Texts come from other machines.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => sanitize_line(text),
        Value::Null | Value::String(_) => "-".to_owned(),
        value => value.to_string(),
    }
}

fn yes_or_no(value: &Value) -> String {
    if value == true { "yes" } else { "no" }.to_owned()
}

fn seconds(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |ms| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100))
}

/// Columns that are as wide as their longest cell.
fn table<const COLUMNS: usize>(titles: &[&str; COLUMNS], rows: impl Iterator<Item = [String; COLUMNS]>) -> String {
    let rows: Vec<[String; COLUMNS]> = std::iter::once(titles.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = width + GAP));
        line(&mut text, cells.collect::<String>().trim_end());
    }
    text
}

/// Adds a line; the last one has no line break.
fn line(text: &mut String, line: &str) {
    let separator = if text.is_empty() { "" } else { "\n" };
    // Writing to a string does not fail.
    write!(text, "{separator}{line}").ok();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn table_has_a_row_for_each_member_and_replica() {
        let status = json!({
            "fence": 12,
            "members": [
                {"name": "node-1", "host": "a\u{1b}", "listen": "10.0.0.1:8080", "version": "0.1.0", "position": 118,
                 "lag": 0, "leaseMs": 4_321, "silentMs": 679, "isAlive": true, "isLeader": true,
                 "comparison": {"position": 100, "agrees": true}},
                {"name": "node-2", "host": "", "listen": "", "version": "0.1.0", "position": 17, "lag": 101,
                 "leaseMs": 0, "silentMs": 61_000, "isAlive": false, "isLeader": false, "comparison": null},
            ],
            "broker": {
                "serverName": "n1", "serverVersion": "2.12.1", "leader": "n2", "replicas": 3, "bytes": 5_000,
                "maxBytes": 67_108_864, "range": {"first": 1, "end": 118},
                "followers": [
                    {"name": "n1", "isCurrent": true, "isOffline": false, "lag": 0, "silentMs": 40},
                    {"name": "n3", "isCurrent": false, "isOffline": true, "lag": 9, "silentMs": 9_999},
                ],
            },
        });
        let expected = "\
NODE    HOST  LISTEN         VERSION  POSITION  LAG  LEASE  SILENT  ALIVE  LEADER    COMPARED
node-1  a\u{fffd}    10.0.0.1:8080  0.1.0    118       0    4.3 s  0.6 s   yes    fence 12  100 agrees
node-2  -     -              0.1.0    17        101  0.0 s  61.0 s  no     -         -

broker: server n1 2.12.1, leader n2, replicas 3, entries 1 to 118, 5000 of 67108864 bytes

REPLICA  CURRENT  ONLINE  LAG  SILENT
n1       yes      yes     0    0.0 s
n3       no       no      9    9.9 s";
        assert_eq!(render(&status), expected);
    }

    #[test]
    fn error_of_the_broker_replaces_its_state() {
        let status = json!({"fence": null, "members": [], "broker": {"error": "the broker has not answered"}});
        let text = render(&status);
        assert!(text.ends_with("\n\nbroker: the broker has not answered"), "{text}");
    }
}
