//! The notifications of sd_notify(3), and the sockets of sd_listen_fds(3).

use rustix::process::Signal;

use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::service_manager::ServiceManager;
use crate::harness::tool::skip;

#[test]
fn relay_reports_ready_reloading_and_stopping() {
    let mut service = ServiceManager::new("public:admin");
    std::fs::write(service.config_file(), "").expect("a file");
    service.start();
    for (content, status) in
        [("hook_rate = 9\n", "configuration reloaded\n"), ("hook_rate = 0\n", "configuration not reloaded: ")]
    {
        std::fs::write(service.config_file(), content).expect("a file");
        service.signal(Signal::HUP);
        let reloading = service.notification();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("both lines");
        assert!(time.trim().parse::<u64>().is_ok(), "{reloading}");
        let ready = service.notification();
        assert!(ready.starts_with(&format!("READY=1\nSTATUS={status}")), "{ready}");
    }
    service.wait_for_output("configuration not reloaded");
    service.signal(Signal::TERM);
    assert_eq!(service.notification(), "STOPPING=1\n");
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn sockets_are_told_apart_by_name_or_by_order() {
    for names in ["public:admin", "admin:public", "docrelay.socket:docrelay.socket", ""] {
        let mut service = ServiceManager::new(names);
        service.start();
        let status = |to, target: &str| Connection::open(to).send(&Request::get(target)).status;
        assert_eq!((status(service.listen, "/docs"), status(service.admin_listen, "/livez")), (200, 200), "{names}");
        service.cli(&["client", "add", "acme"]).succeeded();
    }
}

#[test]
fn two_sockets_of_one_name_are_refused_in_one_sentence() {
    let mut service = ServiceManager::new("public:public");
    service.spawn();
    assert_eq!(service.wait().code(), Some(1));
    let output = service.output();
    assert!(output.contains("the relay takes one socket for its public and one for its admin address"), "{output}");
}

#[test]
fn sockets_of_systemd_socket_activate_are_taken() {
    let mut service = ServiceManager::new("");
    // Free ports, which the program of systemd binds.
    let free = || std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a port");
    let (public, admin) = (free(), free());
    let mut activate = std::process::Command::new("systemd-socket-activate");
    activate.args([format!("--listen={admin}"), format!("--listen={public}")]).arg("--fdname=admin:public");
    activate.arg(env!("CARGO_BIN_EXE_docrelay")).arg("serve").arg("--data").arg(service.data_dir());
    if !service.start_command(activate) {
        return skip("systemd-socket-activate is not installed");
    }
    service.wait_for_output("Listening on ");
    // The first connection starts the relay, and waits for it.
    let mut first = Connection::open(public);
    first.write(Request::get("/docs").bytes());
    assert_eq!(first.read_response().status, 200);
    assert_eq!(Connection::open(admin).send(&Request::get("/livez")).status, 200);
    assert_eq!(service.stop().code(), Some(0));
}
