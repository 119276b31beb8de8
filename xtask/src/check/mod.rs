//! The house rules, proven: `cargo xtask check`.

mod arrows;
mod files;
mod manifests;
mod plugins;

use crate::{Result, features, workspace::Workspace};

/// Prints what breaks a rule; `false` when something does.
pub(crate) fn run() -> Result<bool> {
    let workspace = Workspace::load()?;
    let tracked = workspace.tracked()?;
    let mut findings = arrows::findings(&workspace.packages);
    findings.extend(manifests::findings(&workspace));
    findings.extend(plugins::findings(&tracked));
    let mut lengths = Vec::new();
    for path in &tracked {
        findings.extend(files::name(path));
        if let Some(text) = workspace.read(path) {
            findings.extend(files::text(path, &text));
            lengths.extend(files::length(path, &text));
        }
    }
    findings.extend(features::findings(&workspace, &tracked)?);
    for finding in &findings {
        println!("{finding}");
    }
    lengths.sort_unstable();
    println!(
        "checked {} packages and {} files; {} source files, median {} lines, longest {}: {}",
        workspace.packages.len(),
        tracked.len(),
        lengths.len(),
        lengths.get(lengths.len() / 2).copied().unwrap_or_default(),
        lengths.last().copied().unwrap_or_default(),
        if findings.is_empty() { "all rules kept".to_owned() } else { format!("{} findings", findings.len()) },
    );
    Ok(findings.is_empty())
}
