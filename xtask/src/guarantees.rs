//! docs/guarantees.md: which plugin keeps which rule, from a run of the conformance suites.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Result, workspace::Workspace};

const PAGE: &str = "docs/guarantees.md";

/// The variable that tells the suites where to write their outcomes.
pub(crate) const REPORT: &str = "MICRO_CONFORMANCE_REPORT";

/// A suite of conformance.
#[derive(Debug, Clone, Copy)]
struct Suite {
    /// What the numbers of its cases begin with.
    letter: &'static str,
    heading: &'static str,
    /// What the names of those that run it begin with in the report, and not on the page.
    prefix: &'static str,
}

const SUITES: [Suite; 5] = [
    Suite { letter: "B", heading: "Brokers", prefix: "" },
    Suite { letter: "B", heading: "Brokers: faults, on other servers", prefix: "faults-" },
    Suite { letter: "R", heading: "Registries", prefix: "registry-" },
    Suite { letter: "K", heading: "Codecs", prefix: "codec-" },
    Suite { letter: "T", heading: "Transports", prefix: "transport-" },
];

/// An empty folder for the outcomes of one run.
pub(crate) fn folder(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("conformance");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| format!("cannot empty {}: {e}", folder.display()))?;
    }
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    Ok(folder)
}

/// Writes the page of a run; says whether no cell failed.
pub(crate) fn write(workspace: &Workspace, folder: &Path) -> Result<bool> {
    let outcomes = Outcomes::read(folder)?;
    fs::write(workspace.root.join(PAGE), outcomes.page()).map_err(|e| format!("cannot write {PAGE}: {e}"))?;
    println!("xtask: {}", outcomes.summary());
    Ok(outcomes.failed() == 0)
}

/// Says whether the page tells what the run showed.
pub(crate) fn is_true(workspace: &Workspace, folder: &Path) -> Result<bool> {
    let outcomes = Outcomes::read(folder)?;
    println!("xtask: {}", outcomes.summary());
    let up_to_date = workspace.read(PAGE).as_deref() == Some(outcomes.page().as_str());
    if !up_to_date {
        println!("xtask: {PAGE} is not what the conformance suites showed; run: cargo xtask guarantees");
    }
    Ok(up_to_date && outcomes.failed() == 0)
}

/// What the suites wrote.
#[derive(Debug, Default)]
struct Outcomes {
    rules: BTreeMap<String, String>,
    /// By case and plugin.
    cells: BTreeMap<(String, String), String>,
}

impl Suite {
    /// Says whether an outcome is of this suite: of those with the letter, the one with the longest prefix that fits.
    fn has(self, case: &str, plugin: &str) -> bool {
        let fits = |suite: &Suite| if plugin.starts_with(suite.prefix) { suite.prefix.len() + 1 } else { 0 };
        let first = SUITES.iter().filter(|suite| case.starts_with(suite.letter)).max_by_key(|suite| fits(suite));
        first.is_some_and(|first| (first.letter, first.prefix) == (self.letter, self.prefix))
    }
}

impl Outcomes {
    fn read(folder: &Path) -> Result<Self> {
        let mut outcomes = Self::default();
        let files = fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
        for file in files {
            let path = file.map_err(|e| format!("cannot read {}: {e}", folder.display()))?.path();
            let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (Some((plugin, case)), Some((rule, outcome))) = (name.split_once('.'), text.split_once('\n')) else {
                return Err(format!("{} is no outcome of a case", path.display()));
            };
            outcomes.rules.insert(case.to_owned(), rule.to_owned());
            let outcome = outcome.lines().next().unwrap_or_default().to_owned();
            outcomes.cells.insert((case.to_owned(), plugin.to_owned()), outcome);
        }
        Ok(outcomes)
    }

    /// The suites, and the plugins that ran each.
    fn suites(&self) -> Vec<(Suite, BTreeSet<&str>)> {
        let suite = |suite: Suite| {
            let mine = self.cells.keys().filter(|(case, plugin)| suite.has(case, plugin));
            (suite, mine.map(|(_, plugin)| plugin.as_str()).collect())
        };
        SUITES.into_iter().map(suite).collect()
    }

    /// The rules of a suite, in the order of their numbers.
    fn rules(&self, suite: Suite) -> Vec<(&String, &String)> {
        let mine: BTreeSet<&String> =
            self.cells.keys().filter(|(case, plugin)| suite.has(case, plugin)).map(|(case, _)| case).collect();
        let mut rules: Vec<_> = self.rules.iter().filter(|(case, _)| mine.contains(case)).collect();
        rules.sort_by_key(|(case, _)| case[suite.letter.len()..].parse().unwrap_or(u32::MAX));
        rules
    }

