//! What needs the right to mount. The test command runs it where that is given, and says so where it is not; the same rules
//! are shown without that right in `trouble` and `safety`.

use std::path::Path;
use std::process::Command;

use crate::desk::until;
use crate::program::Program;

/// A file system of its own, seen by this process alone and gone with it, with a file in it that takes room.
const FULL: &str =
    r#"mount -t tmpfs -o size=4m none "$1" && head -c 1500000 /dev/zero >"$1/filler" && shift && exec "$@""#;

/// A command in a mount space of its own, as root or as one who may be root in there; `None` where neither is allowed.
fn apart(folder: &Path) -> Option<Vec<&'static str>> {
    [vec!["--mount"], vec!["--map-root-user", "--mount"]].into_iter().find(|arguments| {
        let tried = Command::new("unshare").args(arguments).args(["mount", "-t", "tmpfs", "none"]).arg(folder).output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}

#[tokio::test]
#[ignore = "needs the right to mount; `cargo xtask test` runs it where it is given"]
async fn a_file_system_that_is_really_full_fails_the_batch_and_goes_on_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = apart(folder.path()).expect("the right to mount: as root, or in a user namespace");
    let mut command = Command::new("unshare");
    command.args(arguments).args(["sh", "-c", FULL, "sh"]).arg(folder.path()).arg(std::env::current_exe().unwrap());
    let mut program = Program::start_with(folder.path(), command);
    program.run("subscribe big.topic q ack");
    let mut sent = 0;
    let answer = loop {
        let answer = program.run(&format!("publish big.topic * {sent} {} 2000", sent + 50));
        if answer != "done" {
            break answer;
        }
        sent += 50;
        assert!(sent < 5_000, "the file system never gets full");
    };
    for word in ["DiskFull", "broker.db", "make room"] {
        assert!(answer.contains(word), "{word} is not in: {answer}");
    }
    let inside = format!("/proc/{}/root{}/filler", program.id(), folder.path().display());
    std::fs::remove_file(inside).unwrap();
    until("it publishes again", async || {
        program.run(&format!("publish big.topic * {sent} {} 2000", sent + 50)) == "done"
    })
    .await;
    until("every acknowledged message is handled", async || {
        let got: std::collections::BTreeSet<String> = program.got().into_iter().collect();
        crate::desk::texts(0..sent + 50).iter().all(|body| got.contains(body))
    })
    .await;
}
