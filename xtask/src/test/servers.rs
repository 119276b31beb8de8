//! Whether a choice of tests needs the shared servers.

use crate::workspace::Workspace;

/// The crate by which tests reach them.
const FAULTS: &str = "crates/faults";

/// No only when whole packages are chosen, and none of them knows the servers.
pub(super) fn needed(workspace: &Workspace, arguments: &[String]) -> bool {
    let chosen = packages(arguments);
    let known: Vec<_> = workspace.packages.iter().filter(|package| chosen.contains(&package.name.as_str())).collect();
    chosen.is_empty()
        || known.len() < chosen.len()
        || known.iter().any(|package| package.dependencies.iter().any(|dependency| dependency.folder == FAULTS))
}

/// Names after `-p` and `--package`, however they are written.
fn packages(arguments: &[String]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument {
            "-p" | "--package" => names.extend(arguments.next()),
            _ => names.extend(["--package=", "-p"].iter().find_map(|start| argument.strip_prefix(start))),
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::workspace::{Dependency, Package, When};

    fn needs(arguments: &str) -> bool {
        let package = |name: &str, dependencies| Package {
            name: name.to_owned(),
            folder: format!("crates/{name}"),
            license: None,
            programs: Vec::new(),
            dependencies,
        };
        let servers = Dependency { folder: FAULTS.to_owned(), kind: When::Dev };
        let packages = vec![package("plain", Vec::new()), package("other", Vec::new()), package("real", vec![servers])];
        let workspace = Workspace { root: PathBuf::new(), target: PathBuf::new(), packages };
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        needed(&workspace, &arguments)
    }

    #[test]
    fn servers_are_started_unless_no_chosen_package_knows_them() {
        for with in ["", "some_filter", "-p real", "-p plain -p real", "--package=real", "-p unknown", "-p pl*"] {
            assert!(needs(with), "{with}");
        }
        for without in ["-p plain", "-pplain", "--package plain paths", "-p plain --package=other"] {
            assert!(!needs(without), "{without}");
        }
    }
}
