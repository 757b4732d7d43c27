//! Finds the journal of a cluster on a broker, or makes it. The stream of the entries is made last: a journal exists
//! when it does, and of two nodes that make one at the same time one gets `Conflict`.

use std::time::Duration;

use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{ErrorCode, kv, object_store};

use super::connection::{BrokerConnection, metadata};
use super::{JetStream, JetStreamOptions, failure};
use crate::journal::{JournalError, JournalIdentity};

const MAX_MESSAGE_BYTES: i32 = 1024 * 1024;
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Before it, acknowledged writes could be lost in more ways, and stream metadata and consumers behaved differently.
const MIN_SERVER_VERSION: (i64, i64, i64) = (2, 12, 0);

/// A connection to a broker that can hold a journal.
pub struct Connected {
    connection: BrokerConnection,
    options: JetStreamOptions,
}

impl Connected {
    pub(super) async fn open(options: JetStreamOptions) -> Result<Self, JournalError> {
        let connection = BrokerConnection::open(&options).await?;
        let connected = Self { connection, options };
        connected.check_broker().await?;
        Ok(connected)
    }

    async fn check_broker(&self) -> Result<(), JournalError> {
        let (client, server) = (&self.connection.client, self.connection.client.server_info());
        let unfit = |why: String| Err(JournalError::Unusable(why));
        let (major, minor, patch) = MIN_SERVER_VERSION;
        if !client.is_server_compatible(major, minor, patch) {
            return unfit(format!("the broker has version {}: at least {major}.{minor} is needed", server.version));
        }
        if server.max_payload < usize::try_from(MAX_MESSAGE_BYTES).unwrap_or_default() {
            return unfit(format!("the broker's max_payload is {}: at least 1 MiB is needed", server.max_payload));
        }
        let replicas = self.options.replicas;
        if !(1..=5).contains(&replicas) {
            return unfit(format!("{replicas} replicas are configured: 1 to 5 are possible"));
        }
        if replicas > 1 && server.cluster.is_none() {
            return unfit(format!("{replicas} replicas are configured, and the broker is a single server"));
        }
        self.connection.context.query_account().await.map(drop).map_err(|error| {
            let why = format!("JetStream is not enabled on the broker or for this user, or has no leader: {error}");
            JournalError::Unavailable(why)
        })
    }

    /// The journal of this name, if there is one.
    ///
    /// # Errors
    /// `Unusable`: the stream of this name is not a journal, or one of another version. `Unavailable`, `Unknown`.
    pub async fn find(&self) -> Result<Option<JetStream>, JournalError> {
        let Some(info) = self.connection.find_stream().await? else { return Ok(None) };
        let identity = self.connection.identity(&info)?;
        self.report_differences(identity, &info.config);
        let name = self.connection.names.snapshots(identity.id);
        let snapshots = self.connection.context.get_object_store(&name).await.map_err(|error| {
            JournalError::Unavailable(format!("the journal's bucket {name} cannot be used: {error}"))
        })?;
        Ok(Some(JetStream::new(self.connection.clone(), identity, snapshots)))
    }

    /// Tells the operator where the journal has other settings than this node would make it with: the brokers keep
    /// those that the founder had.
    fn report_differences(&self, identity: JournalIdentity, journal: &Config) {
        let names = &self.connection.names;
        let differences = differences(&self.options, journal, &names.stream);
        if differences.is_empty() {
            return;
        }
        let buckets = [names.records(identity.id), names.snapshots(identity.id)];
        let [records, snapshots] = [format!("KV_{}", buckets[0]), format!("OBJ_{}", buckets[1])];
        tracing::warn!(
            records,
            snapshots,
            "journal has other settings than this node's configuration: {}",
            differences.join("; ")
        );
    }

    /// Makes the journal of this name. May be repeated with the same identity.
    ///
    /// # Errors
    /// `Conflict`: there is one with another identity. `Unusable`: the broker has no room for it. `Unavailable`.
    /// `Unknown`: it may have been made.
    pub async fn create(&self, identity: JournalIdentity) -> Result<JetStream, JournalError> {
        if let Some(info) = self.connection.find_stream().await? {
            // An earlier call has made it, without an answer.
            if self.connection.identity(&info).ok() == Some(identity) {
                return self.find().await?.ok_or(JournalError::Replaced);
            }
            return Err(JournalError::Conflict);
        }
        let made = self.create_all(identity).await;
        if matches!(made, Err(JournalError::Conflict | JournalError::Unavailable(_) | JournalError::Unusable(_))) {
            self.remove_buckets(identity).await;
        }
        made
    }

