//! Tests of the configuration without access to the environment of the process.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::*;

fn load(flags: &[&str], env: &[(&str, &str)], file: Option<&str>) -> Result<Config, String> {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("relay.toml");
    let mut line = vec!["docrelay"];
    line.extend(flags);
    let mut flags = parse(&line);
    if let Some(text) = file {
        fs::write(&path, text).expect("written");
        flags.config = Some(path);
    }
    let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let shorten = |e: ConfigError| e.to_string().replace(&format!("{}/", home.path().display()), "");
    Config::load(&flags, env, 65_536).map_err(shorten)
}

fn parse(line: &[&str]) -> Flags {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }
    <Line as clap::Parser>::parse_from(line).flags
}

// Rule 5: keepalives on idle streams only.
// Rule 32: the admin address is separate.
#[test]
fn empty_configuration_has_documented_defaults() {
    let config = load(&[], &[], None).expect("good");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:9090");
    assert_eq!(config.public_url(config.listen), "http://127.0.0.1:8080");
    assert_eq!(config.cors_origins, AllowedOrigins::Any);
    assert_eq!(config.query_token, crate::auth::QueryToken::Any);
    assert_eq!(
        (config.max_connections, config.max_followers, config.max_followers_per_client),
        (63_232, 56_908, 10_000)
    );
    assert_eq!((config.max_connections_per_address, config.trusted_proxies.len()), (31_616, 0));
    assert_eq!((config.max_header_bytes, config.max_body_bytes), (16 * 1024, 256 * 1024));
    assert_eq!((config.history_bytes, config.history_bytes_total), (4 << 30, 32 << 30));
    assert_eq!(config.idle_interval, Duration::from_secs(15));
    assert!(config.admin_token.is_none() && !config.demo);
}

#[test]
fn flag_overrides_environment_overrides_file() {
    let file = Some("listen = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:2\"\ndata = \"/three\"\n");
    let env = [("DOCRELAY_LISTEN", "127.0.0.1:4"), ("DOCRELAY_ADMIN_LISTEN", "127.0.0.1:5"), ("DOCRELAY_DATA", "")];
    let config = load(&["--listen", "127.0.0.1:6"], &env, file).expect("good");
    assert_eq!((config.listen.port(), config.admin_listen.port()), (6, 5));
    assert_eq!(config.data, PathBuf::from("/three"), "an empty variable is none");
}

#[test]
fn environment_can_name_the_configuration_file() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("relay.toml");
    fs::write(&path, "grace = \"1s\"").expect("written");
    let env = |name: &str| (name == "DOCRELAY_CONFIG").then(|| path.display().to_string());
    let config = Config::load(&Flags::default(), env, 65_536).expect("good");
    assert_eq!(config.grace, Duration::from_secs(1));
}

#[test]
fn every_key_is_read_and_reported_with_its_place() {
    for key in KEYS {
        let variable = key.variable();
        let message = load(&[], &[(&variable, "\u{0}")], None).expect_err(key.name);
        assert!(message.starts_with(&format!("{variable}: {} must be ", key.name)), "{message}");
        let file = format!("# a comment\n\n{} = \"\\u0000\"\n", key.name);
        let message = load(&[], &[], Some(&file)).expect_err(key.name);
        assert!(message.starts_with(&format!("relay.toml:3: {} must be ", key.name)), "{message}");
        let message = load(&[], &[], Some(&format!("{} = 1979-05-27", key.name))).expect_err(key.name);
        assert!(message.starts_with("relay.toml:1: "), "{message}");
    }
}

