//! What the brokers store for a cluster, as an administrator of them sees it and could change it.

use async_nats::jetstream::object_store::{ObjectInfo, ObjectMetadata};
use async_nats::jetstream::{self, Context};
use futures::TryStreamExt;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use super::brokers::Brokers;

/// A bucket of records or snapshots.
pub(crate) struct Bucket {
    runtime: Runtime,
    context: Context,
    /// Without the prefix of its stream.
    name: String,
}

/// An object of a bucket.
pub(crate) struct StoredObject {
    info: ObjectInfo,
    pub(crate) bytes: Vec<u8>,
}

impl Bucket {
    /// The only bucket with such a name: `KV` for records, `OBJ` for snapshots.
    #[track_caller]
    pub(crate) fn find(brokers: &Brokers, kind: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (context, names) = runtime.block_on(async {
            let client = async_nats::connect(brokers.urls()).await.expect("a broker");
            let context = jetstream::new(client);
            let names: Vec<String> = context.stream_names().try_collect().await.expect("the streams");
            (context, names)
        });
        let prefix = format!("{kind}_");
        let found: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(&prefix)).collect();
        let [name] = found[..] else { panic!("the buckets are {names:?}") };
        Self { runtime, context, name: name.to_owned() }
    }

    /// Writes a record.
    #[track_caller]
    pub(crate) fn put_record(&self, key: &str, value: &str) {
        let (subject, value) = (format!("$KV.{}.{key}", self.name), value.to_owned());
        self.runtime.block_on(async {
            let stored = self.context.publish(subject, value.into()).await.expect("sent");
            stored.await.expect("stored");
        });
    }

    #[track_caller]
    pub(crate) fn objects(&self) -> Vec<StoredObject> {
        self.runtime.block_on(async {
            let store = self.context.get_object_store(&self.name).await.expect("the object store");
            let infos: Vec<ObjectInfo> = store.list().await.expect("a list").try_collect().await.expect("a list");
            let mut objects = Vec::new();
            for info in infos {
                let mut bytes = Vec::new();
                store.get(&info.name).await.expect("an object").read_to_end(&mut bytes).await.expect("its content");
                objects.push(StoredObject { info, bytes });
            }
            objects
        })
    }

    /// Replaces the content of an object, with a digest that fits.
    #[track_caller]
    pub(crate) fn replace(&self, object: &StoredObject, content: &[u8]) {
        let metadata = ObjectMetadata {
            name: object.info.name.clone(),
            metadata: object.info.metadata.clone(),
            ..ObjectMetadata::default()
        };
        self.runtime.block_on(async {
            let store = self.context.get_object_store(&self.name).await.expect("the object store");
            store.put(metadata, &mut &content[..]).await.expect("stored");
        });
    }
}
