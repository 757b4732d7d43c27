//! The process: files of the first start, exit codes, and sources of the configuration.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::TestRelay;
use crate::harness::command::{CommandOutput, docrelay, run};
use crate::harness::request::Request;
use crate::harness::response::assert_problem;

/// Runs a `docrelay serve` that must exit by itself, on free ports unless the arguments name others.
#[track_caller]
fn serve(data: &Path, arguments: &[&str], config: &[(&str, &str)]) -> CommandOutput {
    let mut command = docrelay(&[&["serve"], arguments].concat(), config);
    for (flag, free) in [("--listen", "127.0.0.1:0"), ("--admin-listen", "127.0.0.1:0")] {
        if !arguments.contains(&flag) {
            command.args([flag, free]);
        }
    }
    run(command.arg("--data").arg(data))
}

/// Asserts the exit code and that the output is one line on standard error. Returns the line.
#[track_caller]
fn error_line(output: &CommandOutput, code: i32) -> String {
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(code), ""), "{output:?}");
    let lines: Vec<&str> = output.stderr.lines().collect();
    let [line] = lines[..] else { panic!("not one line: {output:?}") };
    line.strip_prefix("docrelay: ").unwrap_or_else(|| panic!("no program name: {line}")).to_owned()
}

/// Names and permissions of all files below a directory.
fn permissions(directory: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("its mode").permissions().mode() & 0o7777;
        found.push((entry.file_name().to_string_lossy().into_owned(), mode));
        if entry.path().is_dir() {
            found.extend(permissions(&entry.path()));
        }
    }
    found
}

#[test]
fn first_start_creates_private_files_and_prints_addresses() {
    let relay = TestRelay::start();
    let mode = fs::metadata(relay.data_dir()).expect("made").permissions().mode() & 0o7777;
    assert_eq!(mode, 0o700);
    let found = permissions(&relay.data_dir());
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
    assert!(!relay.output().contains(&relay.admin_token()), "the output contains the admin token");
    let jwks = |relay: &TestRelay| relay.send(&Request::get("/.well-known/jwks.json")).body;
    let (keys, token) = (jwks(&relay), relay.admin_token());
    let mut relay = relay;
    relay.restart();
    assert_eq!((jwks(&relay), relay.admin_token()), (keys, token), "a second start creates no new keys");
}

// Rule 35: one relay per data directory.
#[test]
fn port_or_data_directory_in_use_exits_with_1() {
    let home = tempfile::tempdir().expect("a directory");
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = occupied.local_addr().expect("bound");
    for flag in ["--listen", "--admin-listen"] {
        let error = error_line(&serve(&home.path().join("data"), &[flag, &address.to_string()], &[]), 1);
        assert_eq!(error, format!("port {} is in use: choose another with {flag}", address.port()));
    }
    let relay = TestRelay::start();
    let error = error_line(&serve(&relay.data_dir(), &[], &[]), 1);
    assert!(error.contains("in use by another docrelay") && error.contains("--data"), "{error}");
    assert_eq!(relay.send_admin(&Request::get("/readyz")).status, 200, "the running relay is not affected");
    assert!(relay.cli(&["client", "add", "still-reachable"]).status.success(), "its runtime file is not replaced");
}

#[test]
fn bad_or_exposed_files_exit_with_1_and_remedy() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    relay.stop();
    let data = relay.data_dir();
    let key = fs::read_dir(data.join("keys")).expect("keys").next().expect("one").expect("an entry").path();
    let assert_refused = |path: &Path, hint: &str, code: i32| {
        let error = error_line(&serve(&data, &[], &[]), code);
        assert!(error.contains(&*path.to_string_lossy()) && error.contains(hint), "{error}");
    };
    for path in [key.clone(), data.join("seal.key"), data.join("admin.token")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        assert_refused(&path, "chmod 600", 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
        let good = fs::read(&path).expect("read");
        fs::write(&path, "\u{0}garbage \n\n").expect("overwritten");
        assert_refused(&path, "restore it from a backup", 1);
        fs::write(&path, good).expect("restored");
    }
    let (database, seal) = (data.join("docrelay.db"), data.join("seal.key"));
    // A lost key file: the start creates a new key, which cannot decrypt the secrets of the hooks.
    let good = fs::read(&seal).expect("read");
    fs::remove_file(&seal).expect("lost");
    assert_refused(&database, "restore the key file", 1);
    fs::write(&seal, good).expect("restored");
    let good = fs::read(&database).expect("read");
    fs::write(&database, "this is no database, despite its file name".repeat(20)).expect("overwritten");
    assert_refused(&database, "not a docrelay database", 1);
    fs::write(&database, good).expect("restored");
    relay.restart();
    let nowhere = serve(Path::new("/dev/null/data"), &[], &[]);
    assert_eq!(error_line(&nowhere, 1), "cannot create /dev/null/data: Not a directory (os error 20)");
}

