//! When a transaction is safe, and what becomes of it when the disk refuses.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use micro_core::Kind;
use micro_engine::{Database, Home, Schema, Storage, fail_point};
use tempfile::TempDir;

const SCHEMA: Schema = Schema { what: "test", steps: &["CREATE TABLE a (n INTEGER)"] };

fn open() -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), "test").unwrap();
    let database = Database::open(&home, "x.db", &SCHEMA).unwrap();
    (folder, database)
}

fn insert(database: &mut Database, number: i64) -> micro_core::Result<()> {
    database.begin()?;
    database.connection().execute("INSERT INTO a VALUES (?)", [number]).unwrap();
    database.commit()
}

/// What another process sees.
fn numbers(folder: &Path) -> Vec<i64> {
    let reader = Database::reader(&folder.join("x.db")).unwrap();
    let mut select = reader.prepare("SELECT n FROM a ORDER BY n").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn log(folder: &Path) -> PathBuf {
    folder.join("x.db-wal")
}

#[test]
fn the_log_is_synced_by_the_system_itself() {
    let (folder, mut database) = open();
    insert(&mut database, 1).unwrap();
    // In the place of the log lies what the kernel refuses to sync: that is seen only by who really asks it to.
    let aside = folder.path().join("aside");
    std::fs::rename(log(folder.path()), &aside).unwrap();
    symlink("/dev/null", log(folder.path())).unwrap();
    let error = database.sync().unwrap_err();
    assert!(error.kind() == Kind::Unavailable && error.to_string().contains("cannot sync the database"), "{error}");
    std::fs::remove_file(log(folder.path())).unwrap();
    std::fs::rename(aside, log(folder.path())).unwrap();
    assert_eq!(numbers(folder.path()), [1]);
}

#[test]
fn a_commit_is_seen_before_it_is_safe_and_a_slow_sync_keeps_no_other_from_writing() {
    let (folder, mut database) = open();
    let slow = fail_point::set(folder.path(), "engine.sync=delay(500):1").unwrap();
    insert(&mut database, 1).unwrap();
    let syncing = std::thread::spawn(move || {
        let start = Instant::now();
        database.sync().unwrap();
        start.elapsed()
    });
    while slow.failed() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(numbers(folder.path()), [1]);
    let mut other = Database::open(&Home::open(folder.path(), "test").unwrap(), "x.db", &SCHEMA).unwrap();
    insert(&mut other, 2).unwrap();
    assert!(!syncing.is_finished(), "the other one did not wait");
    assert!(syncing.join().unwrap() >= Duration::from_millis(500));
}

#[test]
fn after_a_failed_sync_the_log_is_emptied_into_the_file_before_anything_is_called_safe() {
    let (folder, mut database) = open();
    let failing = fail_point::set(folder.path(), "engine.sync=error(EIO):1").unwrap();
    insert(&mut database, 1).unwrap();
    let error = database.sync().unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(text.contains("x.db") && text.contains("sync"), "{text}");
    insert(&mut database, 2).unwrap();
    assert!(std::fs::metadata(log(folder.path())).unwrap().len() > 0);
    database.sync().unwrap();
    assert_eq!(failing.failed(), 1);
    assert_eq!(std::fs::metadata(log(folder.path())).unwrap().len(), 0, "a new log begins");
    assert_eq!(numbers(folder.path()), [1, 2]);
    // From here on the log alone is synced again.
    insert(&mut database, 3).unwrap();
    database.sync().unwrap();
    assert!(std::fs::metadata(log(folder.path())).unwrap().len() > 0);
}

#[test]
fn a_log_that_could_not_be_emptied_is_never_called_safe_until_it_was() {
    let (folder, mut database) = open();
    let _failing = fail_point::set(folder.path(), "engine.sync=error(EIO):1; engine.heal=error(ENOSPC):2").unwrap();
    for (number, kind) in [(1, Kind::Unavailable), (2, Kind::DiskFull), (3, Kind::DiskFull)] {
        insert(&mut database, number).unwrap();
        assert_eq!(database.sync().unwrap_err().kind(), kind);
    }
    insert(&mut database, 4).unwrap();
    database.sync().unwrap();
    assert_eq!(std::fs::metadata(log(folder.path())).unwrap().len(), 0);
    assert_eq!(numbers(folder.path()), [1, 2, 3, 4]);
}

#[test]
fn a_commit_that_fails_leaves_nothing_behind_and_the_turn_to_the_next() {
    let (folder, mut database) = open();
    for what in ["engine.commit=error(ENOSPC):1", "engine.begin=error(ENOSPC):1"] {
        let _full = fail_point::set(folder.path(), what).unwrap();
        let error = insert(&mut database, 1).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::DiskFull, "{text}");
        for word in [folder.path().to_str().unwrap(), "make room", "What was acknowledged is safe"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
        assert!(numbers(folder.path()).is_empty());
    }
    let mut other = Database::open(&Home::open(folder.path(), "test").unwrap(), "x.db", &SCHEMA).unwrap();
    insert(&mut other, 2).unwrap();
    insert(&mut database, 3).unwrap();
    assert_eq!(numbers(folder.path()), [2, 3]);
}

#[test]
fn who_comes_after_a_failed_sync_empties_the_log_too_before_calling_anything_safe() {
    let (folder, mut database) = open();
    insert(&mut database, 1).unwrap();
    database.sync().unwrap();
    let failing = fail_point::set(folder.path(), "engine.sync=error(EIO):1").unwrap();
    insert(&mut database, 2).unwrap();
    database.sync().unwrap_err();
    assert_eq!(failing.failed(), 1);
    // The kernel tells of the loss those who had the log open, and this one had not.
    let mut later = Database::open(&Home::open(folder.path(), "test").unwrap(), "x.db", &SCHEMA).unwrap();
    insert(&mut later, 3).unwrap();
    later.sync().unwrap();
    assert_eq!(std::fs::metadata(log(folder.path())).unwrap().len(), 0, "it is in the file");
    insert(&mut later, 4).unwrap();
    later.sync().unwrap();
    assert!(std::fs::metadata(log(folder.path())).unwrap().len() > 0, "the log alone is synced again");
    assert_eq!(numbers(folder.path()), [1, 2, 3, 4]);
}
