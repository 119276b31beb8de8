//! What every Cargo.toml of the workspace must say.

use std::fs;

use crate::workspace::{Package, Workspace};

const LICENSE: &str = "MIT OR Apache-2.0";

/// Every manifest that does not take lints and licence from the workspace.
pub(super) fn findings(workspace: &Workspace) -> Vec<String> {
    let each = workspace.packages.iter().flat_map(|package| {
        let path = format!("{}/Cargo.toml", package.folder);
        match fs::read_to_string(workspace.root.join(&path)) {
            Ok(text) => manifest(&path, package, &text),
            Err(error) => vec![format!("{path}: {error}")],
        }
    });
    each.collect()
}

fn manifest(path: &str, package: &Package, text: &str) -> Vec<String> {
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let mut findings = Vec::new();
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    if lints != Some(true) {
        findings.push(format!("{path}: the workspace's lints are not on; add [lints] workspace = true"));
    }
    if package.license.as_deref() != Some(LICENSE) {
        findings.push(format!("{path}: the licence is not {LICENSE}; add license.workspace = true"));
    }
    if manifest.get("package").and_then(|p| p.get("description")).is_none() {
        findings.push(format!("{path}: no description"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(license: Option<&str>) -> Package {
        Package {
            name: "it".into(),
            folder: "crates/it".into(),
            license: license.map(str::to_owned),
            programs: Vec::new(),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn lints_licence_and_description_are_asked_for() {
        let bare = manifest("Cargo.toml", &package(None), "[package]\nname = \"it\"");
        assert_eq!(bare.len(), 3, "{bare:?}");
        let whole = "[package]\nname = \"it\"\ndescription = \"it\"\n[lints]\nworkspace = true";
        assert!(manifest("Cargo.toml", &package(Some(LICENSE)), whole).is_empty());
        assert_eq!(manifest("Cargo.toml", &package(Some("GPL-3.0")), whole).len(), 1);
    }
}
