//! Finds `// features: B1, B5` above tests, and `features = ["A1"]` in the steps of an example's expect.toml.

use crate::workspace::Package;

/// A test that shows features.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// File, relative to the root.
    pub(super) path: String,
    /// The test's name: `micro-rpc::paths::the_last_dot_part_is_the_method`.
    pub(super) test: String,
    /// Rows it shows.
    pub(super) ids: Vec<String>,
}

/// Lines between a tag and its function: attributes and doc comments.
const DISTANCE: usize = 12;

/// Whether tags are looked for in this file.
pub(super) fn reads(path: &str) -> bool {
    // This tool's own tests hold tags as text.
    !path.starts_with("xtask/") && (path.ends_with(".rs") || path.ends_with("/expect.toml"))
}

/// All tagged tests of a file.
pub(super) fn file(path: &str, package: &Package, text: &str) -> Result<Vec<Shown>, String> {
    if path.ends_with(".toml") { example(path, package, text) } else { source(path, package, text) }
}

fn source(path: &str, package: &Package, text: &str) -> Result<Vec<Shown>, String> {
    let module = module(path, package);
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some(ids) = line.trim().strip_prefix("// features:") else { continue };
        let after = lines[number + 1..].iter().take(DISTANCE);
        let name = after.filter_map(|line| function(line)).next();
        let name = name.ok_or_else(|| format!("{path}:{}: no test function follows this tag", number + 1))?;
        shown.push(Shown { path: path.to_owned(), test: format!("{module}::{name}"), ids: ids_of(ids) });
    }
    Ok(shown)
}

fn ids_of(text: &str) -> Vec<String> {
    text.split([',', ' ']).map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

fn function(line: &str) -> Option<&str> {
    let mut rest = line.trim();
    for word in ["pub(crate) ", "pub ", "async "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    name.split(['(', '<']).next().map(str::trim)
}

/// The package and the modules that the path spells.
fn module(path: &str, package: &Package) -> String {
    let inside = path.strip_prefix(package.folder.as_str()).unwrap_or(path).trim_end_matches(".rs");
    let skipped = ["", "src", "tests", "it", "lib", "main", "mod"];
    let mut parts = vec![package.name.as_str()];
    parts.extend(inside.split('/').filter(|part| !skipped.contains(part)));
    parts.join("::")
}

fn example(path: &str, package: &Package, text: &str) -> Result<Vec<Shown>, String> {
    let plan: toml::Table = text.parse().map_err(|e| format!("{path}: {e}"))?;
    let steps = plan.get("step").and_then(toml::Value::as_array).into_iter().flatten();
    let shown = steps.enumerate().filter_map(|(number, step)| {
        let ids = step.get("features")?.as_array()?.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect();
        let name = step.get("name").and_then(toml::Value::as_str);
        let name = name.map_or_else(|| format!("step {}", number + 1), str::to_owned);
        Some(Shown { path: path.to_owned(), test: format!("example {}: {name}", package.name), ids })
    });
    Ok(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            name: "micro-rpc".into(),
            folder: "crates/rpc".into(),
            license: None,
            programs: Vec::new(),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn a_tag_belongs_to_the_next_function() {
        let text = "// features: B1, B5\n#[tokio::test]\nasync fn calls_by_name() {}\n";
        let shown = file("crates/rpc/tests/it/unary.rs", &package(), text).unwrap();
        assert_eq!(shown[0].test, "micro-rpc::unary::calls_by_name");
        assert_eq!(shown[0].ids, ["B1", "B5"]);
    }

    #[test]
    fn a_tag_without_a_function_is_an_error_with_its_line() {
        let error = file("crates/rpc/src/lib.rs", &package(), "\n// features: B1\n").unwrap_err();
        assert!(error.starts_with("crates/rpc/src/lib.rs:2:"), "{error}");
    }

    #[test]
    fn a_step_of_an_example_shows_features_too() {
        let text = "[[step]]\ncmd = [\"x\"]\nfeatures = [\"A1\"]\n[[step]]\ncmd = [\"y\"]\n";
        let shown = file("examples/greeter/expect.toml", &package(), text).unwrap();
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].test, "example micro-rpc: step 1");
    }
}
