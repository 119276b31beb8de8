//! docs/features.md: which feature rows are shown by a test, and by which.

mod page;
mod rows;
mod scan;

use std::fs;

use crate::{Result, workspace::Workspace};

const PAGE: &str = "docs/features.md";

/// `cargo xtask features [--check]`.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let workspace = Workspace::load()?;
    let tracked = workspace.tracked()?;
    if arguments.iter().any(|a| a == "--check") {
        let findings = findings(&workspace, &tracked)?;
        findings.iter().for_each(|finding| println!("{finding}"));
        return Ok(findings.is_empty());
    }
    let (text, wrong) = build(&workspace, &tracked)?;
    fs::write(workspace.root.join(PAGE), text).map_err(|e| format!("cannot write {PAGE}: {e}"))?;
    wrong.iter().for_each(|finding| println!("{finding}"));
    Ok(wrong.is_empty())
}

/// Tags that name no row, and the page when it is not what the tags say.
pub(crate) fn findings(workspace: &Workspace, tracked: &[String]) -> Result<Vec<String>> {
    let (text, mut findings) = build(workspace, tracked)?;
    if workspace.read(PAGE).as_deref() != Some(text.as_str()) {
        findings.push(format!("{PAGE} is not up to date; run: cargo xtask features"));
    }
    Ok(findings)
}

/// The page, and what is wrong with the tags.
fn build(workspace: &Workspace, tracked: &[String]) -> Result<(String, Vec<String>)> {
    let areas = rows::areas();
    let mut shown = Vec::new();
    let mut wrong = Vec::new();
    for path in tracked {
        let Some(package) = workspace.owner(path).filter(|_| scan::reads(path)) else { continue };
        let Some(text) = workspace.read(path) else { continue };
        match scan::file(path, package, &text) {
            Ok(found) => shown.extend(found),
            Err(text) => wrong.push(text),
        }
    }
    shown.sort_by(|a, b| (&a.path, &a.test).cmp(&(&b.path, &b.test)));
    for test in &shown {
        for id in test.ids.iter().filter(|id| !areas.iter().any(|area| area.rows.iter().any(|row| row.id == **id))) {
            wrong.push(format!("{}: {}: there is no feature row {id}", test.path, test.test));
        }
    }
    Ok((page::write(&areas, &shown), wrong))
}
