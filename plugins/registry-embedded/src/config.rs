use std::path::PathBuf;

use micro_core::address::Address;
use micro_core::{Error, Kind, Result};
use micro_engine::Home;

/// Returns the folder that an address means: `embedded:///var/lib/app`, or `MICRO_HOME`, else `~/.micro`.
pub(crate) fn folder(address: &Address) -> Result<PathBuf> {
    address.check_params(&[])?;
    if address.scheme().is_some_and(|scheme| scheme != "embedded") {
        let text = format!("the address {address} is not the embedded registry's: embedded:///a/folder");
        return Err(Error::new(Kind::Config, text));
    }
    match address.hosts().join(",") + address.path() {
        folder if folder.is_empty() => Home::default_path(),
        folder => Ok(PathBuf::from(folder)),
    }
}
