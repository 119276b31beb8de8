//! The servers that the tests and examples of a run share.

use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use micro_faults::kafka::{Distribution, Kafka, Setup};

use crate::{Result, command, kafka};

const PAUSE: Duration = Duration::from_millis(100);

/// Running servers, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Services {
    kafka: Kafka,
    home: OsString,
}

impl Services {
    /// Starts them, after fetching what is not here yet.
    pub(crate) fn start() -> Result<Self> {
        // From now on a signal is ours to answer: the servers would outlive us for a moment otherwise.
        command::ended();
        let home = kafka::ensure()?;
        let text = |e: micro_faults::Failure| e.to_string();
        let distribution = Distribution::at(&home).map_err(text)?;
        let kafka = Kafka::start_from(&distribution, &Setup::new().secure()).map_err(text)?;
        Ok(Self { kafka, home: home.into() })
    }

    /// Variables by which tests and examples find them.
    pub(crate) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let kafka = self.kafka.variables().into_iter().map(|(name, value)| (name, value.into()));
        kafka.chain([("MICRO_KAFKA_HOME", self.home.clone())]).collect()
    }
}

/// `cargo xtask services`: runs them until a signal comes.
pub(crate) fn run() -> Result<bool> {
    let services = Services::start()?;
    for (name, value) in services.variables() {
        println!("export {name}={}", quoted(&value.to_string_lossy()));
    }
    eprintln!("xtask: the servers run until Ctrl-C; their logs are in {}", services.kafka.folder().display());
    while !command::ended() {
        if !services.kafka.is_running(1) {
            return Err("Kafka ended by itself".to_owned());
        }
        thread::sleep(PAUSE);
    }
    Ok(true)
}

/// As a shell reads it back.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        assert_eq!(quoted("127.0.0.1:10092,127.0.0.1:10093"), "127.0.0.1:10092,127.0.0.1:10093");
        assert_eq!(quoted("/a folder/it's"), r"'/a folder/it'\''s'");
    }
}
