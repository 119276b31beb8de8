//! What every Cargo.toml of the workspace must say.

use std::fs;

use crate::workspace::{Package, Workspace};

const LICENSE: &str = "MIT OR Apache-2.0";

/// The feature of places that fail when a test says so.
const FAIL_POINTS: &str = "fail-points";

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
    findings.extend(fail_points(path, &manifest));
    findings
}

/// Whatever would put fail points into a program: dependencies of tests alone may ask for them.
fn fail_points(path: &str, manifest: &toml::Table) -> Vec<String> {
    let names = |value: &toml::Value| {
        let names = value.as_array().into_iter().flatten().filter_map(toml::Value::as_str);
        names.filter(|name| name.rsplit('/').next() == Some(FAIL_POINTS)).count()
    };
    let mut findings = Vec::new();
    let features = manifest.get("features").and_then(toml::Value::as_table);
    for (feature, implied) in features.into_iter().flatten() {
        if names(implied) > 0 {
            findings.push(format!("{path}: the feature {feature} turns {FAIL_POINTS} on, which is for tests alone"));
        }
    }
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    for table in targets.filter_map(|(_, target)| target.as_table()).chain([manifest]) {
        for kind in ["dependencies", "build-dependencies"] {
            let dependencies = table.get(kind).and_then(toml::Value::as_table);
            for (name, dependency) in dependencies.into_iter().flatten() {
                if dependency.get("features").is_some_and(|features| names(features) > 0) {
                    findings.push(format!("{path}: {kind} ask {name} for {FAIL_POINTS}; only dev-dependencies may"));
                }
            }
        }
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

    #[test]
    fn fail_points_are_for_the_dependencies_of_tests_alone() {
        let findings = |text: &str| fail_points("Cargo.toml", &text.parse().unwrap());
        let fine = "[features]\nfail-points = []\n[dependencies]\na = { features = [\"b\"] }\n\
                    [dev-dependencies]\na = { features = [\"fail-points\"] }";
        assert_eq!(findings(fine), Vec::<String>::new());
        for wrong in [
            "[features]\ndefault = [\"fail-points\"]\nfail-points = []",
            "[features]\nfull = [\"micro-engine/fail-points\"]",
            "[dependencies]\na = { features = [\"fail-points\"] }",
            "[build-dependencies.a]\nfeatures = [\"fail-points\"]",
            "[target.'cfg(unix)'.dependencies]\na = { features = [\"fail-points\"] }",
        ] {
            assert_eq!(findings(wrong).len(), 1, "{wrong}");
        }
    }
}
