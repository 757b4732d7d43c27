//! Key files: first start, rotation, publication before use, and the JWK set.

use super::*;
use crate::auth::Scopes;
use crate::domain::ClientRef;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("listed");
    entries.map(|e| e.expect("entry").file_name().into_string().expect("utf-8")).collect()
}

#[test]
fn first_start_creates_a_key_and_later_starts_reuse_it() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("keys");
    let first = Keys::open_or_create(&directory, at(1_795_351_380)).expect("made");
    let again = Keys::open_or_create(&directory, at(1_895_351_380)).expect("read");
    assert_eq!(first.jwks_json(), again.jwks_json());
    let names = names(&directory);
    assert_eq!(names.len(), 1);
    assert!(names[0].starts_with("20261122T124300000Z-") && names[0].ends_with(".pem"), "{names:?}");
}

#[test]
fn newest_key_signs_and_deleted_key_is_retired() {
    let home = tempfile::tempdir().expect("a directory");
    let old = Keys::open_or_create(home.path(), at(1_000)).expect("made");
    let old_file = home.path().join(&names(home.path())[0]);
    // A key of another relay is added, as an operator would add one.
    let other = tempfile::tempdir().expect("a directory");
    let new = Keys::open_or_create(other.path(), at(2_000_000_000)).expect("made");
    let new_name = &names(other.path())[0];
    fs::rename(other.path().join(new_name), home.path().join(new_name)).expect("moved");

    let both = Keys::open_or_create(home.path(), at(0)).expect("read");
    assert_eq!(both.newest().0, new.newest().0);
    assert!(both.verification_key(&old.newest().0).is_some());
    fs::remove_file(old_file).expect("deleted");
    let left = Keys::open_or_create(home.path(), at(0)).expect("read");
    assert!(left.verification_key(&old.newest().0).is_none());
}

#[test]
fn added_key_signs_after_caches_of_the_jwks_expired() {
    let home = tempfile::tempdir().expect("a directory");
    let start = Timestamp::now();
    let keys = Keys::open_or_create(home.path(), start).expect("made");
    let old_name = names(home.path()).remove(0);
    let other = tempfile::tempdir().expect("a directory");
    Keys::open_or_create(other.path(), at(4_000_000_000)).expect("made");
    let new_name = names(other.path()).remove(0);
    fs::rename(other.path().join(&new_name), home.path().join(&new_name)).expect("moved");
    let found = start.plus(Duration::from_secs(5));
    assert!(!keys.reload(found).expect("read"), "no key is retired");
    assert!(
        String::from_utf8_lossy(&keys.jwks_json()).contains(new_name.trim_end_matches(".pem")),
        "published at once"
    );
    let client = ClientRef { id: "acme".parse().expect("a name"), created: start };
    let kid = |now: Timestamp| {
        let token = keys.issue(&client, &Scopes::ALL, Duration::from_secs(60), now).expect("signed");
        jsonwebtoken::decode_header(&token).expect("a header").kid.map(|kid| kid + ".pem")
    };
    assert_eq!(kid(found), Some(old_name.clone()));
    assert_eq!(kid(found.plus(JWKS_MAX_AGE)), Some(old_name.clone()));
    assert_eq!(kid(found.plus(PUBLICATION_TIME)), Some(new_name.clone()));
    fs::remove_file(home.path().join(&old_name)).expect("deleted");
    assert!(keys.reload(found).expect("read"));
    assert_eq!(kid(found), Some(new_name), "the only key signs at once");
}

#[test]
fn rotated_key_signs_after_publication_and_old_key_can_be_retired() {
    let home = tempfile::tempdir().expect("a directory");
    let start = Timestamp::now();
    let relay = Keys::open_or_create(home.path(), start).expect("made");
    let old = relay.list(start).remove(0);
    assert!(old.signs);
    // Another process adds the key: the command.
    let command = Keys::open_or_create(home.path(), start).expect("read");
    assert!(matches!(command.retire(&old.kid, start), Err(KeyError::OnlyKey(kid)) if kid == old.kid));
    // Later than the old key's file was written, however slow that was.
    let rotated = start.plus(Duration::from_secs(60));
    let new = command.rotate(rotated).expect("rotated");
    assert_eq!((new.signs, new.signs_from), (false, rotated.plus(PUBLICATION_TIME + RELOAD_MARGIN)));
    // A relay reads the keys every 30 s.
    let found = rotated.plus(RELOAD_MARGIN);
    assert!(!relay.reload(found).expect("read"), "no key is retired");
    let signing = |now: Timestamp| relay.list(now).into_iter().find(|key| key.signs).map(|key| key.kid);
    assert_eq!(signing(found), Some(old.kid.clone()));
    assert_eq!(signing(new.signs_from), Some(new.kid.clone()));
    command.retire(&old.kid, new.signs_from).expect("retired");
    assert!(matches!(command.retire(&old.kid, new.signs_from), Err(KeyError::UnknownKey(_))));
    assert!(matches!(command.retire("../seal", new.signs_from), Err(KeyError::UnknownKey(_))));
    assert!(relay.reload(new.signs_from).expect("read"), "a key is retired");
    assert_eq!(relay.list(new.signs_from).len(), 1);
    assert_eq!(names(home.path()), [format!("{}.pem", new.kid)]);
}

#[test]
fn rotated_key_sorts_after_a_key_of_any_name() {
    let home = tempfile::tempdir().expect("a directory");
    let keys = Keys::open_or_create(home.path(), at(4_000_000_000)).expect("made");
    let first = keys.list(at(0)).remove(0).kid;
    // The clock was set back.
    let second = keys.rotate(at(1_000)).expect("rotated").kid;
    fs::rename(home.path().join(format!("{first}.pem")), home.path().join("zeta.pem")).expect("renamed");
    let third = keys.rotate(at(4_000_000_001)).expect("rotated").kid;
    let listed: Vec<String> = keys.list(at(0)).into_iter().map(|key| key.kid).collect();
    assert!(second > first && third.as_str() > "zeta", "{first} {second} {third}");
    assert_eq!(listed, [second, "zeta".to_owned(), third]);
}

#[test]
fn jwks_contains_public_keys_only() {
    let home = tempfile::tempdir().expect("a directory");
    let keys = Keys::open_or_create(home.path(), at(0)).expect("made");
    let set: serde_json::Value = serde_json::from_slice(&keys.jwks_json()).expect("JSON");
    let key = set["keys"][0].as_object().expect("a key");
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into()));
    assert_eq!(key["kid"], keys.newest().0);
    assert_eq!(BASE64URL_NOPAD.decode(key["x"].as_str().expect("text").as_bytes()).expect("base64").len(), 32);
    assert!(!key.contains_key("d"));
}

#[test]
fn malformed_key_file_is_rejected_by_name() {
    let home = tempfile::tempdir().expect("a directory");
    files::create(&home.path().join("2026.pem"), b"not a key").expect("made");
    let said = Keys::open_or_create(home.path(), at(0)).expect_err("refused").to_string();
    assert!(said.contains("2026.pem is not an Ed25519 private key"), "{said}");
}

#[test]
fn concurrent_first_starts_create_one_key() {
    let home = tempfile::tempdir().expect("a directory");
    std::thread::scope(|s| {
        for n in 0..8 {
            s.spawn({
                let path = home.path();
                move || Keys::open_or_create(path, at(n)).expect("made")
            });
        }
    });
    assert_eq!(names(home.path()).len(), 1);
}
