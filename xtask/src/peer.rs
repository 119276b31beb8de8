//! The real go-micro program that the interop tests talk to.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Result, command::Group, tools, workspace::Workspace};

const SCRIPT: &str = "interop/build.sh";
const BUILD: Duration = Duration::from_secs(15 * 60);

/// Path of the built peer: from `MICRO_GO_PEER`, or by interop/build.sh, which keeps it in the cache. `None` when this
/// checkout has no such script.
pub(crate) fn ensure(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if let Some(path) = std::env::var_os("MICRO_GO_PEER").filter(|path| !path.is_empty()) {
        return Ok(Some(path.into()));
    }
    let script = workspace.root.join(SCRIPT);
    if !script.is_file() {
        return Ok(None);
    }
    if tools::on_path("go").is_none() {
        tools::install(&["golang-go", "ca-certificates"])?;
    }
    let mut sh = Command::new("sh");
    sh.arg(&script).current_dir(&workspace.root).stdout(Stdio::piped());
    let mut group = Group::start(&mut sh)?;
    let lines = group.lines();
    let status = group.wait(BUILD)?;
    if !status.success() {
        return Err(format!("{SCRIPT} failed: {status}"));
    }
    drop(group);
    let last = lines.into_iter().last().ok_or_else(|| format!("{SCRIPT} printed no path"))?;
    Ok(Some(last.into()))
}
