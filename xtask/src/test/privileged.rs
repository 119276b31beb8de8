//! Tests that need a right which not every machine gives: run where it is given, and told apart where it is not.

use std::process::Command;

/// The module of each such test; the tests themselves are ignored in an ordinary run.
pub(super) const FILTER: &str = "test(/^privileged::/)";

/// The packages that have some.
pub(super) const PACKAGES: [&str; 1] = ["micro-broker-embedded"];

/// Tells whether this process may mount in a mount space of its own, as root or as who may be root in there.
pub(super) fn allowed() -> bool {
    let folder = std::env::temp_dir();
    [&["--mount"][..], &["--map-root-user", "--mount"]].into_iter().any(|arguments| {
        let tried =
            Command::new("unshare").args(arguments).args(["mount", "-t", "tmpfs", "none"]).arg(&folder).output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}
