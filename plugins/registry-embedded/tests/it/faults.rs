//! What registers and watches when the disk refuses, and when we have a defect ourselves.

use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use micro_core::Kind;
use micro_core::registry::{Change, Node, Registry, Service};
use micro_engine::fail_point;
use micro_registry_embedded::Embedded;
use tokio::time::timeout;

use crate::program::LIMIT;

const LONG: Duration = Duration::from_secs(600);

fn greeter(id: &str) -> Service {
    Service::new("greeter", "latest").node(Node::new(id, "127.0.0.1:1"))
}

#[tokio::test]
async fn a_disk_that_is_full_is_named_and_registering_goes_on_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    registry.register(&greeter("greeter-1"), LONG).await.unwrap();
    let full = fail_point::set(folder.path(), "engine.commit=error(ENOSPC)").unwrap();
    let error = registry.register(&greeter("greeter-2"), LONG).await.unwrap_err();
    let text = error.to_string();
    assert!(error.kind() == Kind::DiskFull && text.contains("registry.db") && text.contains("make room"), "{text}");
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("greeter-1")]);
    drop(full);
    registry.register(&greeter("greeter-2"), LONG).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap()[0].nodes.len(), 2);
}

#[tokio::test]
async fn a_panic_in_the_writer_fails_one_registration_by_name_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    let _defect = fail_point::set(folder.path(), "engine.commit=panic:1").unwrap();
    let error = registry.register(&greeter("greeter-1"), LONG).await.unwrap_err();
    assert!(error.kind() == Kind::Internal && error.to_string().contains("panicked"), "{error}");
    registry.register(&greeter("greeter-2"), LONG).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("greeter-2")]);
}

#[tokio::test]
async fn a_folder_whose_writer_is_gone_is_opened_anew_while_a_watch_still_holds_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    registry.register(&greeter("greeter-0"), LONG).await.unwrap();
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    assert_eq!(timeout(LIMIT, watch.next()).await.unwrap().unwrap(), Change::State(vec![greeter("greeter-0")]));
    let defect = fail_point::set(folder.path(), "engine.commit=panic:1; engine.roll_back=panic:1").unwrap();
    registry.register(&greeter("greeter-1"), LONG).await.unwrap_err();
    assert_eq!(defect.failed(), 2);

    let end = Instant::now() + LIMIT;
    while registry.register(&greeter("greeter-2"), LONG).await.is_err() {
        assert!(Instant::now() < end, "it never registers again");
    }
    Embedded::at(folder.path()).register(&greeter("greeter-3"), LONG).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match timeout(LIMIT, watch.next()).await.expect("the watch is deaf").unwrap() {
            Change::Create(service) => seen.extend(service.nodes.into_iter().map(|node| node.id)),
            other => panic!("{other:?}"),
        }
    }
    seen.sort();
    assert_eq!(seen, ["greeter-2", "greeter-3"]);
    drop(watch);
    let nodes = registry.get("greeter").await.unwrap().remove(0).nodes.len();
    assert_eq!(nodes, 3, "what was registered before is there with nobody holding the old one");
}

#[tokio::test]
async fn damage_that_is_met_while_it_runs_is_named_and_nobody_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    for number in 0..100 {
        registry.register(&greeter(&format!("greeter-{number}")), LONG).await.unwrap();
    }
    let path = folder.path().join("registry.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    // Another writer: whoever kept pages in memory has to read them again.
    other.execute("DELETE FROM node WHERE id = 'greeter-0'", []).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    (1..pages).for_each(|page| file.write_all_at(&[0x5a; 4096], page * 4096).unwrap());

    let read = timeout(LIMIT, registry.get("greeter")).await.expect("the reader hangs").unwrap_err();
    let written = timeout(LIMIT, registry.register(&greeter("greeter-x"), LONG)).await.expect("the writer hangs");
    for error in [read, written.unwrap_err()] {
        let text = error.to_string();
        assert!(error.kind() == Kind::Corrupt && text.contains("registry.db") && text.contains("mv '"), "{text}");
    }
}
