use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use micro_core::{Error, Kind, Result};

use crate::failure::io_failure;
use crate::filesystem::{Probe, refuse_network, statfs};

/// The folder that all processes of a user share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
    run: PathBuf,
}

impl Home {
    /// Returns the folder that is meant when nobody names one: `MICRO_HOME`, else `~/.micro`.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] if neither `MICRO_HOME` nor `HOME` is set.
    pub fn default_path() -> Result<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("MICRO_HOME").or_else(|| Some(set("HOME")?.join(".micro"))).ok_or_else(|| {
            Error::new(
                Kind::Config,
                "there is no folder for the embedded database: neither MICRO_HOME nor HOME is set; set MICRO_HOME",
            )
        })
    }

    /// Opens the folder for a plugin, and makes it, mode 0700, where it is missing.
    ///
    /// # Errors
    ///
    /// [`Kind::ReadOnly`] if it cannot be made or written, [`Kind::Config`] on a network file system.
    pub fn open(path: impl AsRef<Path>, plugin: &str) -> Result<Self> {
        Self::open_with(path, plugin, statfs)
    }

    /// Opens the folder with another way to tell file systems; for tests.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, plugin: &str, probe: Probe) -> Result<Self> {
        let path = path.as_ref();
        let failed = |error| io_failure(path, "make the folder of the embedded database", &error);
        let path = &std::path::absolute(path).map_err(failed)?;
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let path = &path.canonicalize().map_err(failed)?;
        refuse_network(path, probe)?;
        let run = path.join("run").join(plugin);
        DirBuilder::new().recursive(true).mode(0o700).create(&run).map_err(failed)?;
        Ok(Self { path: path.clone(), run })
    }

    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the place of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the folder of what lives as long as a process: the plugin's sockets and locks. Each plugin has its own, so
    /// that one does not wake the other.
    #[must_use]
    pub fn run(&self) -> &Path {
        &self.run
    }
}