    async fn create_all(&self, identity: JournalIdentity) -> Result<JetStream, JournalError> {
        let (context, names) = (&self.connection.context, &self.connection.names);
        let records = kv::Config {
            bucket: names.records(identity.id),
            description: "records of docrelay's nodes".into(),
            history: 1,
            storage: StorageType::File,
            num_replicas: self.options.replicas,
            ..Default::default()
        };
        context.create_key_value(records).await.map_err(|error| broker_error(&error))?;
        let snapshots = object_store::Config {
            bucket: names.snapshots(identity.id),
            description: Some("snapshots of docrelay's database".into()),
            storage: StorageType::File,
            num_replicas: self.options.replicas,
            ..Default::default()
        };
        let snapshots = context.create_object_store(snapshots).await.map_err(|error| broker_error(&error))?;
        let journal = Config {
            name: names.stream.clone(),
            description: Some("the journal of docrelay's nodes".into()),
            subjects: vec![names.subject(identity.id)],
            storage: StorageType::File,
            num_replicas: self.options.replicas,
            discard: DiscardPolicy::New,
            deny_delete: true,
            max_bytes: self.options.max_bytes,
            max_message_size: MAX_MESSAGE_BYTES,
            duplicate_window: DUPLICATE_WINDOW,
            metadata: metadata(identity).into(),
            ..Default::default()
        };
        match context.create_stream(journal).await {
            Ok(_) => Ok(JetStream::new(self.connection.clone(), identity, snapshots)),
            Err(error) => Err(match error.kind() {
                CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {
                    JournalError::Conflict
                }
                CreateStreamErrorKind::JetStream(error) if failure::lacks_storage(&error) => {
                    JournalError::Unusable(format!(
                        "the broker has no room for a journal of {} bytes: lower cluster_journal_bytes, or raise \
                         max_file_store of the NATS servers: {error}",
                        self.options.max_bytes
                    ))
                }
                CreateStreamErrorKind::JetStream(error) => failure::refused(&error),
                CreateStreamErrorKind::TimedOut => {
                    JournalError::Unknown("no answer to the request for a stream".into())
                }
                _ => JournalError::Unavailable(error.to_string()),
            }),
        }
    }

    /// Buckets that stay behind do no harm: their names contain a random number.
    async fn remove_buckets(&self, identity: JournalIdentity) {
        let (context, names) = (&self.connection.context, &self.connection.names);
        context.delete_key_value(names.records(identity.id)).await.ok();
        context.delete_object_store(names.snapshots(identity.id)).await.ok();
    }
}

/// Where a journal has other settings than these options, with what to do: one clause each.
fn differences(options: &JetStreamOptions, journal: &Config, stream: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (configured, present) = (options.replicas, journal.num_replicas);
    if configured != present {
        found.push(format!(
            "cluster_replicas is {configured}, and the journal has {present}: set cluster_replicas to {present}, or run `nats stream \
             edit {stream} --replicas={configured}`, and the same for the streams of the records and of the snapshots"
        ));
    }
    let (configured, present) = (options.max_bytes, journal.max_bytes);
    if configured != present {
        found.push(format!(
            "cluster_journal_bytes is {configured}, and the journal is bounded by {present} bytes: set cluster_journal_bytes to \
             {present}, or run `nats stream edit {stream} --max-bytes={configured}`"
        ));
    }
    if journal.discard != DiscardPolicy::New {
        found.push(format!(
            "the journal discards old entries when it is full, and must refuse new ones: run `nats stream edit {stream} \
             --discard=new`"
        ));
    }
    if !journal.max_age.is_zero() {
        found.push(format!(
            "the journal removes entries after {} s, and must keep them: remove the max_age of the stream {stream} with `nats \
             stream edit`",
            journal.max_age.as_secs()
        ));
    }
    found
}

/// The broker's own error below those of the client, if there is one.
fn broker_error(error: &(dyn std::error::Error + 'static)) -> JournalError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref::<async_nats::jetstream::Error>() {
            return failure::refused(refusal);
        }
        let kind = inner.downcast_ref::<async_nats::jetstream::context::CreateStreamError>().map(|error| error.kind());
        if let Some(CreateStreamErrorKind::JetStream(refusal)) = kind {
            return failure::refused(&refusal);
        }
        cause = inner.source();
    }
    JournalError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_both_values_and_the_remedy() {
        let options = JetStreamOptions {
            servers: Vec::new(),
            name: "relays".to_owned(),
            replicas: 3,
            credentials: None,
            ca: None,
            max_bytes: 1 << 30,
        };
        let made = Config { num_replicas: 3, max_bytes: 1 << 30, discard: DiscardPolicy::New, ..Config::default() };
        assert_eq!(differences(&options, &made, "relays_journal"), Vec::<String>::new());
        let changed = Config {
            num_replicas: 1,
            max_bytes: 4096,
            discard: DiscardPolicy::Old,
            max_age: Duration::from_secs(60),
            ..made
        };
        let found = differences(&options, &changed, "relays_journal");
        let expected: [&[&str]; 4] = [
            &["cluster_replicas is 3, and the journal has 1", "nats stream edit relays_journal --replicas=3"],
            &[
                "cluster_journal_bytes is 1073741824",
                "4096 bytes",
                "nats stream edit relays_journal --max-bytes=1073741824",
            ],
            &["discards old entries", "--discard=new"],
            &["after 60 s", "max_age"],
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (text, parts) in found.iter().zip(expected) {
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
