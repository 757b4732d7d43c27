//! The process: what the first start makes, what ends it and with which code, where its configuration comes from.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::TestRelay;
use crate::harness::command::{CommandOutput, docrelay, run};
use crate::harness::request::Request;
use crate::harness::response::assert_problem;

/// `docrelay serve` that must end by itself. Free ports, unless the words say otherwise.
#[track_caller]
fn serve(data: &Path, words: &[&str], settings: &[(&str, &str)]) -> CommandOutput {
    let mut command = docrelay(&[&["serve"], words].concat(), settings);
    for (flag, free) in [("--listen", "127.0.0.1:0"), ("--admin-listen", "127.0.0.1:0")] {
        if !words.contains(&flag) {
            command.args([flag, free]);
        }
    }
    run(command.arg("--data").arg(data))
}

/// It ended with this code and one sentence, and printed nothing.
#[track_caller]
fn sentence(ran: &CommandOutput, code: i32) -> String {
    assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
    let said: Vec<&str> = ran.stderr.lines().collect();
    let [sentence] = said[..] else { panic!("more or less than one sentence: {ran:?}") };
    sentence.strip_prefix("docrelay: ").unwrap_or_else(|| panic!("whose sentence? {sentence}")).to_owned()
}

fn modes(directory: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("its mode").permissions().mode() & 0o7777;
        found.push((entry.file_name().to_string_lossy().into_owned(), mode));
        if entry.path().is_dir() {
            found.extend(modes(&entry.path()));
        }
    }
    found
}

#[test]
fn first_start_creates_private_files_and_prints_addresses() {
    let relay = TestRelay::start();
    let mode = fs::metadata(relay.data_dir()).expect("made").permissions().mode() & 0o7777;
    assert_eq!(mode, 0o700);
    let found = modes(&relay.data_dir());
    for (name, mode) in &found {
        let wanted = if name == "keys" { 0o700 } else { 0o600 };
        assert_eq!(*mode, wanted, "{name}: {mode:o}");
    }
    for name in ["admin.token", "seal.key", "docrelay.db", "keys"] {
        assert!(found.iter().any(|(n, _)| n == name), "{name} is missing: {found:?}");
    }
    let url = relay.url("");
    for line in [
        format!("{url}/"),
        format!("{url}/events/client"),
        format!("{url}/docs"),
        format!("http://{}/", relay.admin_listen),
    ] {
        relay.wait_for_output(&line);
    }
    assert!(!relay.output().contains(&relay.admin_token()), "the banner shows no secret");
    let jwks = |relay: &TestRelay| relay.send(&Request::get("/.well-known/jwks.json")).body;
    let (keys, token) = (jwks(&relay), relay.admin_token());
    let mut relay = relay;
    relay.restart();
    assert_eq!((jwks(&relay), relay.admin_token()), (keys, token), "a second start makes nothing new");
}

#[test]
fn port_or_data_directory_in_use_exits_with_1() {
    let home = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    for flag in ["--listen", "--admin-listen"] {
        let why = sentence(&serve(&home.path().join("data"), &[flag, &address.to_string()], &[]), 1);
        assert_eq!(why, format!("port {} is in use: choose another with {flag}", address.port()));
    }
    let relay = TestRelay::start();
    let why = sentence(&serve(&relay.data_dir(), &[], &[]), 1);
    assert!(why.contains("in use by another docrelay") && why.contains("--data"), "{why}");
    assert_eq!(relay.send_admin(&Request::get("/readyz")).status, 200, "the first one does not mind");
    assert!(relay.cli(&["client", "add", "still-reached"]).status.success(), "nor is its card touched");
}

#[test]
fn bad_or_exposed_files_exit_with_1_and_remedy() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    relay.stop();
    let data = relay.data_dir();
    let key = fs::read_dir(data.join("keys")).expect("keys").next().expect("one").expect("an entry").path();
    let refused = |path: &Path, hint: &str, code: i32| {
        let why = sentence(&serve(&data, &[], &[]), code);
        assert!(why.contains(&*path.to_string_lossy()) && why.contains(hint), "{why}");
    };
    for path in [key.clone(), data.join("seal.key"), data.join("admin.token")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("opened");
        refused(&path, "chmod 600", 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("closed");
        let good = fs::read(&path).expect("read");
        fs::write(&path, "\u{0}garbage \n\n").expect("spoilt");
        refused(&path, "restore it from a backup", 1);
        fs::write(&path, good).expect("restored");
    }
    let (database, seal) = (data.join("docrelay.db"), data.join("seal.key"));
    // Another machine's key, or a new one because the old one was lost: the hooks' secrets do not open.
    let good = fs::read(&seal).expect("read");
    fs::remove_file(&seal).expect("lost");
    refused(&database, "restore the key file", 1);
    fs::write(&seal, good).expect("restored");
    let good = fs::read(&database).expect("read");
    fs::write(&database, "this is no database, whatever its name says".repeat(20)).expect("spoilt");
    refused(&database, "not a docrelay database", 1);
    fs::write(&database, good).expect("restored");
    relay.restart();
    let nowhere = serve(Path::new("/dev/null/data"), &[], &[]);
    assert_eq!(sentence(&nowhere, 1), "cannot create /dev/null/data: Not a directory (os error 20)");
}

