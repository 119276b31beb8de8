use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use micro_core::registry::{Change, Service, grouped};
use micro_core::{Error, Kind, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::config::Config;
use crate::convert;
use crate::nodes::Nodes;
use crate::own::{Own, OwnNode, Registered};
use crate::packet::{self, Entry};
use crate::rounds::{Answer, Rounds};
use crate::socket::Sockets;
use crate::watch::Watchers;

/// How many commands may wait for the thread.
const COMMANDS: usize = 1_024;

/// How many questions of one packet are answered.
const MAX_QUESTIONS: usize = 16;

/// How often a node looks whether its name is free, and how often it announces itself.
const PROBES: u32 = 3;
const ANNOUNCEMENTS: u32 = 3;

/// What the handles ask of the thread.
#[derive(Debug)]
pub(crate) enum Command {
    Register { service: Service, ttl: Duration, answer: Answer<()> },
    Deregister { service: Service, answer: Answer<()> },
    Get { service: String, answer: Answer<Vec<Service>> },
    List { answer: Answer<Vec<String>> },
    Watch { service: Option<String>, changes: mpsc::Sender<Change>, answer: Answer<()> },
}

/// What is to be done at a time.
#[derive(Debug)]
enum Job {
    Probe { instance: String, generation: u64, times: u32 },
    Announce { instance: String, generation: u64, times: u32 },
    RoundEnds(String),
    ListEnds,
    AskAgain,
    FirstState(u64),
}

enum Event {
    Command(Option<Command>),
    Packet(io::Result<(usize, SocketAddr)>, Heard),
    Clock,
}

#[derive(Clone, Copy)]
enum Heard {
    Group,
    Asking,
}

/// Begins the thread and returns the way to it. The thread ends with the last sender.
pub(crate) async fn start(config: Config) -> Result<mpsc::Sender<Command>> {
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let (opened, opening) = oneshot::channel();
    let failed =
        |error: io::Error| Error::new(Kind::Unavailable, "cannot begin the thread of the mDNS registry").source(error);
    std::thread::Builder::new()
        .name("micro-mdns".to_owned())
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ =
                        opened.send(Err(Error::new(Kind::Unavailable, "cannot begin the mDNS registry").source(error)));
                    return;
                }
            };
            runtime.block_on(async {
                match Sockets::open(&config) {
                    Ok(sockets) => {
                        let _ = opened.send(Ok(()));
                        Driver::new(config, sockets).run(receiver).await;
                    }
                    Err(error) => {
                        let _ = opened.send(Err(error));
                    }
                }
            });
        })
        .map_err(failed)?;
    opening
        .await
        .unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "the thread of the mDNS registry ended at its start")))?;
    Ok(commands)
}

struct Driver {
    sockets: Sockets,
    own: Own,
    nodes: Nodes,
    rounds: Rounds,
    watchers: Watchers,
    jobs: BTreeMap<(Instant, u64), Job>,
    next_job: u64,
    /// Nothing expires before this.
    sweep: Option<Instant>,
    asking_again: bool,
    config: Config,
}

impl Driver {
    fn new(config: Config, sockets: Sockets) -> Self {
        Self {
            sockets,
            own: Own::new(config.clone()),
            nodes: Nodes::default(),
            rounds: Rounds::default(),
            watchers: Watchers::default(),
            jobs: BTreeMap::new(),
            next_job: 0,
            sweep: None,
            asking_again: false,
            config,
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let (mut from_group, mut from_asking) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            let clock = [self.jobs.first_key_value().map(|((at, _), _)| *at), self.sweep].into_iter().flatten().min();
            let event = tokio::select! {
                command = commands.recv() => Event::Command(command),
                packet = self.sockets.group.recv_from(&mut from_group) => Event::Packet(packet, Heard::Group),
                packet = self.sockets.asking.recv_from(&mut from_asking) => Event::Packet(packet, Heard::Asking),
                () = until(clock) => Event::Clock,
            };
            match event {
                Event::Command(None) => break,
                Event::Command(Some(command)) => self.command(command).await,
                Event::Packet(Ok((length, from)), Heard::Group) => self.packet(&from_group[..length], from).await,
                Event::Packet(Ok((length, from)), Heard::Asking) => self.packet(&from_asking[..length], from).await,
                // An answer that reached nobody comes back as an error here. Not as fast as the processor can.
                Event::Packet(Err(_), _) => tokio::time::sleep(Duration::from_millis(1)).await,
                Event::Clock => {}
            }
            self.work().await;
        }
        for node in self.own.clear() {
            self.farewell(&node.entry).await;
        }
    }

