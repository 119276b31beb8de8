//! The real Kafka that tests talk to, kept in the cache outside the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use micro_faults::kafka::{self, Distribution};

use crate::{Result, command, tools};

const FETCH: Duration = Duration::from_secs(15 * 60);
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// What the published pom of Kafka leaves to its packagers: a logger.
const LOGGERS: &[(&str, &[&str])] = &[
    ("3", &["org.slf4j:slf4j-reload4j:1.7.36"]),
    ("4", &["org.apache.logging.log4j:log4j-slf4j-impl:2.24.3", "org.apache.logging.log4j:log4j-core:2.24.3"]),
];

/// Folder of the version that tests use: from `MICRO_KAFKA_HOME`, or by [`fetch`].
pub(crate) fn ensure() -> Result<PathBuf> {
    match std::env::var_os("MICRO_KAFKA_HOME").filter(|home| !home.is_empty()) {
        Some(home) => Ok(home.into()),
        None => fetch(&Distribution::version()),
    }
}

/// Folder of this version, fetched by Maven if it is not in the cache.
pub(crate) fn fetch(version: &str) -> Result<PathBuf> {
    let own_java = std::env::var_os("JAVA_HOME").is_some_and(|home| !home.is_empty());
    if !own_java && ["java", "keytool"].iter().any(|program| tools::on_path(program).is_none()) {
        tools::install(&["default-jre-headless"])?;
    }
    let home = Distribution::place(version).map_err(|e| e.to_string())?;
    if home.join("lib").is_dir() {
        return Ok(home);
    }
    if tools::on_path("mvn").is_none() {
        tools::install(&["default-jre-headless", "maven"])?;
    }
    eprintln!("xtask: Kafka {version} is not here yet: fetching it into {}", home.display());
    let work = tools::fresh(&home.with_file_name(format!("kafka-{version}-fetching.work")))?;
    copy(version, &work)?;
    if let Err(error) = tools::place(&work, &home) {
        // Two runs may fetch at once; the first one's copy is as good.
        let _ = fs::remove_dir_all(&work);
        return if home.join("lib").is_dir() { Ok(home) } else { Err(error) };
    }
    let distribution = Distribution::at(&home).map_err(|e| e.to_string())?;
    // A help only: without it every server starts, more slowly.
    if let Err(error) = kafka::train(&distribution) {
        eprintln!("xtask: Kafka will start slowly: {error}");
    }
    Ok(home)
}

fn copy(version: &str, folder: &Path) -> Result<()> {
    let path = folder.join("pom.xml");
    fs::write(&path, pom(version)?).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "--file"]).arg(&path).arg(COPY).arg("-DincludeScope=runtime");
    maven.arg(format!("-DoutputDirectory={}", folder.join("lib").display()));
    let status = command::run(&mut maven, FETCH)?;
    status.success().then_some(()).ok_or_else(|| format!("Maven could not fetch Kafka {version}: {status}"))
}

fn pom(version: &str) -> Result<String> {
    let plain = !version.is_empty() && version.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    let major = version.split('.').next().unwrap_or_default();
    let loggers = LOGGERS.iter().find(|(of, _)| *of == major && plain).map(|(_, loggers)| *loggers);
    let loggers = loggers.ok_or_else(|| format!("{version:?} is no version of Kafka 3 or 4; 3.9.1 and 4.1.1 are"))?;
    let kafka = format!("org.apache.kafka:kafka_2.13:{version}");
    let mut dependencies = String::new();
    for coordinates in std::iter::once(kafka.as_str()).chain(loggers.iter().copied()) {
        let mut parts = coordinates.split(':');
        let mut next = || parts.next().unwrap_or_default();
        dependencies.push_str(&format!(
            "    <dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>\n",
            next(),
            next(),
            next()
        ));
    }
    Ok(format!(
        "<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>micro-rs</groupId>
  <artifactId>kafka</artifactId>
  <version>{version}</version>
  <packaging>pom</packaging>
  <dependencies>
{dependencies}  </dependencies>
</project>
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_of_kafka_gets_its_logger() {
        assert!(pom("3.9.1").unwrap().contains("<artifactId>slf4j-reload4j</artifactId>"));
        assert!(pom("4.1.1").unwrap().contains("<artifactId>log4j-core</artifactId>"));
        for wrong in ["", "2.8.0", "4.1.1</version>", "latest"] {
            assert!(pom(wrong).is_err(), "{wrong}");
        }
    }
}
