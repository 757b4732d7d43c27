//! Connections: TLS with an authority of one's own, users, and what an operator is told when they are wrong.

use std::io;
use std::sync::{Arc, Mutex};

use docrelay::journal::jetstream::{JetStream, JetStreamOptions};
use docrelay::journal::{Journal, JournalError};

use crate::harness::authority::authority;
use crate::harness::brokers::{Broker, Brokers};
use crate::harness::{EPOCH, TIMEOUT, create, identity, nats_server, options, publish_until_stored};

async fn failure(options: JetStreamOptions) -> String {
    match JetStream::connect(options).await {
        Err(JournalError::Unavailable(why) | JournalError::Unusable(why)) => why,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("connected"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_own_authority_and_password_works() {
    let Some(program) = nats_server() else { return };
    let directory = tempfile::tempdir().unwrap();
    authority(directory.path(), "ours", Some("server"));
    authority(directory.path(), "other", None);
    let file = |name: &str| directory.path().join(name).display().to_string();
    let broker = Broker::single(
        &program,
        &format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\" }}\nauthorization {{ user: relay, password: \"s3cret/@\" }}",
            file("server.pem"),
            file("server.key")
        ),
    );
    let url = |userinfo: &str| format!("tls://{userinfo}{}", broker.address());
    let with_ca =
        |userinfo: &str, ca: &str| JetStreamOptions { ca: Some(file(ca).into()), ..options(vec![url(userinfo)], 1) };
    let journal = create(with_ca("relay:s3cret%2F%40@", "ours.pem")).await;
    assert_eq!(publish_until_stored(&journal, "over TLS").await, 1);
    assert_eq!(journal.range().await.unwrap().end, 1);
    for (options, expected) in [
        (with_ca("relay:wr0ng@", "ours.pem"), "refuses the user"),
        (with_ca("", "ours.pem"), "refuses the user"),
        (with_ca("relay:s3cret%2F%40@", "other.pem"), "certificate"),
        (with_ca("relay:s3cret%2F%40@", "absent.pem"), "cannot read the broker's authority"),
    ] {
        let why = failure(options).await;
        assert!(why.contains(expected), "{why}");
        assert!(!why.contains("s3cret") && !why.contains("wr0ng"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusable_broker_is_explained_in_one_sentence() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let mut down = Broker::single(&program, "");
    down.kill();
    let credentials = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(credentials.path(), "S3CRET").unwrap();
    let working = || options(vec![broker.url()], 1);
    for (options, expected) in [
        (options(vec![down.url()], 1), "Connection refused"),
        (options(vec![broker.url()], 3), "the broker is a single server"),
        (options(vec![broker.url()], 9), "1 to 5"),
        (JetStreamOptions { name: "a.b".into(), ..working() }, "letters, digits"),
        (JetStreamOptions { credentials: Some(credentials.path().into()), ..working() }, "not a .creds file"),
        (JetStreamOptions { credentials: Some("absent.creds".into()), ..working() }, "absent.creds"),
    ] {
        let why = failure(options).await;
        assert!(why.contains(expected), "{why}");
        assert!(!why.contains('\n') && !why.contains("S3CRET"), "{why}");
    }
    let foreign = async_nats::jetstream::new(async_nats::connect(broker.url()).await.unwrap());
    foreign.create_stream("relays_journal").await.unwrap();
    let found = JetStream::connect(working()).await.unwrap().find().await.map(drop);
    assert!(matches!(&found, Err(JournalError::Unusable(why)) if why.contains("not a journal")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_servers_and_missing_jetstream_are_explained() {
    let Some(program) = nats_server() else { return };
    let accounts = "accounts { OTHER { users: [{ user: relay, password: secret }] } }";
    let without_jetstream = Broker::single(&program, accounts);
    let why = failure(options(vec![format!("relay:secret@{}", without_jetstream.address())], 1)).await;
    assert!(why.contains("JetStream is not enabled"), "{why}");
    let pair = Brokers::cluster(&program, 2);
    let created = JetStream::connect(options(pair.urls(), 3)).await.unwrap().create(identity(EPOCH)).await.map(drop);
    assert!(
        matches!(&created, Err(JournalError::Unavailable(why)) if why.contains("fewer servers than replicas")),
        "{created:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journal_larger_than_the_storage_of_the_servers_is_explained() {
    let Some(program) = nats_server() else { return };
    let (single, three) = (Broker::single(&program, ""), Brokers::cluster(&program, 3));
    for (servers, replicas) in [(vec![single.url()], 1), (three.urls(), 3)] {
        // The servers have 1 GB.
        let large = JetStreamOptions { max_bytes: 4 << 30, ..options(servers, replicas) };
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        let why = loop {
            let connected = JetStream::connect(large.clone()).await;
            let created = match connected {
                Ok(connected) => connected.create(identity(EPOCH)).await.map(drop),
                Err(error) => Err(error),
            };
            match created {
                Err(JournalError::Unusable(why)) => break why,
                // A new cluster has no leader at first.
                other => assert!(tokio::time::Instant::now() < deadline, "{other:?}"),
            }
        };
        for expected in ["4294967296 bytes", "cluster_journal_bytes", "max_file_store"] {
            assert!(why.contains(expected), "{why}");
        }
    }
}

/// Collects what is logged on one thread.
#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// On one thread, whose log is collected.
#[tokio::test]
async fn no_password_is_logged_at_any_level() {
    let Some(program) = nats_server() else { return };
    let log = LogBuffer::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_env_filter("trace").with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let broker = Broker::single(&program, "authorization { user: relay, password: s3cret }");
    let with = |password: &str| options(vec![format!("nats://relay:{password}@{}", broker.address())], 1);
    // A callsite that a thread of another test has reached first is off until the cache is rebuilt on this one: the
    // second round has all of them.
    for _ in 0..2 {
        tracing::callsite::rebuild_interest_cache();
        failure(with("wr0ng")).await;
        let journal = create(with("s3cret")).await;
        publish_until_stored(&journal, "text").await;
    }
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("CONNECT") && text.contains("relay"), "the client logs its handshake:\n{text}");
    assert!(!text.contains("s3cret") && !text.contains("wr0ng"), "{text}");
}
