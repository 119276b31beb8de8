use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use micro_engine::{FairLock, Home, Process};

use crate::second::Second;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn one_holds_the_lock_and_who_waits_comes_before_who_had_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let (inside, order) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Vec::new())));
    let end = Instant::now() + Duration::from_millis(400);
    let threads = (0..2).map(|me| {
        let (lock, inside, order) = (FairLock::open(&file).unwrap(), Arc::clone(&inside), Arc::clone(&order));
        thread::spawn(move || {
            while Instant::now() < end {
                let _turn = lock.acquire(LONG).unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two are inside");
                order.lock().unwrap().push(me);
                thread::sleep(Duration::from_millis(1));
                inside.fetch_sub(1, Ordering::SeqCst);
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    let order = order.lock().unwrap();
    let changes = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // Without a turn the one that has it mostly takes it again.
    assert!(changes * 2 > order.len(), "{changes} changes in {}", order.len());
}

#[test]
fn who_does_not_let_go_is_named_when_the_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let (one, two) = (FairLock::open(&file).unwrap(), FairLock::open(&file).unwrap());
    let turn = one.acquire(LONG).unwrap();
    let error = two.acquire(Duration::from_millis(50)).unwrap_err();
    let text = error.to_string();
    assert!(error.kind() == micro_core::Kind::Unavailable && text.contains(&file.display().to_string()), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    drop(turn);
    two.acquire(LONG).unwrap();
}

#[test]
fn a_process_is_alive_until_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), "test").unwrap();
    let own = Process::enter(&home).unwrap();
    let mut second = Second::enter(folder.path());
    assert!(own.is_alive(own.id()) && own.is_alive(&second.id));
    second.kill();
    assert!(!own.is_alive(&second.id));
    let left: Vec<_> = std::fs::read_dir(home.run()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, [format!("{}.alive", own.id()).as_str()], "what the dead one left is gone");
    assert!(!own.is_alive("nobody"));
}

#[test]
fn two_that_enter_from_one_process_are_two() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), "test").unwrap();
    let (one, two) = (Process::enter(&home).unwrap(), Process::enter(&home).unwrap());
    assert!(one.id() != two.id() && one.is_alive(two.id()) && two.is_alive(one.id()));
    let id = two.id().to_owned();
    drop(two);
    assert!(!one.is_alive(&id));
}
