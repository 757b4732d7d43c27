//! The units of the guide: systemd reads them, and their commands run.

use std::path::Path;
use std::process::Command;

use super::block;
use crate::harness::TestRelay;
use crate::harness::command::{docrelay, run};
use crate::harness::guide::replace_all;
use crate::harness::service_manager::ServiceManager;
use crate::harness::tool::skip;

const SOCKET: &str = "The socket unit";

const SERVICE: &str = "The service unit";

/// The arguments of a command of the service, for a relay on this directory with this configuration.
#[track_caller]
fn arguments(setting: &str, data: &Path, config: &Path) -> Vec<String> {
    let unit = block(SERVICE, "ini");
    let line = unit.lines().find_map(|line| line.strip_prefix(setting)).expect(setting);
    let line = line.strip_prefix("/usr/local/bin/docrelay ").expect("the program");
    let replaced = |argument: &str| match argument {
        "/var/lib/docrelay" => data.display().to_string(),
        "/etc/docrelay/relay.toml" => config.display().to_string(),
        argument => argument.to_owned(),
    };
    line.split(' ').map(replaced).collect()
}

#[test]
fn reload_command_of_the_unit_reloads_the_relay() {
    let relay = TestRelay::start();
    let config = tempfile::NamedTempFile::new().expect("an empty file");
    let arguments = arguments("ExecReload=", &relay.data_dir(), config.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run(&mut docrelay(&arguments, &[])).succeeded();
    assert_eq!(output.stdout, "{\"changed\":[],\"needsRestart\":[]}\n");
}

#[test]
fn start_command_of_the_unit_takes_sockets_in_the_order_of_the_unit() {
    let listens: Vec<String> =
        block(SOCKET, "ini").lines().filter_map(|line| line.strip_prefix("ListenStream=")).map(str::to_owned).collect();
    assert!(listens.len() == 2 && listens[0].ends_with(":8080") && listens[1] == "127.0.0.1:9090", "{listens:?}");
    let mut service = ServiceManager::new("docrelay.socket:docrelay.socket");
    std::fs::write(service.config_file(), "").expect("a file");
    service.start_with(&arguments("ExecStart=", &service.data_dir(), &service.config_file()));
    assert_eq!(service.stop().code(), Some(0));
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        return skip("systemd-analyze is not installed");
    };
    assert!(version.status.success());
    let directory = tempfile::tempdir().expect("a directory");
    let service = replace_all(block(SERVICE, "ini"), &[("/usr/local/bin/docrelay", env!("CARGO_BIN_EXE_docrelay"))]);
    for (name, unit) in [("docrelay.socket", block(SOCKET, "ini")), ("docrelay.service", service)] {
        std::fs::write(directory.path().join(name), unit).expect("a file");
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    let output = run(verify.args(["docrelay.socket", "docrelay.service"].map(|name| directory.path().join(name))));
    let faults: Vec<&str> = output.stderr.lines().filter(|line| line.contains("docrelay.")).collect();
    assert_eq!(faults, Vec::<&str>::new(), "{output:?}");
}