#[test]
fn invalid_configuration_exits_with_2_and_names_the_key() {
    let home = tempfile::tempdir().expect("a directory");
    let (data, file) = (home.path().join("data"), home.path().join("relay.toml"));
    let config = ["--config", file.to_str().expect("text")];
    let with_file = |content: &str| {
        fs::write(&file, content).expect("written");
        sentence(&serve(&data, &config, &[]), 2)
    };
    let place = file.display().to_string();
    assert!(
        with_file("grace = \"5s\"\nlisten_on = \"x\"\n")
            .starts_with(&format!("{place}:2: there is no key `listen_on`"))
    );
    assert!(with_file("# c\n\ngrace = \"0s\"\n").starts_with(&format!("{place}:3: grace must be")));
    assert!(with_file("grace = \n").starts_with(&format!("{place}:1: ")));
    assert!(with_file("[grace]\nx = 1\n").starts_with(&format!("{place}:1: grace must be")));
    assert!(with_file("history_age = 0\n").contains(":1: history_age"), "0 is not unlimited");
    assert!(with_file("admin_token = \"has a space\"\n").contains(":1: admin_token"));
    assert!(!with_file("admin_token = \"has a space\"\n").contains("has a"));
    fs::remove_file(&file).expect("removed");
    assert!(sentence(&serve(&data, &config, &[]), 2).contains("cannot read the configuration"));
    let why = sentence(&serve(&data, &[], &[("hook_rate", "fast")]), 2);
    assert!(why.starts_with("DOCRELAY_HOOK_RATE: hook_rate must be"), "{why}");
    let why = sentence(&serve(&data, &["--listen", "here"], &[]), 2);
    assert!(why.starts_with("--listen: listen must be"), "{why}");
    let why = sentence(&serve(&data, &[], &[("store", "redis://x")]), 2);
    assert!(why.starts_with("DOCRELAY_STORE: store must be"), "{why}");
    assert_eq!(serve(&data, &["--listn", "x"], &[]).status.code(), Some(2));
    assert!(!data.exists(), "nothing is made before the configuration is known to be good");
}

#[test]
fn flag_overrides_environment_overrides_file() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("relay.toml");
    // Each place is made to be the one that is wrong; who is blamed is who was asked.
    fs::write(&file, "listen = \"file\"\ngrace = \"file\"\n").expect("written");
    let config = file.to_str().expect("text");
    let blamed = |words: &[&str], settings: &[(&str, &str)]| {
        let why = sentence(&serve(&home.path().join("data"), words, settings), 2);
        why.split(": ").next().expect("a place").to_owned()
    };
    let all = [("listen", "environment"), ("config", config)];
    assert_eq!(blamed(&["--listen", "flag"], &all), "--listen");
    let mut command = docrelay(&["serve", "--admin-listen", "127.0.0.1:0"], &all);
    assert!(sentence(&run(&mut command), 2).starts_with("DOCRELAY_LISTEN: "));
    assert_eq!(blamed(&["--listen", "127.0.0.1:0"], &[("config", config)]), format!("{config}:2"));
    // The flag --config beats its variable, and an empty variable is none.
    let missing = blamed(&["--config", "/nowhere.toml"], &[("config", config)]);
    assert!(missing.starts_with("cannot read the configuration /nowhere.toml"), "{missing}");
    assert_eq!(blamed(&["--config", config], &[("grace", "")]), format!("{config}:2"));
}

#[test]
fn check_command_reports_configuration_errors_without_starting() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("relay.toml");
    let check = || run(&mut docrelay(&["check", file.to_str().expect("text")], &[]));
    fs::write(&file, "public_url = \"https://relay.example.com\"\ncors_origins = [\"https://a.example\"]\nmax_body_bytes = \"1MiB\"\n")
        .expect("written");
    let good = check().succeeded();
    assert_eq!(good.stdout, format!("{}: ok\n", file.display()));
    fs::write(&file, "\npublic_url = \"relay\"\n").expect("written");
    let bad = check();
    assert_eq!((bad.status.code(), bad.stdout.as_str(), bad.stderr.lines().count()), (Some(2), "", 1), "{bad:?}");
    assert!(bad.stderr.contains(":2: public_url must be"), "{bad:?}");
}

#[test]
fn admin_token_can_be_set_by_environment() {
    let relay = TestRelay::with_config(&[("admin_token", "chosen-by-the-operator")]);
    assert!(!relay.data_dir().join("admin.token").exists());
    let list = |token: &str| relay.send_admin(&Request::get("/admin/clients").bearer(token));
    assert_eq!(list("chosen-by-the-operator").status, 200);
    for wrong in ["", "chosen-by-the-operato", "chosen-by-the-operator2"] {
        assert_problem(&list(wrong), 401);
    }
    // Commands with the same environment reach it.
    relay.add_client("acme");
    relay.token("acme");
}

#[test]
fn concurrent_offline_commands_wait_for_the_lock() {
    let relay = TestRelay::start();
    let data = relay.data_dir().with_file_name("shared");
    std::thread::scope(|scope| {
        let add = |name: &'static str| {
            let data = &data;
            scope.spawn(move || run(docrelay(&["client", "add", name], &[]).arg("--data").arg(data)))
        };
        let running: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().map(add).collect();
        for ran in running.into_iter().map(|thread| thread.join().expect("a command")) {
            assert_eq!(ran.status.code(), Some(0), "{ran:?}");
        }
    });
    // All of them are in the one database.
    for client in ["a", "b", "c", "d", "e", "f"] {
        let ran = run(docrelay(&["token", "--client", client], &[]).arg("--data").arg(&data));
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    }
}

#[test]
fn sigterm_right_after_start_exits_cleanly() {
    for demo in ["false", "true", "false", "true"] {
        let mut relay = TestRelay::with_config(&[("demo", demo)]);
        // It has said where it listens, and nothing else yet.
        assert_eq!(relay.stop().code(), Some(0), "{}", relay.output());
        assert!(!relay.data_dir().join("relay.json").exists());
    }
}
