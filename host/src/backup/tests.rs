use super::*;
use crate::config::Config;
use crate::store::Store;

const HOUR: i64 = SECONDS_PER_HOUR;

/// A host that serves nothing, with its data below a directory.
async fn host(directory: &Path, every_hours: u64, kept: usize) -> Arc<Acs> {
    let plugins = directory.join("plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    let mut config = Config {
        data_directory: directory.join("data"),
        plugin_directory: plugins,
        ..Config::default()
    };
    config.backup.every_hours = every_hours;
    config.backup.kept = kept;
    let store = Store::memory().unwrap();
    Acs::with_store(config, store).await.unwrap()
}

fn hours(acs: &Acs, since: UnixTime) -> Vec<i64> {
    let kept = acs.kept_backups().into_iter();
    kept.map(|backup| (backup.made - since) / HOUR).collect()
}

#[test]
fn the_time_is_in_the_name() {
    let at = 1_795_395_723;
    let stem = file_stem(at);
    assert_eq!(stem, "2026-11-23T012203Z".replace("012203", &stem[11..17]));
    assert_eq!(made_at(&format!("{stem}.backup")), Some(at));
    for other in [
        "x.backup",
        "2026-11-23T010203Z",
        ".unfinished-1",
        "2026-11-23T010203Z.txt",
    ] {
        assert_eq!(made_at(other), None, "{other}");
    }
}

#[tokio::test]
async fn they_are_made_as_often_as_is_said_and_the_last_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let acs = host(directory.path(), 6, 3).await;
    let began = 1_800_000_000;
    // Looked at each minute for two days.
    for minute in 0..2 * 24 * 60 {
        acs.back_up_if_due(began + minute * 60).await;
        let newest = minute / 60 / 6 * 6;
        let expected = (0..3)
            .map(|back| newest - 6 * back)
            .filter(|hour| *hour >= 0);
        assert_eq!(
            hours(&acs, began),
            expected.collect::<Vec<_>>(),
            "minute {minute}"
        );
    }
    assert_eq!((acs.backups.made.get(), acs.backups.failed.get()), (8, 0));
    // A host that begins anew knows of them, and a clock that went back makes another one.
    let acs = host(directory.path(), 6, 3).await;
    acs.back_up_if_due(began + 47 * HOUR).await;
    assert_eq!(acs.backups.made.get(), 0);
    acs.back_up_if_due(began + 48 * HOUR).await;
    assert_eq!(hours(&acs, began), [48, 42, 36]);
    for minute in 0..10 {
        acs.back_up_if_due(began - 9 * HOUR + minute * 60).await;
    }
    assert_eq!(hours(&acs, began), [48, 42, -9]);
    assert_eq!(acs.backups.made.get(), 2);
}

#[tokio::test]
async fn none_is_made_by_itself_where_nobody_wants_it() {
    let directory = tempfile::tempdir().unwrap();
    let acs = host(directory.path(), 0, 1).await;
    acs.back_up_if_due(1_800_000_000).await;
    assert!(acs.kept_backups().is_empty());
    for day in 0..3 {
        acs.back_up(1_800_000_000 + day * 86_400).await.unwrap();
    }
    assert_eq!(hours(&acs, 1_800_000_000), [48]);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_told_and_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let acs = host(directory.path(), 1, 2).await;
    let backups = directory.path().join("data/backups");
    std::fs::create_dir_all(directory.path().join("data")).unwrap();
    std::fs::write(&backups, "in the way").unwrap();
    let began = 1_800_000_000;
    let told = |acs: &Acs| {
        let readiness = acs.readiness();
        let check = readiness
            .checks
            .into_iter()
            .find(|check| check.name == "backup");
        let check = check.unwrap();
        assert!(check.ok, "a backup is no reason to serve nobody");
        check.text
    };
    assert_eq!(told(&acs), None);
    for minute in 0..30 {
        acs.back_up_if_due(began + minute * 60).await;
    }
    assert_eq!((acs.backups.made.get(), acs.backups.failed.get()), (0, 3));
    let text = told(&acs).unwrap();
    assert!(text.starts_with("the last backup failed"), "{text}");
    assert!(acs.store.takes_writes());
    let metrics = acs.metrics().await;
    for line in [
        "patchbay_backups_total{result=\"failed\"} 3",
        "patchbay_backup_age_seconds -1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    std::fs::remove_file(&backups).unwrap();
    acs.back_up_if_due(began + 30 * 60).await;
    assert_eq!(acs.backups.made.get(), 1);
    assert_eq!(told(&acs), None);
    // What a host that died has left goes with the next one.
    std::fs::create_dir(backups.join(".unfinished-00000001")).unwrap();
    acs.back_up_if_due(began + 91 * 60).await;
    let left = std::fs::read_dir(&backups).unwrap().count();
    assert_eq!(left, 2);
}
