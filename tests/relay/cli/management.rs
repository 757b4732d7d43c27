//! Commands that list, remove and rotate, and the list of clients that they read.

use serde_json::Value;

use crate::harness::TestRelay;
use crate::harness::command::CommandOutput;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, string_at};

/// The names of the clients in a page of `GET /admin/clients`.
fn client_names(page: &Value) -> Vec<String> {
    page["clients"].as_array().expect("clients").iter().map(|client| string_at(client, "clientId")).collect()
}

/// Adds a client for each name, over the API of the running relay.
fn add_clients(relay: &TestRelay, names: &[String]) {
    for name in names {
        let body = format!(r#"{{"clientId":"{name}"}}"#);
        let added = relay.send_admin(&Request::post("/admin/clients").bearer(&relay.admin_token()).json(&body));
        assert_eq!(added.status, 201, "{added:?}");
    }
}

#[test]
fn client_list_is_paged_by_name() {
    let relay = TestRelay::start();
    let names: Vec<String> = (0..5).map(|n| format!("client-{n}")).collect();
    add_clients(&relay, &names);
    let page = |query: &str| relay.admin("GET", &format!("/admin/clients{query}")).json();
    let all = page("");
    assert_eq!((client_names(&all), &all["next"]), (names.clone(), &Value::Null));
    let first = page("?limit=2");
    assert_eq!((client_names(&first), &first["next"]), (names[..2].to_vec(), &"client-1".into()));
    // A client that is removed between two pages does not end the list.
    relay.remove_client("client-1");
    let second = page("?limit=2&cursor=client-1");
    assert_eq!((client_names(&second), &second["next"]), (names[2..4].to_vec(), &"client-3".into()));
    let last = page("?limit=1&cursor=client-3");
    assert_eq!((client_names(&last), &last["next"]), (names[4..].to_vec(), &Value::Null));
    assert_eq!(client_names(&page("?cursor=client-4")), Vec::<String>::new());
    for query in ["?limit=0", "?limit=x", "?cursor=%20"] {
        assert_problem(&relay.admin("GET", &format!("/admin/clients{query}")), 400);
    }
    let one = relay.admin("GET", "/admin/clients/client-3").json();
    assert_eq!(one, second["clients"][1]);
    assert_problem(&relay.admin("GET", "/admin/clients/client-1"), 404);
}

#[test]
fn client_list_without_parameters_has_at_most_1000_clients() {
    let relay = TestRelay::start();
    let names: Vec<String> = (0..1001).map(|n| format!("{n:064}")).collect();
    add_clients(&relay, &names);
    let response = relay.admin("GET", "/admin/clients?limit=5000");
    assert!(response.body.len() < 1 << 20, "{} bytes", response.body.len());
    let page = response.json();
    assert_eq!((client_names(&page), &page["next"]), (names[..1000].to_vec(), &names[999].as_str().into()));
    assert_eq!(relay.admin("GET", "/admin/clients").json(), page);
}

/// The lines of a command's output, each one JSON value.
#[track_caller]
fn lines(output: CommandOutput) -> Vec<Value> {
    output.succeeded().stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Whether this secret of the client gets a token.
fn is_accepted(relay: &TestRelay, client: &str, secret: &str) -> bool {
    let form = format!("grant_type=client_credentials&client_id={client}&client_secret={secret}");
    relay.send(&Request::post("/oauth/token").form(&form)).status == 200
}

#[test]
fn list_remove_and_rotate_commands_work_online_and_offline() {
    let mut relay = TestRelay::start();
    let (acme, _) = (relay.add_client("acme"), relay.add_client("other"));
    let gini = relay.add_hook("acme", "gini", &["--name", "first"]);
    let mut secrets = vec![acme.secret];
    let mut removed_paths = Vec::new();
    for offline in [false, true] {
        let (leaving, staying) = (relay.add_client("leaving"), relay.add_hook("acme", "ppj", &[]));
        if offline {
            relay.stop();
        }
        let clients = lines(relay.cli(&["client", "list"]));
        let names: Vec<_> = clients.iter().map(|client| string_at(client, "clientId")).collect();
        assert_eq!(names, ["acme", "leaving", "other"]);
        assert_eq!(clients[0]["hooks"], 2);

        let hooks = lines(relay.cli(&["hook", "list", "--client", "acme"]));
        assert_eq!(hooks.iter().map(|hook| &hook["id"]).collect::<Vec<_>>(), [&gini.json["id"], &staying.json["id"]]);
        assert!(string_at(&hooks[0], "url").ends_with(&gini.path));

        for arguments in [
            &["hook", "remove", &string_at(&staying.json, "id"), "--client", "acme"][..],
            &["client", "remove", &leaving.id],
        ] {
            let output = relay.cli(arguments).succeeded();
            assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{arguments:?}");
            let again = relay.cli(arguments);
            assert_eq!((again.status.code(), again.stderr.lines().count()), (Some(1), 1), "{again:?}");
        }
        removed_paths.push(staying.path);
        assert_eq!(lines(relay.cli(&["hook", "list", "--client", "acme"])).len(), 1);

        let rotated = relay.cli(&["client", "rotate", "acme"]).json();
        assert!(rotated["previousValidUntil"].is_string(), "{rotated}");
        secrets.push(string_at(&rotated, "clientSecret"));
    }
    relay.restart();
    let accepted: Vec<_> = secrets.iter().map(|secret| is_accepted(&relay, "acme", secret)).collect();
    assert_eq!(accepted, [false, true, true], "the last secret and the one before it");
    for path in removed_paths {
        assert_problem(&relay.send(&Request::post(&path).json("{}")), 404);
    }
    assert_eq!(lines(relay.cli(&["client", "list"])).len(), 2);
    assert_eq!(lines(relay.cli(&["hook", "list", "--client", "other"])), Vec::<Value>::new());
}

#[test]
fn client_list_command_prints_every_page() {
    let relay = TestRelay::start();
    let names: Vec<String> = (0..1005).map(|n| format!("client-{n:04}")).collect();
    add_clients(&relay, &names);
    let printed = lines(relay.cli(&["client", "list"]));
    assert_eq!(printed.iter().map(|client| string_at(client, "clientId")).collect::<Vec<_>>(), names);
    // A command for a client behind the first page finds it.
    relay.token("client-1004");
}

#[test]
fn list_remove_and_rotate_errors_are_equal_online_and_offline() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    let unknown_hook = "00000000-0000-4000-8000-000000000000";
    let mut errors: Vec<Vec<String>> = Vec::new();
    for offline in [false, true] {
        if offline {
            relay.stop();
        }
        let wrong: [&[&str]; 5] = [
            &["client", "remove", "unknown"],
            &["client", "rotate", "unknown"],
            &["hook", "list", "--client", "unknown"],
            &["hook", "remove", unknown_hook, "--client", "unknown"],
            &["hook", "remove", unknown_hook, "--client", "acme"],
        ];
        let error = |arguments: &&[&str]| {
            let CommandOutput { status, stdout, stderr } = relay.cli(arguments);
            assert_eq!((status.code(), stdout.as_str()), (Some(1), ""), "{arguments:?} {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            stderr
        };
        errors.push(wrong.iter().map(error).collect());
    }
    assert_eq!(errors[0], errors[1]);
    assert!(errors[0][0].contains("no such client") && errors[0][4].contains("no such hook"), "{errors:?}");
    // An id is not part of a path: nothing else can be removed with it.
    let usage = relay.cli(&["hook", "remove", "../documents", "--client", "acme"]);
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
}