    fn count(&self, start: &str) -> usize {
        self.cells.values().filter(|outcome| outcome.starts_with(start)).count()
    }

    /// Cells that failed, and those that are missing.
    fn failed(&self) -> usize {
        let due: usize = self.suites().iter().map(|(suite, plugins)| self.rules(*suite).len() * plugins.len()).sum();
        self.count("failed") + due.abs_diff(self.cells.len())
    }

    fn summary(&self) -> String {
        format!(
            "conformance: {} cases: {} run, {} gated, {} failed or missing",
            self.rules.len(),
            self.count("run"),
            self.count("gated"),
            self.failed()
        )
    }

    fn page(&self) -> String {
        let mut text = format!(
            "# Guarantees\n\n\
             Generated by `cargo xtask guarantees` from a run of the conformance suites; do not edit. A case states one rule,\n\
             and for each there is a broken double that it catches. ✓: the plugin keeps it. A word: the plugin does not declare\n\
             this capability, and was seen to refuse what needs it, where that can be asked for.\n\n\
             {} cases, on each plugin: {} run, {} gated, {} failed.\n",
            self.rules.len(),
            self.count("run"),
            self.count("gated"),
            self.failed()
        );
        for (suite, plugins) in self.suites().into_iter().filter(|(_, plugins)| !plugins.is_empty()) {
            let _ = write!(text, "\n## {}\n\n| case | rule |", suite.heading);
            for plugin in &plugins {
                let _ = write!(text, " {} |", plugin.strip_prefix(suite.prefix).unwrap_or(plugin));
            }
            let _ = write!(text, "\n|---|---|{}\n", "---|".repeat(plugins.len()));
            for (case, rule) in self.rules(suite) {
                let _ = write!(text, "| {case} | {} |", rule.replace('|', "\\|"));
                for plugin in &plugins {
                    let cell = match self.cells.get(&(case.clone(), (*plugin).to_owned())).map(String::as_str) {
                        Some("run") => "✓",
                        Some(outcome) => outcome.strip_prefix("gated: ").unwrap_or("**failed**"),
                        None => "**missing**",
                    };
                    let _ = write!(text, " {cell} |");
                }
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_is_missing_or_failed_is_not_passed_over() {
        let folder = std::env::temp_dir().join(format!("xtask-guarantees-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in [
            ("memory.B01", "arrives\nrun\n"),
            ("kafka.B01", "arrives\ngated: keys\n"),
            ("registry-memory.R01", "is found\nrun\n"),
            ("codec-json.K01", "comes back\nrun\n"),
            ("codec-bytes.K01", "comes back\ngated: fields\n"),
            ("transport-grpc.T01", "is answered\nrun\n"),
            ("faults-three.B100", "survives\nrun\n"),
            ("faults-three.B107", "goes on\nrun\n"),
            ("faults-mock.B100", "survives\nrun\n"),
            ("memory.B107", "goes on\ngated: one node\n"),
            ("kafka.B107", "goes on\ngated: one node\n"),
            ("memory.B100", "survives\nrun\n"),
            ("kafka.B100", "survives\nrun\n"),
            ("memory.B02", "is apart\nfailed: it came\nover there\n"),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
        let outcomes = Outcomes::read(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(outcomes.failed(), 3);
        let page = outcomes.page();
        assert!(page.contains("| case | rule | kafka | memory |"), "{page}");
        assert!(page.contains("| B01 | arrives | keys | ✓ |"), "{page}");
        assert!(
            page.contains("## Registries\n\n| case | rule | memory |\n|---|---|---|\n| R01 | is found | ✓ |"),
            "{page}"
        );
        assert!(page.contains(
            "## Codecs\n\n| case | rule | bytes | json |\n|---|---|---|---|\n| K01 | comes back | fields | ✓ |"
        ));
        assert!(page.contains("## Transports\n\n| case | rule | grpc |\n|---|---|---|\n| T01 | is answered | ✓ |"));
        assert!(
            page.contains(
                "on other servers\n\n| case | rule | mock | three |\n|---|---|---|---|\n| B100 | survives | ✓ | ✓ |\n\
                 | B107 | goes on | **missing** | ✓ |\n"
            ),
            "{page}"
        );
        assert!(page.contains("| B02 | is apart | **missing** | **failed** |\n| B100 |"), "{page}");
    }
}
