use std::time::{Duration, Instant};

use micro_engine::{Bell, Home, Listener, Process, Wake};

const LONG: Duration = Duration::from_secs(30);

fn wait(listener: &mut Listener) -> Vec<Wake> {
    let mut wakes = Vec::new();
    let end = Instant::now() + LONG;
    while wakes.is_empty() && Instant::now() < end {
        listener.wait(Duration::from_millis(100), &mut wakes);
    }
    wakes
}

#[test]
fn a_bell_is_heard_by_every_other_process_and_not_by_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), "test").unwrap();
    let processes: Vec<_> = (0..3).map(|_| Process::enter(&home).unwrap()).collect();
    let mut listeners: Vec<_> = processes.iter().map(|process| Listener::open(&home, process).unwrap()).collect();
    let mut bell = Bell::open(&home, &processes[0]).unwrap();
    let wake = Wake { channel: 7, parts: 1 << 63 | 1 };
    bell.ring(&[wake]);
    assert_eq!(wait(&mut listeners[1]), [wake]);
    assert_eq!(wait(&mut listeners[2]), [wake]);
    let mut own = Vec::new();
    listeners[0].wait(Duration::ZERO, &mut own);
    assert_eq!(own, []);
}

#[test]
fn who_comes_later_is_heard_of_and_who_died_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), "test").unwrap();
    let own = Process::enter(&home).unwrap();
    let mut bell = Bell::open(&home, &own).unwrap();
    let wake = Wake { channel: 1, parts: 1 };
    bell.ring(&[wake]);
    let stale = home.run().join("999-dead.sock");
    drop(std::os::unix::net::UnixDatagram::bind(&stale).unwrap());
    let later = Process::enter(&home).unwrap();
    let mut listener = Listener::open(&home, &later).unwrap();
    bell.ring(&[wake]);
    assert_eq!(wait(&mut listener), [wake]);
    assert!(!stale.exists());
}

#[test]
fn a_signal_wakes_the_own_thread_however_often_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), "test").unwrap();
    let own = Process::enter(&home).unwrap();
    let mut listener = Listener::open(&home, &own).unwrap();
    let signal = listener.signal();
    for _ in 0..1000 {
        signal.notify();
    }
    let begun = Instant::now();
    listener.wait(LONG, &mut Vec::new());
    assert!(begun.elapsed() < LONG);
    signal.notify();
    listener.wait(LONG, &mut Vec::new());
    assert!(begun.elapsed() < LONG);
}

#[test]
fn a_full_socket_says_that_something_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), "test").unwrap();
    let (own, other) = (Process::enter(&home).unwrap(), Process::enter(&home).unwrap());
    let mut listener = Listener::open(&home, &own).unwrap();
    let mut bell = Bell::open(&home, &other).unwrap();
    for channel in 0..2000 {
        bell.ring(&[Wake { channel, parts: 1 }]);
    }
    assert!(listener.wait(Duration::ZERO, &mut Vec::new()));
    while listener.wait(Duration::ZERO, &mut Vec::new()) {}
    bell.ring(&[Wake { channel: 1, parts: 1 }]);
    assert!(!listener.wait(Duration::ZERO, &mut Vec::new()));
}

#[test]
fn a_folder_with_a_long_name_has_sockets_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x".repeat(120));
    let home = Home::open(path, "test").unwrap();
    let (own, other) = (Process::enter(&home).unwrap(), Process::enter(&home).unwrap());
    let mut listener = Listener::open(&home, &own).unwrap();
    let wake = Wake { channel: 3, parts: 4 };
    Bell::open(&home, &other).unwrap().ring(&[wake]);
    assert_eq!(wait(&mut listener), [wake]);
}
