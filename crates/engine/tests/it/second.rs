//! A second process: this very test program, started again, which enters a folder and waits to be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use micro_engine::{Home, Process};

const FOLDER: &str = "MICRO_TEST_FOLDER";

pub(crate) struct Second {
    child: Child,
    pub(crate) id: String,
}

impl Second {
    pub(crate) fn enter(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "second::role", "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let id = lines.find_map(|line| line.split_once('@').map(|(_, id)| id.to_owned())).unwrap();
        Self { child, id }
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The role of the second process; nothing in the first one.
#[expect(clippy::print_stdout, reason = "the second process answers by its output")]
#[test]
fn role() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let home = Home::open(Path::new(&folder), "test").unwrap();
    let process = Process::enter(&home).unwrap();
    println!("@{}", process.id());
    let _ = std::io::stdin().lines().count();
}
