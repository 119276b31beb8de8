use std::path::PathBuf;
use std::time::Duration;

use micro_core::address::Address;
use micro_core::{Error, Kind, Result};
use micro_engine::{Durability, Home};

use crate::place::MAX_PARTITIONS;

const KNOWN: [&str; 4] = ["partitions", "retain_hours", "retain_mb", "sync"];

/// What an address asks for: `embedded:///var/lib/app?partitions=16&retain_hours=168&retain_mb=1024&sync=always`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The folder; `None` is `MICRO_HOME`, else `~/.micro`.
    pub(crate) folder: Option<PathBuf>,
    /// How many partitions the topics have that this program makes.
    pub(crate) partitions: u32,
    /// How long messages are kept.
    pub(crate) retain_age: Duration,
    /// How many bytes of messages a topic keeps.
    pub(crate) retain_bytes: u64,
    /// What a receipt means.
    pub(crate) durability: Durability,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: None,
            partitions: 16,
            retain_age: Duration::from_secs(7 * 24 * 3600),
            retain_bytes: 1 << 30,
            durability: Durability::Synced,
        }
    }
}

impl Settings {
    pub(crate) fn read(address: &Address) -> Result<Self> {
        address.check_params(&KNOWN)?;
        if address.scheme().is_some_and(|scheme| scheme != "embedded") {
            return Err(config(format!("the address {address} is not the embedded broker's: embedded:///a/folder")));
        }
        let mut settings = Self::default();
        // `embedded://~/x` and a bare `a/folder` put the first part where other addresses have their host.
        let folder = address.hosts().join(",") + address.path();
        if !folder.is_empty() {
            settings.folder = Some(PathBuf::from(folder));
        }
        if let Some(partitions) = address.parsed("partitions")? {
            if !(1..=MAX_PARTITIONS).contains(&partitions) {
                return Err(config(format!("partitions={partitions} of the address must be 1 to {MAX_PARTITIONS}")));
            }
            settings.partitions = partitions;
        }
        if let Some(hours) = positive(address, "retain_hours")? {
            settings.retain_age = Duration::from_secs_f64((hours * 3600.0).min(1e9));
        }
        if let Some(megabytes) = positive(address, "retain_mb")? {
            settings.retain_bytes = (megabytes * f64::from(1 << 20)) as u64;
        }
        settings.durability = match address.param("sync") {
            None | Some("always") => Durability::Synced,
            Some("never") => Durability::Written,
            Some(other) => return Err(config(format!("sync={other} of the address must be always or never"))),
        };
        Ok(settings)
    }

    pub(crate) fn home(&self) -> Result<PathBuf> {
        match &self.folder {
            Some(folder) => Ok(folder.clone()),
            None => Home::default_path(),
        }
    }
}

fn positive(address: &Address, name: &str) -> Result<Option<f64>> {
    match address.parsed::<f64>(name)? {
        Some(value) if !value.is_finite() || value <= 0.0 => {
            Err(config(format!("{name}={value} of the address must be more than 0")))
        }
        value => Ok(value),
    }
}

fn config(text: String) -> Error {
    Error::new(Kind::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_folder_partitions_retention_and_sync() {
        let address =
            Address::parse("embedded:///srv/app?partitions=4&retain_hours=0.5&retain_mb=2&sync=never").unwrap();
        let settings = Settings::read(&address).unwrap();
        assert_eq!(settings.folder.as_deref(), Some(std::path::Path::new("/srv/app")));
        assert_eq!((settings.partitions, settings.retain_bytes), (4, 2 << 20));
        assert_eq!((settings.retain_age, settings.durability), (Duration::from_secs(1800), Durability::Written));
    }

    #[test]
    fn a_senseless_setting_is_refused_by_name() {
        for (text, word) in [
            ("embedded:///x?partitions=0", "partitions=0"),
            ("embedded:///x?partitions=1000", "1 to 128"),
            ("embedded:///x?retain_mb=-1", "retain_mb=-1"),
            ("embedded:///x?sync=maybe", "sync=maybe"),
            ("embedded:///x?partition=3", "known are: partitions"),
            ("kafka://h:1", "embedded:///a/folder"),
        ] {
            let error = Settings::read(&Address::parse(text).unwrap()).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