    fn later(&mut self, after: Duration, job: Job) {
        self.next_job += 1;
        self.jobs.insert((Instant::now() + after, self.next_job), job);
    }

    fn sweep_by(&mut self, at: Option<Instant>) {
        self.sweep = [self.sweep, at].into_iter().flatten().min();
    }

    async fn command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Register { service, ttl, answer } => {
                let _ = answer.send(self.register(&service, ttl, now));
            }
            Command::Deregister { service, answer } => {
                let gone = self.own.deregister(&service, now);
                self.take_leave(gone).await;
                let _ = answer.send(Ok(()));
            }
            Command::Get { service, answer } => self.get(service, answer, now).await,
            Command::List { answer } => match self.ask_for_list().await {
                Ok(()) => self.rounds.wait_for_list(answer),
                Err(error) => drop(answer.send(Err(error))),
            },
            Command::Watch { service, changes, answer } => {
                let _ = answer.send(self.watch(service, changes, now).await);
            }
        }
    }

    fn register(&mut self, service: &Service, ttl: Duration, now: Instant) -> Result<()> {
        // A program that only answers asks nothing, and registers again and again.
        self.sockets.look();
        for registered in self.own.register(service, ttl, now)? {
            match registered {
                Registered::Refreshed => {}
                Registered::New { instance, generation } => {
                    self.tell_own(&instance, Change::Create);
                    self.later(Duration::ZERO, Job::Probe { instance, generation, times: 0 });
                }
                Registered::Changed { instance, generation, before } => {
                    if before.version == service.version {
                        self.tell_own(&instance, Change::Update);
                    } else {
                        self.watchers.tell(&Change::Delete(before));
                        self.tell_own(&instance, Change::Create);
                    }
                    self.later(Duration::ZERO, Job::Announce { instance, generation, times: 0 });
                }
            }
        }
        self.sweep_by(self.own.next_expiry());
        Ok(())
    }

    fn tell_own(&mut self, instance: &str, change: fn(Service) -> Change) {
        if let Some(service) = self.own.record(instance) {
            self.watchers.tell(&change(service.clone()));
        }
    }

    async fn take_leave(&mut self, gone: Vec<OwnNode>) {
        for node in gone {
            self.farewell(&node.entry).await;
            self.watchers.tell(&Change::Delete(node.service));
        }
    }

    async fn farewell(&self, entry: &Entry) {
        let farewell = Entry { ttl: 0, ..entry.clone() };
        self.send(packet::announcement(&farewell)).await;
    }

    /// Sends what nobody waits for.
    async fn send(&self, packet: Result<Vec<u8>>) {
        let sent = match packet {
            Ok(packet) => self.sockets.announce(&packet).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "an mDNS packet was not sent");
        }
    }

    async fn get(&mut self, service: String, answer: Answer<Vec<Service>>, now: Instant) {
        let known = self.state(Some(&service));
        let fresh = self.rounds.is_fresh(&service, self.config.interval, now);
        self.follow(&service, now);
        if fresh && !known.is_empty() {
            return drop(answer.send(Ok(known)));
        }
        if let Err(error) = self.ask(&service, now).await {
            return drop(answer.send(Err(error)));
        }
        if let Some(answer) = self.rounds.wait(&service, answer) {
            let _ = answer.send(Ok(known));
        }
    }

    fn follow(&mut self, service: &str, now: Instant) {
        if let Some(gone) = self.rounds.follow(service, &self.watchers.services(), now) {
            self.nodes.forget(&gone);
        }
        self.sweep_by(self.rounds.next_unused());
    }

    /// Asks for the nodes of a followed service, unless that is under way.
    async fn ask(&mut self, service: &str, now: Instant) -> Result<()> {
        let packet = packet::query(fastrand::u16(..), &format!("{service}.{}", self.config.domain))?;
        if self.rounds.begin(service, now) {
            let sent = self.sockets.ask(&packet).await;
            if sent.is_err() {
                self.rounds.end(service, now);
            }
            sent?;
            self.later(self.config.timeout, Job::RoundEnds(service.to_owned()));
        }
        Ok(())
    }

    async fn ask_for_list(&mut self) -> Result<()> {
        let packet = packet::query(fastrand::u16(..), &format!("{}.{}", packet::LIST, self.config.domain))?;
        if self.rounds.begin_list() {
            let sent = self.sockets.ask(&packet).await;
            if sent.is_err() {
                self.rounds.end_list();
            }
            sent?;
            self.later(self.config.timeout, Job::ListEnds);
        }
        Ok(())
    }

    async fn watch(&mut self, service: Option<String>, changes: mpsc::Sender<Change>, now: Instant) -> Result<()> {
        let mut state_after = self.config.timeout;
        match &service {
            Some(service) => {
                self.follow(service, now);
                self.ask(service, now).await?;
            }
            None => {
                // The list first, then each service on it.
                self.ask_for_list().await?;
                state_after *= 2;
            }
        }
        let id = self.watchers.add(service, changes);
        // A little more, so that what comes with the end of the round is in it.
        self.later(state_after + Duration::from_millis(5), Job::FirstState(id));
        if !std::mem::replace(&mut self.asking_again, true) {
            self.later(self.config.interval, Job::AskAgain);
        }
        Ok(())
    }

    fn state(&self, service: Option<&str>) -> Vec<Service> {
        grouped(self.own.records(service).chain(self.nodes.records(service)).cloned())
    }

    async fn packet(&mut self, bytes: &[u8], from: SocketAddr) {
        let Some(incoming) = packet::read(bytes) else { return };
        if !incoming.probe && self.sockets.is_near(from) {
            let questions = &incoming.questions[..incoming.questions.len().min(MAX_QUESTIONS)];
            for (place, asked) in questions.iter().enumerate() {
                if questions[..place].contains(asked) {
                    continue;
                }
                for answer in self.own.answers(incoming.id, asked) {
                    match answer {
                        Ok(answer) => self.sockets.answer(&answer, from).await,
                        Err(error) => tracing::debug!(%error, "an mDNS question was not answered"),
                    }
                }
            }
        }
        for entry in incoming.entries {
            self.heard(&entry);
        }
    }

    fn heard(&mut self, entry: &Entry) {
        let now = Instant::now();
        if let Some(service) = entry.instance.strip_suffix(&format!(".{}.{}", packet::LIST, self.config.domain)) {
            if entry.ttl > 0 {
                self.rounds.listed(service);
            }
            return;
        }
        if self.own.has_the_say(&entry.instance, now) {
            return;
        }
        let Some(service) = convert::unpack(entry, &self.config.domain) else { return };
        if !self.rounds.follows(&service.name) {
            if !self.watchers.everything() {
                return;
            }
            self.follow(&service.name, now);
        }
        if entry.ttl > 0
            && let Some(left) = self.nodes.left(&entry.instance, now)
            && !self.rounds.asked_since(&service.name, left)
        {
            return;
        }
        for change in self.nodes.heard(&entry.instance, service, entry.ttl, now) {
            self.watchers.tell(&change);
        }
        self.sweep_by(self.nodes.next_expiry());
    }

    /// Does what is due.
    async fn work(&mut self) {
        let now = Instant::now();
        if self.sweep.is_some_and(|at| at <= now) {
            self.sweep(now).await;
        }
        while let Some(entry) = self.jobs.first_entry()
            && entry.key().0 <= now
        {
            let job = entry.remove();
            self.job(job, now).await;
        }
    }

    async fn sweep(&mut self, now: Instant) {
        for change in self.nodes.expire(now) {
            self.watchers.tell(&change);
        }
        let gone = self.own.expire(now);
        self.take_leave(gone).await;
        // A list of everything is followed as long as somebody watches everything.
        if !self.watchers.everything() {
            for service in self.rounds.unused(&self.watchers.services(), now) {
                self.nodes.forget(&service);
            }
        }
        self.sweep = None;
        self.sweep_by(self.nodes.next_expiry());
        self.sweep_by(self.own.next_expiry());
        // Watched ones stay over their time: looked at again later, not at once.
        self.sweep_by(self.rounds.next_unused().map(|at| at.max(now + Duration::from_secs(10))));
    }

    async fn job(&mut self, job: Job, now: Instant) {
        match job {
            Job::Probe { instance, generation, times } => {
                let Some(entry) = self.own.current(&instance, generation) else { return };
                self.send(packet::probe(entry)).await;
                let pause = Duration::from_millis(fastrand::u64(0..250));
                self.later(
                    pause,
                    match times + 1 {
                        PROBES => Job::Announce { instance, generation, times: 0 },
                        times => Job::Probe { instance, generation, times },
                    },
                );
            }
            Job::Announce { instance, generation, times } => {
                let Some(entry) = self.own.current(&instance, generation) else { return };
                self.send(packet::announcement(entry)).await;
                if times + 1 < ANNOUNCEMENTS {
                    // After one second, then after two more.
                    let times = times + 1;
                    self.later(Duration::from_secs(u64::from(times)), Job::Announce { instance, generation, times });
                }
            }
            Job::RoundEnds(service) => {
                let Some(round) = self.rounds.end(&service, now) else { return };
                for change in self.nodes.missed(&service, round.asked) {
                    self.watchers.tell(&change);
                }
                let state = self.state(Some(&service));
                for answer in round.waiting {
                    let _ = answer.send(Ok(state.clone()));
                }
            }
            Job::ListEnds => self.list_ends(now).await,
            Job::AskAgain => self.ask_again(now).await,
            Job::FirstState(id) => self.tell_state(Some(id)),
        }
    }

    async fn list_ends(&mut self, now: Instant) {
        let Some(mut listing) = self.rounds.end_list() else { return };
        if self.watchers.everything() {
            // Those that were known are asked for as well, so that it shows if they are gone.
            for service in listing.names.iter().cloned().chain(self.nodes.names().cloned()).collect::<Vec<_>>() {
                self.follow(&service, now);
                let asked = self.ask(&service, now).await;
                self.note(asked);
            }
        }
        listing.names.append(&mut self.own.names());
        for answer in listing.waiting {
            let _ = answer.send(Ok(listing.names.iter().cloned().collect()));
        }
    }

    async fn ask_again(&mut self, now: Instant) {
        self.asking_again = self.watchers.any();
        if !self.asking_again {
            return;
        }
        for service in self.watchers.services() {
            self.follow(&service, now);
            let asked = self.ask(&service, now).await;
            self.note(asked);
        }
        if self.watchers.everything() {
            let asked = self.ask_for_list().await;
            self.note(asked);
        }
        self.tell_state(None);
        self.later(self.config.interval, Job::AskAgain);
    }

    fn note(&self, asked: Result<()>) {
        if let Err(error) = asked {
            tracing::debug!(%error, "an mDNS question was not sent");
        }
    }

    fn tell_state(&mut self, id: Option<u64>) {
        let (own, nodes) = (&self.own, &self.nodes);
        self.watchers.state(id, |service| grouped(own.records(service).chain(nodes.records(service)).cloned()));
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}