#[test]
fn every_flag_is_a_key_with_complete_help() {
    let command = <Flags as clap::Args>::augment_args(clap::Command::new("docrelay"));
    let mut flags = Vec::new();
    for argument in command.get_arguments().filter(|a| a.get_id() != "config") {
        let name = argument.get_id().as_str();
        let key = keys::find(name).expect("in the table");
        let help = argument.get_help().expect("has help").to_string();
        assert!(help.contains(&key.variable()) && help.contains(&format!("[key: {name}]")), "{help}");
        flags.push(name);
    }
    let expected: Vec<_> = KEYS.iter().filter(|k| k.flag).map(|k| k.name).collect();
    assert_eq!(flags, expected);
    let message = load(&["--listen", "nowhere"], &[], None).expect_err("refused");
    assert!(message.starts_with("--listen: listen must be an address"), "{message}");
    assert!(load(&["--demo"], &[("DOCRELAY_DEMO", "false")], None).expect("good").demo);
}

// Rule 34: every bound is finite.
#[test]
fn zero_is_refused_for_every_bound() {
    let switches =
        ["listen", "admin_listen", "data", "public_url", "cors_origins", "admin_token", "demo", "proxy_protocol"];
    let texts = ["cluster_name", "cluster_key_file", "cluster_credentials", "cluster_ca"];
    for key in KEYS.iter().filter(|k| !switches.contains(&k.name) && !texts.contains(&k.name)) {
        for zero in ["0", "0s", "0B", "-1"] {
            assert!(load(&[], &[(&key.variable(), zero)], None).is_err(), "{} = {zero}", key.name);
        }
    }
    let message = load(&[], &[("DOCRELAY_REJECTS_PER_CLIENT", "0")], None).expect_err("refused");
    assert!(message.contains("0 does not mean unlimited"), "{message}");
}

#[test]
fn unknown_key_is_refused_with_its_line() {
    let message = load(&[], &[], Some("grace = \"1s\"\n\nlissen = \"x\"\n")).expect_err("refused");
    assert_eq!(message, "relay.toml:3: there is no key `lissen`: correct or remove it");
    let message = load(&[], &[], Some("[limits]\ngrace = \"1s\"\n")).expect_err("refused");
    assert!(message.starts_with("relay.toml:1: there is no key `limits`"), "{message}");
    let message = load(&[], &[], Some("grace = \"1s\"\ngrace = \"2s\"\n")).expect_err("refused");
    assert!(message.starts_with("relay.toml:2: "), "{message}");
    let message = load(&[], &[], Some("grace = \"1s\"\nlisten = \n")).expect_err("refused");
    assert!(message.starts_with("relay.toml:2: "), "{message}");
}

#[test]
fn toml_numbers_lists_and_booleans_are_accepted() {
    let file = "hook_rate = 10_000\ndemo = true\ncors_origins = [\"https://A.example\", \"http://b.example:81\"]\n\
                max_body_bytes = 1024\nhistory_age = \"1d 12h\"\n";
    let config = load(&[], &[], Some(file)).expect("good");
    assert_eq!(config.hook_rate.get(), 10_000);
    assert!(config.demo);
    let origins = ["https://a.example", "http://b.example:81"].map(str::to_owned).to_vec();
    assert_eq!(config.cors_origins, AllowedOrigins::Only(origins));
    assert_eq!(config.max_body_bytes, 1024);
    assert_eq!(config.history_age, Duration::from_secs(36 * 3600));
    let none = load(&[], &[], Some("cors_origins = []")).expect("good");
    assert_eq!(none.cors_origins, AllowedOrigins::Only(Vec::new()));
}

