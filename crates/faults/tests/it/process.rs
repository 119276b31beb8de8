use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use micro_faults::Process;

const LIMIT: Duration = Duration::from_secs(60);
const FOLDER: &str = "MICRO_TEST_FOLDER";

fn shell(script: &str, folder: &Path) -> Process {
    Process::start("shell", Command::new("sh").args(["-c", script]), &folder.join("log")).unwrap()
}

fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "{what} did not happen");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Tells whether a process is there and no zombie.
fn lives(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn one_that_does_not_hear_sigterm_is_killed_with_its_children_and_its_log_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = shell("trap 'echo no' TERM; sleep 600 & echo $!; while :; do wait; done", folder.path());
    wait("the start of its child", || !server.tail().is_empty());
    let child = server.tail();
    let error = server.stop(Duration::from_millis(500)).unwrap_err().to_string();
    assert!(error.contains("shell") && error.contains("no"), "{error}");
    assert!(!server.is_running());
    wait("the end of its child", || !lives(&child));
    server.stop(LIMIT).unwrap();
}

#[test]
fn a_paused_one_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = shell("echo up; sleep 600", folder.path());
    wait("its start", || server.tail() == "up");
    server.pause();
    assert!(server.is_running());
    server.stop(LIMIT).unwrap();
}

#[test]
fn a_server_does_not_outlive_a_killed_test() {
    let folder = tempfile::tempdir().unwrap();
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::role"])
        .env(FOLDER, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let log = folder.path().join("log");
    let id = || std::fs::read_to_string(&log).unwrap_or_default().trim().to_owned();
    wait("the start of the server", || !id().is_empty());
    assert!(lives(&id()));
    test.kill().unwrap();
    test.wait().unwrap();
    wait("the end of the server", || !lives(&id()));
}

/// The role of the test that is killed; nothing in this one.
#[test]
fn role() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let _server = shell("echo $$; exec sleep 600", Path::new(&folder));
    thread::sleep(LIMIT);
}
