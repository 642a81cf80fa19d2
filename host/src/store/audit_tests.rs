use std::fs;
use std::path::PathBuf;

use super::*;
use crate::store::StoreConfig;

/// A closed store with so many records.
async fn written(records: u64) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    append(&path, 0, records).await;
    (directory, path)
}

async fn append(path: &Path, from: u64, records: u64) {
    let store = Store::open(StoreConfig::new(path)).unwrap();
    for number in from..from + records {
        let head = format!("head {number}");
        let body = if number % 2 == 0 { "" } else { "a body" };
        let at = i64::try_from(number).unwrap();
        store
            .audit(at, head.as_bytes(), body.as_bytes())
            .await
            .unwrap();
    }
    store.close().await.unwrap();
}

/// The one file of the series.
fn file(store: &Path) -> PathBuf {
    let files = fs::read_dir(store.join("audit")).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    files
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .unwrap()
}

/// Replaces a text in the file, with a checksum that fits: whoever changes a log knows how to.
fn forge(store: &Path, text: &str, by: &str) {
    let path = file(store);
    let mut bytes = fs::read(&path).unwrap();
    let found = bytes.windows(text.len()).position(|w| w == text.as_bytes());
    let found = found.unwrap();
    bytes[found..found + text.len()].copy_from_slice(by.as_bytes());
    let mut at = 8;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let crc = crc32fast::hash(&bytes[at + 8..at + 8 + length]);
        bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        at += 8 + length;
    }
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_log_that_nobody_touched_holds_over_restarts() {
    let (_directory, store) = written(5).await;
    let before = verify(&store, &[]).unwrap();
    assert_eq!((before.first, before.last, before.records), (1, 5, 5));
    append(&store, 5, 3).await;
    let after = verify(&store, &[(5, before.hash)]).unwrap();
    assert_eq!((after.first, after.last, after.records), (1, 8, 8));
    let other = verify(&store, &[(5, after.hash)]);
    assert!(
        matches!(other, Err(Unverified::Broken { number: 5, .. })),
        "{other:?}"
    );
    let more = verify(&store, &[(9, after.hash)]);
    assert_eq!(more, Err(Unverified::Cut { last: 8, known: 9 }));
}

#[tokio::test]
async fn a_changed_record_is_found() {
    let (_directory, store) = written(5).await;
    forge(&store, "head 2", "head X");
    // That a record is another one the next one tells.
    let found = verify(&store, &[]);
    assert!(
        matches!(found, Err(Unverified::Broken { number: 4, .. })),
        "{found:?}"
    );
    let (_directory, store) = written(5).await;
    forge(&store, "head 4", "head X");
    let found = verify(&store, &[]);
    assert!(
        matches!(found, Err(Unverified::Broken { number: 5, .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn records_cut_out_are_found() {
    let (_directory, store) = written(5).await;
    let path = file(&store);
    let bytes = fs::read(&path).unwrap();
    let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize + 8;
    // The first one: the others are numbered by their place.
    let rest = [&bytes[..8], &bytes[8 + length..]].concat();
    fs::write(&path, rest).unwrap();
    assert_ne!(verify(&store, &[]).err(), None);
    // The last one.
    fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let cut = Unverified::Cut { last: 4, known: 5 };
    assert_eq!(verify(&store, &[]), Err(cut));
}

#[tokio::test]
async fn records_are_listed_from_both_ends() {
    let (_directory, path) = written(6).await;
    let store = Store::open(StoreConfig::new(path)).unwrap();
    let numbers = |backwards: bool, start: Option<u64>| {
        let mut found = Vec::new();
        let visit = |head: AuditHead<'_>| {
            assert_eq!(head.head, format!("head {}", head.number - 1).as_bytes());
            assert_eq!(head.body().unwrap().is_empty(), head.number % 2 == 1);
            found.push(head.number);
            match found.len() {
                3 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        match backwards {
            true => store.audit_backwards(start, visit).unwrap(),
            false => store.audit_forwards(start, visit).unwrap(),
        }
        found
    };
    assert_eq!(numbers(true, None), [6, 5, 4]);
    assert_eq!(numbers(true, Some(3)), [2, 1]);
    assert_eq!(numbers(false, None), [1, 2, 3]);
    assert_eq!(numbers(false, Some(5)), [6]);
}
