//! The real go-micro program, built by interop/build.sh.

use std::process::Command;
use std::sync::OnceLock;

use crate::Result;

/// Returns the path of the program.
///
/// # Errors
///
/// If Go is not installed, or the program does not build.
pub(super) fn program() -> Result<String> {
    static PROGRAM: OnceLock<Result<String>> = OnceLock::new();
    PROGRAM.get_or_init(build).clone()
}

fn build() -> Result<String> {
    if let Ok(path) = std::env::var("MICRO_GO_PEER") {
        return Ok(path);
    }
    let output = Command::new("sh").arg("interop/build.sh").output().map_err(|e| format!("interop/build.sh: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