#[test]
fn invalid_values_are_refused_with_their_place() {
    for (variable, value) in [
        ("DOCRELAY_LISTEN", "8080"),
        ("DOCRELAY_PUBLIC_URL", "relay.example.com"),
        ("DOCRELAY_PUBLIC_URL", "ftp://relay.example.com"),
        ("DOCRELAY_PUBLIC_URL", "https://user@relay.example.com"),
        ("DOCRELAY_PUBLIC_URL", "https://relay.example.com/?a=1"),
        ("DOCRELAY_PUBLIC_URL", "https://relay.example.com/#a"),
        ("DOCRELAY_CORS_ORIGINS", "*,https://a.example"),
        ("DOCRELAY_CORS_ORIGINS", "https://a.example/"),
        ("DOCRELAY_CORS_ORIGINS", "https://a.example/path"),
        ("DOCRELAY_TOKEN_TTL", "900ms"),
        ("DOCRELAY_QUERY_TOKEN", "tickets"),
        ("DOCRELAY_QUERY_TOKEN", "Off"),
        ("DOCRELAY_GRACE", "15"),
        ("DOCRELAY_GRACE", "99999999999999y"),
        ("DOCRELAY_MAX_HEADER_BYTES", "4KiB"),
        ("DOCRELAY_MAX_BODY_BYTES", "1TiB"),
        ("DOCRELAY_HISTORY_BYTES", "1 potato"),
        ("DOCRELAY_MAX_CONNECTIONS", "1.5"),
        ("DOCRELAY_MAX_FOLLOWERS", "18446744073709551615"),
        ("DOCRELAY_ADMIN_TOKEN", "two words"),
        ("DOCRELAY_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("DOCRELAY_TRUSTED_PROXIES", "proxy.example.com"),
    ] {
        let message = load(&[], &[(variable, value)], None).expect_err(value);
        assert!(message.starts_with(variable), "{message}");
    }
}

#[test]
fn contradicting_limits_are_refused() {
    for (file, line) in [
        (
            "max_connections = 100\nmax_followers = 100\n",
            "relay.toml:2: max_followers must be fewer than max_connections",
        ),
        ("max_followers_per_client = 9\nmax_followers = 8\n", "relay.toml:1: max_followers_per_client must be at most"),
        ("max_connections = 65536\n", "relay.toml:1: max_connections must be fewer than the open-file limit"),
        (
            "max_connections = 100\nmax_connections_per_address = 101\n",
            "relay.toml:2: max_connections_per_address must be at most max_connections",
        ),
        (
            "max_body_bytes = \"481KiB\"\ncluster = \"nats://a.internal\"\ncluster_key_file = \"key\"\n",
            "relay.toml:1: max_body_bytes must be at most 496KiB less max_header_bytes in a cluster",
        ),
        ("rejects_bytes = \"1KiB\"\n", "relay.toml:1: rejects_bytes must be at least max_body_bytes"),
        ("admin_listen = \"127.0.0.1:8080\"\n", "relay.toml:1: admin_listen must be different from listen"),
    ] {
        let message = load(&[], &[], Some(file)).expect_err(file);
        assert!(message.starts_with(line), "{message}");
    }
    assert_eq!(MAX_REQUEST_BYTES, 496 << 10, "as the message says");
    for good in [
        "max_body_bytes = \"8MiB\"\n",
        "max_body_bytes = \"480KiB\"\ncluster = \"nats://a.internal\"\ncluster_key_file = \"key\"\n",
    ] {
        load(&[], &[], Some(good)).expect(good);
    }
    let config = load(&[], &[], Some("max_connections = 100\n")).expect("the others follow");
    assert_eq!((config.max_followers, config.max_followers_per_client), (90, 90));
    assert_eq!(config.max_connections_per_address, 100);
    for (connections, of_an_address) in [
        (999, 999),
        (1_000, 900),
        (8_000, 7_200),
        (12_000, 10_800),
        (17_696, 11_000),
        (22_000, 11_000),
        (40_000, 20_000),
    ] {
        let config = load(&[], &[], Some(&format!("max_connections = {connections}\n"))).expect("good");
        assert_eq!(config.max_connections_per_address, of_an_address, "of {connections}");
    }
    let proxies = load(&[], &[], Some("trusted_proxies = [\"127.0.0.1\", \"fd00::/8\"]\n")).expect("good");
    assert_eq!(proxies.trusted_proxies, ["127.0.0.1/32", "fd00::/8"].map(|range| range.parse().expect("a range")));
    assert!(!proxies.proxy_protocol);
    let free = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n";
    assert!(load(&[], &[], Some(free)).is_ok(), "port 0 is a different one each time");
}

#[test]
fn public_url_defaults_to_the_bound_address() {
    let mut config = load(&[], &[], None).expect("good");
    let url = |config: &Config, bound: &str| config.public_url(bound.parse().expect("an address"));
    assert_eq!(url(&config, "0.0.0.0:81"), "http://localhost:81");
    assert_eq!(url(&config, "[::]:81"), "http://localhost:81");
    assert_eq!(url(&config, "[::1]:81"), "http://[::1]:81");
    config = load(&[], &[("DOCRELAY_PUBLIC_URL", "https://a.example/relay/")], None).expect("good");
    assert_eq!(url(&config, "0.0.0.0:81"), "https://a.example/relay");
}

#[test]
fn admin_token_is_absent_from_errors_and_debug_output() {
    let config = load(&[], &[("DOCRELAY_ADMIN_TOKEN", "hunter2")], None).expect("good");
    assert_eq!(config.admin_token.as_ref().map(Secret::expose), Some("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
    let message = load(&[], &[("DOCRELAY_ADMIN_TOKEN", "hunter 2")], None).expect_err("refused");
    assert!(!message.contains("hunter"), "{message}");
}

#[test]
fn unknown_environment_variables_are_reported() {
    let mut names: Vec<String> = KEYS.iter().map(Key::variable).collect();
    // Variables of the commands, which a shell may have set.
    names.extend(["DOCRELAY_CONFIG", "DOCRELAY_TOKEN", "DOCRELAY_HOOK_SECRET"].map(str::to_owned));
    names.extend(["DOCRELAY_NOTIFICATION_SECRET", "DOCRELAY_NOTIFICATION_TOKEN_VALUE"].map(str::to_owned));
    names.extend(["PATH", "DOCRELAY_LISSEN"].map(str::to_owned));
    assert_eq!(unknown_variables(names), ["DOCRELAY_LISSEN"]);
}

#[test]
fn reference_has_one_row_of_six_cells_per_key() {
    let page = reference();
    assert_eq!(page.lines().count(), KEYS.len() + 2);
    for line in page.lines() {
        assert_eq!(line.matches('|').count(), 7, "{line}");
    }
    assert!(
        page.contains("| `listen` | `DOCRELAY_LISTEN` | `--listen` | `127.0.0.1:8080` | restart | Public address"),
        "{page}"
    );
}

#[test]
fn check_reads_the_file_only() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("relay.toml");
    fs::write(&path, "max_connections = 1000000\n").expect("written");
    assert!(Config::check(&path).is_ok(), "another machine may have more files");
    assert!(matches!(Config::check(&home.path().join("none")), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn flags_do_not_replace_the_help_of_a_command() {
    /// Runs the relay
    #[derive(clap::Parser)]
    struct Serve {
        #[command(flatten)]
        _flags: Flags,
    }
    let command = <Serve as clap::CommandFactory>::command();
    assert_eq!(command.get_about().map(ToString::to_string).as_deref(), Some("Runs the relay"));
}

#[test]
fn default_limits_follow_from_open_file_limit() {
    assert_eq!(default_deliveries(1024), 128);
    assert_eq!(default_connections(1024, 128), 512);
    assert_eq!(default_followers(768), 691);
    assert_eq!(default_followers_per_client(691), 691);
    assert_eq!(default_deliveries(20_000), 1024);
    assert_eq!(default_connections(20_000, 1024), 17_696);
    assert_eq!(default_connections(u64::MAX, 1024), 200_000);
    assert_eq!(default_followers_per_client(default_followers(200_000)), 10_000);
}

#[test]
fn tiny_open_file_limit_leaves_a_connection_for_vendors() {
    for open_files in 0..2_000 {
        let all = default_connections(open_files, default_deliveries(open_files));
        assert!(default_followers(all) >= 1 && default_followers(all) < all, "{open_files}");
        assert!(open_files < 4 || (all as u64) < open_files, "{open_files}");
    }
}

#[test]
fn raise_open_files_never_lowers_the_limit() {
    let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    assert!(raise_open_files() >= before);
}
