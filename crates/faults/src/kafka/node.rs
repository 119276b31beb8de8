use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::distribution::Distribution;
use super::properties::SERVER;
use super::wire;
use crate::{Failure, Process, Result, wait};

const FORMAT: Duration = Duration::from_secs(60);
/// What a node may take to hand over its partitions and end.
const STOP: Duration = Duration::from_secs(30);
const CLUSTER: &str = "bWljcm8tcnMtdGVzdHMtMQ";

/// One node: its folder, its port for clients, and its process while it has one.
#[derive(Debug)]
pub(super) struct Node {
    number: usize,
    folder: PathBuf,
    port: u16,
    process: Mutex<Option<Process>>,
}

impl Node {
    pub(super) fn new(number: usize, folder: PathBuf, port: u16) -> Self {
        Self { number, folder, port, process: Mutex::new(None) }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Gives it an empty data folder, in which the users are written already.
    pub(super) fn format(&self, distribution: &Distribution, users: bool) -> Result<()> {
        let mut java = distribution.java(&self.folder);
        java.args(["-Xmx128m", "kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER, "--config"]);
        java.arg(self.folder.join(SERVER));
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"].iter().filter(|_| users) {
            for user in ["alice", "bob"] {
                java.args(["--add-scram", &format!("{mechanism}=[name={user},password={user}-secret]")]);
            }
        }
        let log = self.folder.join("format.log");
        Process::start(format!("the formatting of node {}", self.number), &mut java, &log)?.finish(FORMAT)
    }

    /// Starts the program, without waiting for it.
    pub(super) fn start(&self, mut java: Command) -> Result<()> {
        java.args(["-XX:+ExitOnOutOfMemoryError", "kafka.Kafka"]).arg(self.folder.join(SERVER));
        let process =
            Process::start(format!("Kafka node {}", self.number), &mut java, &self.folder.join("server.log"))?;
        *self.lock() = Some(process);
        Ok(())
    }

    /// Waits until it serves and sees this many alive, itself among them.
    pub(super) fn wait_ready(&self, alive: usize, limit: Duration) -> Result<()> {
        let own = i32::try_from(self.number).unwrap_or_default();
        let ready = || {
            let seen = wire::answers(self.port).then(|| wire::brokers(self.port)).flatten()?;
            (seen.len() >= alive && seen.contains(&own)).then_some(())
        };
        let outcome = wait::until(limit, || if self.is_running() { ready().map(Ok) } else { Some(Err(())) });
        let what = match outcome {
            Some(Ok(())) => return Ok(()),
            Some(Err(())) => "it ended before it was ready".to_owned(),
            None => format!("it was not ready on 127.0.0.1:{} within {} s", self.port, limit.as_secs_f32()),
        };
        Err(match self.lock().as_ref() {
            Some(process) => process.tell(&what),
            None => self.absent(),
        })
    }

    pub(super) fn is_running(&self) -> bool {
        self.lock().as_mut().is_some_and(Process::is_running)
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        self.lock().as_mut().and_then(|process| process.is_running().then(|| process.id()))
    }

    pub(super) fn kill(&self) {
        if let Some(process) = self.lock().as_mut() {
            process.kill();
        }
    }

    pub(super) fn stop(&self) -> Result<()> {
        match self.lock().as_mut() {
            Some(process) => process.stop(STOP),
            None => Ok(()),
        }
    }

    pub(super) fn pause(&self) -> Result<()> {
        self.running(Process::pause)
    }

    pub(super) fn resume(&self) -> Result<()> {
        self.running(Process::resume)
    }

    /// Folder of its log and its data.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn running(&self, act: impl FnOnce(&mut Process)) -> Result<()> {
        let mut process = self.lock();
        let process = process.as_mut().ok_or_else(|| self.absent())?;
        if !process.is_running() {
            return Err(process.tell("it does not run; restart it first"));
        }
        act(process);
        Ok(())
    }

    fn absent(&self) -> Failure {
        Failure::new(format!("Kafka node {} was never started", self.number))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
