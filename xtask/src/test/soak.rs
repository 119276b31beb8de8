//! `cargo xtask soak [ROUNDS]`: long soaks of the brokers, and the page of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Runner, Table, start_services};
use crate::{Result, kafka, tools, workspace::Workspace};

const PAGE: &str = "docs/soak.md";
const ROUNDS: u32 = 200;

/// So many run side by side: most of a round is waiting for somebody who was killed.
const SHARES: u32 = 3;

/// The longest that all of them may take.
const LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

/// What each plugin told: its lines of name and value.
type Reports = BTreeMap<String, Vec<(String, String)>>;

/// Soaks every broker that has a soak, one after the other, and writes the page when all of it held.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let rounds = match arguments {
        [] => ROUNDS,
        [rounds] => rounds.parse().map_err(|_| format!("{rounds:?} is no number of rounds"))?,
        _ => return Err("only the number of rounds may be given".to_owned()),
    };
    let workspace = Workspace::load()?;
    kafka::ensure()?;
    let folder = workspace.target.join("soak");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| format!("cannot empty {}: {e}", folder.display()))?;
    }
    let mut runner = Runner::new(&workspace, Some(tools::ensure("cargo-nextest")?));
    let _services = start_services(&mut runner, &mut Table::default())?;
    let plugins = workspace.packages.iter().filter(|package| package.folder.starts_with("plugins/"));
    let chosen = ["--profile", "soak", "--test-threads", "1", "-E", "test(/^soak::what_/)"]
        .into_iter()
        .chain(plugins.flat_map(|package| ["-p", package.name.as_str()]))
        .map(str::to_owned);
    let chosen: Vec<_> = chosen.collect();
    let shares: Vec<_> = (0..SHARES).map(|share| (share, (rounds + share) / SHARES)).collect();
    let passed = std::thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .filter(|(_, rounds)| *rounds > 0)
            .map(|(share, rounds)| {
                let (mut runner, chosen) = (runner.clone(), &chosen);
                runner.set("MICRO_SOAK_ROUNDS", rounds.to_string());
                runner.set("MICRO_SOAK_REPORT", folder.join(share.to_string()));
                scope.spawn(move || runner.run(chosen, LIMIT))
            })
            .collect();
        let ended =
            running.into_iter().map(|share| share.join().map_err(|_| "a share of the soak panicked".to_owned())?);
        ended.collect::<Result<Vec<_>>>()
    })?;
    if passed.contains(&false) {
        println!("xtask: {PAGE} is left as it was");
        return Ok(false);
    }
    let page = page(&reports(&folder)?)?;
    fs::write(workspace.root.join(PAGE), page).map_err(|e| format!("cannot write {PAGE}: {e}"))?;
    println!("xtask: wrote {PAGE}");
    Ok(true)
}

/// Reads what the shares wrote, each into a folder of its own, and sums it by plugin.
fn reports(folder: &Path) -> Result<Reports> {
    let mut reports = Reports::new();
    for share in entries(folder)? {
        for file in entries(&share)? {
            let text = fs::read_to_string(&file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            let lines = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let plugin = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match reports.get_mut(&plugin) {
                Some(sum) => add(sum, lines)?,
                None => drop(reports.insert(plugin, lines)),
            }
        }
    }
    Ok(reports)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = |e| format!("no reports in {}: {e}", folder.display());
    let entries = fs::read_dir(folder).map_err(cannot)?;
    let mut entries = entries.map(|entry| Ok(entry.map_err(cannot)?.path())).collect::<Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Adds the report of another share of the same plugin.
fn add(sum: &mut [(String, String)], more: Vec<(String, String)>) -> Result<()> {
    if sum.len() != more.len() {
        return Err("the shares of one soak tell different things".to_owned());
    }
    for ((name, value), (_, other)) in sum.iter_mut().zip(more) {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{name}: {text} is no number"));
        *value = match name.as_str() {
            "first seed" => format!("{value}, {other}"),
            "seconds" | "most in one member's hands" | "most allowed" => {
                number(value)?.max(number(&other)?).to_string()
            }
            _ => (number(value)? + number(&other)?).to_string(),
        };
    }
    Ok(())
}

fn page(reports: &Reports) -> Result<String> {
    let first = reports.values().next().ok_or("no soak wrote a report")?;
    let mut text = format!(
        "# Soak\n\n\
         Generated by `cargo xtask soak` from a run in which everything held; do not edit. In a round, publishers and the\n\
         members of one queue run as processes of their own; they, and the server where there is one, are killed without a\n\
         warning (SIGKILL) at random moments and started again. Then, by what each of them wrote down: every message with a\n\
         receipt was handled; what was confirmed as acknowledged did not come again; what came again had been in the hands of\n\
         somebody who was killed, or who asked for it; nobody had more in hand than is allowed; and the messages of a key came\n\
         in their order.\n\n\
         A round follows from its seed, which is the first one of its share and the number of the round in it:\n`MICRO_SOAK_SEED=… MICRO_SOAK_ROUNDS=1` before the test command plays it again.\n\n|  | {} |\n|---|{}\n",
        reports.keys().map(String::as_str).collect::<Vec<_>>().join(" | "),
        "---|".repeat(reports.len()),
    );
    for (name, _) in first {
        let _ = write!(text, "| {name} |");
        for (plugin, lines) in reports {
            let value = lines.iter().find(|(other, _)| other == name).map(|(_, value)| value);
            let value = value.ok_or_else(|| format!("the report of {plugin} does not tell: {name}"))?;
            let _ = write!(text, " {value} |");
        }
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_column_a_broker_and_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(page(&reports(folder.path()).unwrap()).unwrap_err().contains("no soak"));
        let write = |share: &str, plugin: &str, text: &str| {
            let share = folder.path().join(share);
            fs::create_dir_all(&share).unwrap();
            fs::write(share.join(plugin), text).unwrap();
        };
        for (share, seed) in [("0", 7), ("1", 9)] {
            for (plugin, killed) in [("embedded", 0), ("kafka", 75)] {
                let text = format!("rounds: 100\nfirst seed: {seed}\nseconds: {seed}\nservers killed: {killed}\n");
                write(share, plugin, &text);
            }
        }
        let text = page(&reports(folder.path()).unwrap()).unwrap();
        let table = "|  | embedded | kafka |\n|---|---|---|\n| rounds | 200 | 200 |\n| first seed | 7, 9 | 7, 9 |\n\
                     | seconds | 9 | 9 |\n| servers killed | 0 | 150 |\n";
        assert!(text.ends_with(table), "{text}");
        write("0", "kafka", "rounds: 100\n");
        assert!(reports(folder.path()).unwrap_err().contains("different things"));
        fs::remove_file(folder.path().join("1/kafka")).unwrap();
        let error = page(&reports(folder.path()).unwrap()).unwrap_err();
        assert!(error.contains("kafka") && error.contains("first seed"), "{error}");
    }
}
