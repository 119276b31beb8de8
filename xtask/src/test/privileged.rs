//! Tests that need a right which not every machine gives: run where it is given, and told apart where it is not.

use std::process::Command;

use crate::tools;

/// A right, and the tests that need it. They are ignored in an ordinary run.
pub(super) struct Right {
    /// The module of each such test.
    module: &'static str,
    /// What it is that they need.
    pub(super) needs: &'static str,
    is_given: fn() -> bool,
}

impl Right {
    /// What nextest runs of them.
    pub(super) fn filter(&self) -> String {
        format!("test(/^{}::/)", self.module)
    }
}

const RIGHTS: [Right; 2] = [
    Right { module: "privileged", needs: "the right to mount, as root or in a user namespace", is_given: may_mount },
    Right { module: "namespaces", needs: "root, with `unshare --net` and `ip`", is_given: may_make_networks },
];

/// Returns the rights that are given here, and those that are not.
pub(super) fn rights() -> (Vec<Right>, Vec<Right>) {
    RIGHTS.into_iter().partition(|right| (right.is_given)())
}

fn may_mount() -> bool {
    let folder = std::env::temp_dir();
    [&["--mount"][..], &["--map-root-user", "--mount"]].into_iter().any(|arguments| {
        succeeds(Command::new("unshare").args(arguments).args(["mount", "-t", "tmpfs", "none"]).arg(&folder))
    })
}

fn may_make_networks() -> bool {
    let ip = || tools::on_path("ip").is_some() || tools::install(&["iproute2"]).is_ok();
    rustix::process::geteuid().is_root()
        && ip()
        && succeeds(Command::new("unshare").args(["--net", "ip", "link", "add", "switch", "type", "bridge"]))
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|tried| tried.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_is_either_given_or_not() {
        let (given, lacking) = rights();
        let mut modules: Vec<_> = given.iter().chain(&lacking).map(Right::filter).collect();
        modules.sort();
        assert_eq!(modules, ["test(/^namespaces::/)", "test(/^privileged::/)"]);
    }
}