#[test]
fn invalid_configuration_exits_with_2_and_names_the_key() {
    let home = tempfile::tempdir().expect("a directory");
    let (data, file) = (home.path().join("data"), home.path().join("relay.toml"));
    let config = ["--config", file.to_str().expect("text")];
    let with_file = |content: &str| {
        fs::write(&file, content).expect("written");
        error_line(&serve(&data, &config, &[]), 2)
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
    assert!(error_line(&serve(&data, &config, &[]), 2).contains("cannot read the configuration"));
    let error = error_line(&serve(&data, &[], &[("hook_rate", "fast")]), 2);
    assert!(error.starts_with("DOCRELAY_HOOK_RATE: hook_rate must be"), "{error}");
    let error = error_line(&serve(&data, &["--listen", "here"], &[]), 2);
    assert!(error.starts_with("--listen: listen must be"), "{error}");
    assert_eq!(serve(&data, &["--listn", "x"], &[]).status.code(), Some(2));
    assert!(!data.exists(), "files are created before the configuration is valid");
}

#[test]
fn flag_overrides_environment_overrides_file() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("relay.toml");
    // All sources are invalid. The error names the source that takes precedence.
    fs::write(&file, "listen = \"file\"\ngrace = \"file\"\n").expect("written");
    let config = file.to_str().expect("text");
    let named_source = |arguments: &[&str], config: &[(&str, &str)]| {
        let error = error_line(&serve(&home.path().join("data"), arguments, config), 2);
        error.split(": ").next().expect("a place").to_owned()
    };
    let all = [("listen", "environment"), ("config", config)];
    assert_eq!(named_source(&["--listen", "flag"], &all), "--listen");
    let mut command = docrelay(&["serve", "--admin-listen", "127.0.0.1:0"], &all);
    assert!(error_line(&run(&mut command), 2).starts_with("DOCRELAY_LISTEN: "));
    assert_eq!(named_source(&["--listen", "127.0.0.1:0"], &[("config", config)]), format!("{config}:2"));
    // The flag --config takes precedence over its variable. An empty variable counts as unset.
    let missing = named_source(&["--config", "/nowhere.toml"], &[("config", config)]);
    assert!(missing.starts_with("cannot read the configuration /nowhere.toml"), "{missing}");
    assert_eq!(named_source(&["--config", config], &[("grace", "")]), format!("{config}:2"));
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
    // Commands with the same environment use the token.
    relay.add_client("acme");
    relay.token("acme");
}

#[test]
fn concurrent_offline_commands_wait_for_the_lock() {
    let mut relay = TestRelay::start();
    relay.stop();
    let data = relay.data_dir();
    std::thread::scope(|scope| {
        let add = |name: &'static str| {
            let data = &data;
            scope.spawn(move || run(docrelay(&["client", "add", name], &[]).arg("--data").arg(data)))
        };
        let running: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().map(add).collect();
        for output in running.into_iter().map(|thread| thread.join().expect("a command")) {
            assert_eq!(output.status.code(), Some(0), "{output:?}");
        }
    });
    // All clients are in the same database.
    for client in ["a", "b", "c", "d", "e", "f"] {
        let output = run(docrelay(&["token", "--client", client], &[]).arg("--data").arg(&data));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn sigterm_right_after_start_exits_cleanly() {
    for demo in ["false", "true", "false", "true"] {
        let mut relay = TestRelay::with_config(&[("demo", demo)]);
        // The relay listens, and has done nothing else yet.
        assert_eq!(relay.stop().code(), Some(0), "{}", relay.output());
        assert!(!relay.data_dir().join("relay.json").exists());
    }
}
