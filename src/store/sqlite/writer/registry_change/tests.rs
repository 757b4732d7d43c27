//! Clients that are removed and added again at the same time, while the rows of the former ones are still being erased
//! and after that.

use super::{RegistryChange, RemainingWork};
use crate::domain::{Client, ClientRef, Secret, Timestamp};
use crate::store::Seal;
use crate::store::sqlite::retention::{SliceBudget, erase};
use crate::store::sqlite::tables::registry;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::faults::{client_ref, writer};

/// Puts the context before the text, and opens it with the same context only.
struct ContextSeal;

impl Seal for ContextSeal {
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8> {
        [context, text].concat()
    }

    fn seal_with_nonce(&self, text: &[u8], context: &[u8], _: [u8; 12]) -> Vec<u8> {
        self.seal(text, context)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        sealed.strip_prefix(context).map(<[u8]>::to_vec).ok_or_else(|| "another context".to_owned())
    }
}

/// What has become of the rows of a removed client when the next one is added.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    Left,
    Erased,
}

fn apply(writer: &mut Writer, change: RegistryChange) -> RemainingWork {
    change.apply(&mut writer.db, &writer.shared.registry, &ContextSeal, &|_| Ok(())).expect("an applied change")
}

/// Removes the client and adds it again at this time. Returns the new one.
fn recreate(writer: &mut Writer, created: Timestamp, rows: Rows) -> ClientRef {
    let id = client_ref().id;
    let remaining = apply(writer, RegistryChange::RemoveClient { id: id.clone() });
    let RemainingWork::EraseClient(number, _) = remaining else { panic!("nothing to erase") };
    if rows == Rows::Erased {
        let is_complete = erase::slice(&writer.db, number, SliceBudget::work(1_000)).expect("erased");
        assert!(is_complete && erase::removed_clients(&writer.db).expect("numbers").iter().all(|left| *left != number));
    }
    let client = Client { id: id.clone(), created, secret: Secret::new("new"), previous: None };
    let sealed = registry::seal_client(&ContextSeal, &client);
    apply(writer, RegistryChange::AddClient { client, sealed });
    let cached = writer.shared.registry.read();
    cached.clients.get(&id).expect("the new client").client.reference()
}

#[test]
fn recreated_client_never_has_the_time_of_a_removed_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, _store) = writer(&directory);
    let mut former = vec![client_ref()];
    // The clock stands still, goes on, stands still, and steps back: to a free time, to a taken one.
    for (asked, expected) in [(0, 1), (0, 2), (1, 3), (9, 9), (9, 10), (4, 4), (2, 5)] {
        let rows = if expected % 2 == 0 { Rows::Left } else { Rows::Erased };
        let new = recreate(&mut writer, Timestamp::from_millis(asked), rows);
        assert_eq!(new.created.millis(), expected, "{former:?}");
        for earlier in &former {
            assert!(writer.shared.registry.number(earlier).is_none(), "{earlier:?} reaches {new:?}");
        }
        assert!(writer.shared.registry.number(&new).is_some());
        former.push(new);
    }
    let Ok(rows) = registry::load(&writer.db, &ContextSeal) else { panic!("the sealed secrets have another time") };
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].client.created.millis(), rows[0].client.secret.expose()), (5, "new"));
}
