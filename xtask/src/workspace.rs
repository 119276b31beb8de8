//! What cargo and git know of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Result;

/// The workspace that the current folder belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Its root folder.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    /// Its packages, by folder.
    pub(crate) packages: Vec<Package>,
}

/// One package of it.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// Name in Cargo.toml.
    pub(crate) name: String,
    /// Folder, relative to the root: `crates/core`.
    pub(crate) folder: String,
    /// Licence, also when it is inherited.
    pub(crate) license: Option<String>,
    /// Names of its programs.
    pub(crate) programs: Vec<String>,
    /// Dependencies that lie in this workspace.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency of a package on another of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// Folder of the other, relative to the root.
    pub(crate) folder: String,
    /// When it is needed.
    pub(crate) kind: When,
}

/// When a dependency is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// By the crate itself.
    Always,
    /// By its tests, examples and benches.
    Dev,
    /// By its build script.
    Build,
}

impl Workspace {
    /// Asks cargo, without touching the network.
    pub(crate) fn load() -> Result<Self> {
        let text = output(Command::new("cargo").args(["metadata", "--no-deps", "--format-version", "1"]))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(text).map_err(|e| format!("cargo metadata: {e}"))?;
        let field = |name: &str| {
            metadata[name].as_str().map(PathBuf::from).ok_or_else(|| format!("cargo metadata has no {name}"))
        };
        let (root, target) = (field("workspace_root")?, field("target_directory")?);
        let mut packages: Vec<Package> =
            metadata["packages"].as_array().into_iter().flatten().map(|package| read_package(package, &root)).collect();
        packages.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(Self { root, target, packages })
    }

    /// Files under version control, relative to the root, without those deleted in the work tree.
    pub(crate) fn tracked(&self) -> Result<Vec<String>> {
        let text = output(Command::new("git").args(["ls-files", "-z"]).current_dir(&self.root))?;
        Ok(text.split('\0').filter(|p| !p.is_empty() && self.root.join(p).is_file()).map(str::to_owned).collect())
    }

    /// The package whose folder holds this file.
    pub(crate) fn owner(&self, path: &str) -> Option<&Package> {
        self.packages
            .iter()
            .filter(|p| path.strip_prefix(p.folder.as_str()).is_some_and(|rest| rest.starts_with('/')))
            .max_by_key(|p| p.folder.len())
    }

    /// Reads a file of the workspace; what is not UTF-8 is `None`.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        std::fs::read(self.root.join(path)).ok().and_then(|bytes| String::from_utf8(bytes).ok())
    }
}

fn read_package(package: &Value, root: &Path) -> Package {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let dependencies = package["dependencies"].as_array().into_iter().flatten().filter_map(|dependency| {
        let folder = relative(Path::new(dependency["path"].as_str()?));
        let kind = match dependency["kind"].as_str() {
            Some("dev") => When::Dev,
            Some("build") => When::Build,
            _ => When::Always,
        };
        Some(Dependency { folder, kind })
    });
    let programs = package["targets"].as_array().into_iter().flatten();
    let programs = programs.filter(|t| t["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "bin")));
    Package {
        name: text(&package["name"]),
        folder: relative(manifest.parent().unwrap_or(root)),
        license: package["license"].as_str().map(str::to_owned),
        programs: programs.map(|t| text(&t["name"])).collect(),
        dependencies: dependencies.collect(),
    }
}

/// Runs a short command and gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = format!("{command:?}");
    let output = command.output().map_err(|e| format!("cannot run {name}: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "{name} failed: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        ));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{name} printed what is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_inside_the_workspace_are_known_with_their_kind() {
        let metadata = r#"{
            "workspace_root": "/w", "target_directory": "/t",
            "packages": [{
                "name": "a", "manifest_path": "/w/crates/a/Cargo.toml", "license": "MIT",
                "targets": [{"name": "a", "kind": ["lib"]}, {"name": "run", "kind": ["bin"]}],
                "dependencies": [
                    {"name": "b", "kind": null, "path": "/w/crates/b"},
                    {"name": "c", "kind": "dev", "path": "/w/crates/c"},
                    {"name": "serde", "kind": null}
                ]
            }]
        }"#;
        let workspace = Workspace::parse(metadata).unwrap();
        let a = workspace.owner("crates/a/src/lib.rs").unwrap();
        assert_eq!(a.programs, ["run"]);
        assert_eq!(
            a.dependencies,
            [
                Dependency { folder: "crates/b".into(), kind: When::Always },
                Dependency { folder: "crates/c".into(), kind: When::Dev }
            ]
        );
        assert!(workspace.owner("crates/ab/src/lib.rs").is_none());
    }
}
