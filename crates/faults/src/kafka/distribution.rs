use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, Result};

/// Folder of the programs; in it `lib/*.jar`.
const HOME: &str = "MICRO_KAFKA_HOME";
const VERSION: &str = "MICRO_KAFKA_VERSION";
const CACHE: &str = "MICRO_CACHE";
/// go-micro v2's plugin speaks versions of the protocol that 4.0 no longer knows.
const DEFAULT_VERSION: &str = "3.9.1";

/// The programs of Kafka on this machine: a folder with `lib/*.jar`, and a Java to run them.
#[derive(Debug, Clone)]
pub struct Distribution {
    home: PathBuf,
    jars: Vec<PathBuf>,
    java: PathBuf,
}

impl Distribution {
    /// Finds it: `MICRO_KAFKA_HOME`, else `kafka-<version>` in the cache, where `cargo xtask fetch kafka` puts it.
    ///
    /// # Errors
    ///
    /// If it or Java is not there.
    pub fn find() -> Result<Self> {
        match variable(HOME) {
            Some(home) => Self::at(PathBuf::from(home)),
            None => Self::at(Self::place(&Self::version())?),
        }
    }

    /// Opens the one in a folder.
    ///
    /// # Errors
    ///
    /// If it or Java is not there.
    pub fn at(home: impl Into<PathBuf>) -> Result<Self> {
        let home = home.into();
        let lib = home.join("lib");
        let entries = lib.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        let mut jars: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "jar")).collect();
        jars.sort_unstable();
        if jars.is_empty() {
            return Err(Failure::new(format!(
                "looked for Kafka's jars in {} and found none; run `cargo xtask fetch kafka`, or set {HOME}",
                lib.display()
            )));
        }
        Ok(Self { home, jars, java: program("java")? })
    }

    /// Returns the version that tests use: `MICRO_KAFKA_VERSION`, or the one that is tested by default.
    #[must_use]
    pub fn version() -> String {
        variable(VERSION).unwrap_or_else(|| DEFAULT_VERSION.to_owned())
    }

    /// Returns the folder of a version in the cache, whether it is there or not.
    ///
    /// # Errors
    ///
    /// If neither `MICRO_CACHE` nor `HOME` is set.
    pub fn place(version: &str) -> Result<PathBuf> {
        let cache = match (variable(CACHE), variable("HOME")) {
            (Some(cache), _) => PathBuf::from(cache),
            (None, Some(home)) => Path::new(&home).join(".cache/micro-rs"),
            (None, None) => return Err(Failure::new(format!("neither {CACHE} nor HOME is set: where is Kafka kept?"))),
        };
        Ok(cache.join(format!("kafka-{version}")))
    }

    /// Returns the folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Classes as the virtual machine keeps them; a server starts without it too, in twice the time.
    pub(super) fn archive(&self) -> PathBuf {
        self.home.join("classes.jsa")
    }

    /// Java with what every program of Kafka needs; the main class and its arguments are still to come.
    ///
    /// The servers live for seconds: no second compiler, and a collector without threads of its own.
    pub(super) fn java(&self, folder: &Path) -> Command {
        let mut java = Command::new(&self.java);
        java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto"]);
        // The first is for 3.x, the second for 4.x; neither minds the other.
        java.arg(format!("-Dlog4j.configuration=file:{}", folder.join(super::properties::LOG4J).display()));
        java.arg(format!("-Dlog4j2.configurationFile={}", folder.join(super::properties::LOG4J2).display()));
        let archive = self.archive();
        if archive.is_file() {
            java.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
        }
        // In one order: an archive of classes fits one class path only.
        let path = self.jars.iter().map(|jar| jar.display().to_string()).collect::<Vec<_>>().join(":");
        java.args(["-cp", &path]);
        java
    }
}

/// A program of Java's.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    let home = variable("JAVA_HOME").map(|home| Path::new(&home).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = home.into_iter().chain(std::env::split_paths(&path));
    folders.find_map(|folder| Some(folder.join(name)).filter(|program| program.is_file())).ok_or_else(|| {
        Failure::new(format!("looked for {name} in JAVA_HOME and on the PATH; run `cargo xtask fetch kafka` as root"))
    })
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
