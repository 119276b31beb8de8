//! Which crate may depend on which: the arrows of docs/architecture.md, in one table.

use crate::workspace::{Package, When};

/// What the crates of one folder may depend on, by folder; `plugins/*` stands for every folder in it.
struct Layer {
    folder: &'static str,
    uses: &'static [&'static str],
    /// Allowed besides, in tests.
    in_tests: &'static [&'static str],
    /// Allowed in build scripts.
    in_build: &'static [&'static str],
}

const fn layer(folder: &'static str, uses: &'static [&'static str]) -> Layer {
    Layer { folder, uses, in_tests: &[], in_build: &[] }
}

const CORE: &str = "crates/core";
const ENGINE: &str = "crates/engine";
const BUILD: &str = "crates/build";
const FAULTS: &str = "crates/faults";
const CONFORMANCE: &str = "crates/conformance";
const TLS: &str = "crates/tls";

/// The first layer whose folder fits counts.
const HOUSE: &[Layer] = &[
    layer(CORE, &[]),
    layer(ENGINE, &[CORE]),
    Layer { in_tests: &[FAULTS], ..layer(TLS, &[CORE]) },
    Layer { in_tests: &[CONFORMANCE, FAULTS], in_build: &[BUILD], ..layer("crates/rpc", &[CORE, TLS]) },
    layer("crates/event", &[CORE]),
    layer(FAULTS, &[CORE]),
    Layer { in_tests: &[CORE, "crates/rpc"], in_build: &[BUILD], ..layer(BUILD, &[]) },
    // Generated code is compiled and run against what it names.
    Layer { in_tests: &[CORE, "crates/event", "crates/rpc"], ..layer("crates/macros", &[]) },
    // Its own tests run the suites against what the house has.
    Layer { in_tests: &["crates/macros", "crates/rpc"], ..layer(CONFORMANCE, &[CORE, "crates/event", FAULTS]) },
    Layer {
        // The engine for its fail points.
        in_tests: &[CONFORMANCE, ENGINE, FAULTS],
        in_build: &[BUILD],
        ..layer("crates/micro", &[CORE, "crates/rpc", "crates/event", "crates/macros", "plugins/*"])
    },
    Layer { in_tests: &[CONFORMANCE], ..layer("crates/testkit", &["crates/micro", FAULTS]) },
    layer("crates/platform", &["crates/micro"]),
    layer("crates/cli", &["crates/platform"]),
    Layer { in_tests: &[CONFORMANCE, FAULTS], ..layer("plugins/broker-embedded", &[CORE, ENGINE]) },
    Layer { in_tests: &[CONFORMANCE, FAULTS], ..layer("plugins/registry-embedded", &[CORE, ENGINE]) },
    Layer { in_tests: &[CONFORMANCE, FAULTS], ..layer("plugins/*", &[CORE, TLS]) },
    Layer { in_tests: &[FAULTS, "crates/testkit"], in_build: &[BUILD], ..layer("examples/*", &["crates/micro"]) },
    Layer {
        in_tests: &[FAULTS],
        in_build: &[BUILD],
        ..layer("interop", &[CORE, "crates/rpc", "crates/event", "crates/micro", "plugins/*"])
    },
    Layer {
        in_build: &[BUILD],
        ..layer("bench", &[CORE, "crates/rpc", "crates/event", "crates/micro", FAULTS, "plugins/*"])
    },
    layer("xtask", &[FAULTS]),
];

/// Every dependency that no arrow allows.
pub(super) fn findings(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(package).collect()
}

fn package(package: &Package) -> Vec<String> {
    let Some(layer) = HOUSE.iter().find(|layer| fits(layer.folder, &package.folder)) else {
        return vec![format!(
            "{}: no arrows are written for this folder; add it to xtask/src/check/arrows.rs and docs/architecture.md",
            package.folder
        )];
    };
    let wrong = package.dependencies.iter().filter(|dependency| {
        let besides = match dependency.kind {
            When::Always => &[][..],
            When::Dev => layer.in_tests,
            When::Build => layer.in_build,
        };
        let itself = dependency.kind == When::Dev && dependency.folder == package.folder;
        !itself && !layer.uses.iter().chain(besides).any(|allowed| fits(allowed, &dependency.folder))
    });
    wrong
        .map(|dependency| {
            let when = match dependency.kind {
                When::Always => "",
                When::Dev => " (in tests)",
                When::Build => " (in its build script)",
            };
            format!(
                "{}/Cargo.toml: {} may not depend on {}{when}; it may on: {}",
                package.folder,
                package.name,
                dependency.folder,
                if layer.uses.is_empty() { "nothing of ours".to_owned() } else { layer.uses.join(", ") },
            )
        })
        .collect()
}

fn fits(pattern: &str, folder: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(parent) => folder.strip_prefix(parent).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
        None => pattern == folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn depends(from: &str, to: &str, kind: When) -> Vec<String> {
        findings(&[Package {
            name: "it".into(),
            folder: from.into(),
            license: None,
            programs: Vec::new(),
            dependencies: vec![Dependency { folder: to.into(), kind }],
        }])
    }

    #[test]
    fn an_arrow_that_points_up_is_found_and_named() {
        let found = depends("crates/core", "crates/rpc", When::Always);
        assert_eq!(
            found,
            ["crates/core/Cargo.toml: it may not depend on crates/rpc; it may on: nothing of ours"],
            "core knows nobody"
        );
        assert!(depends("crates/rpc", "crates/core", When::Always).is_empty());
    }

    #[test]
    fn a_plugin_knows_neither_the_facade_nor_another_plugin_nor_in_its_tests() {
        for kind in [When::Always, When::Dev] {
            assert_eq!(depends("plugins/broker-kafka", "crates/micro", kind).len(), 1);
            assert_eq!(depends("plugins/broker-kafka", "plugins/registry-mdns", kind).len(), 1);
            assert_eq!(depends("plugins/broker-kafka", "crates/engine", kind).len(), 1, "the embedded ones only");
        }
        assert!(depends("plugins/broker-embedded", "crates/engine", When::Always).is_empty());
        assert!(depends("plugins/broker-kafka", "crates/conformance", When::Dev).is_empty());
    }

    #[test]
    fn real_servers_are_for_tests_and_for_what_runs_them() {
        for folder in ["plugins/broker-kafka", "plugins/broker-embedded", "crates/micro", "interop", "examples/shop"] {
            assert!(depends(folder, FAULTS, When::Dev).is_empty(), "{folder}");
            assert_eq!(depends(folder, FAULTS, When::Always).len(), 1, "{folder}");
        }
        for folder in ["xtask", "bench", CONFORMANCE] {
            assert!(depends(folder, FAULTS, When::Always).is_empty(), "{folder}");
        }
        assert_eq!(depends("crates/core", FAULTS, When::Dev).len(), 1, "core knows nobody");
    }

    #[test]
    fn generated_code_may_be_tried_in_tests_only() {
        assert!(depends("crates/build", "crates/rpc", When::Dev).is_empty());
        assert_eq!(depends("crates/build", "crates/rpc", When::Always).len(), 1);
        assert!(depends("crates/macros", "crates/event", When::Dev).is_empty());
        assert!(depends("examples/shop", "crates/build", When::Build).is_empty());
        assert_eq!(depends("examples/shop", "crates/build", When::Always).len(), 1);
    }

    #[test]
    fn a_folder_without_arrows_is_found() {
        assert!(depends("crates/stuff", "crates/core", When::Always)[0].contains("no arrows"));
        assert!(depends("plugins/deep/er", "crates/core", When::Always)[0].contains("no arrows"));
    }
}
