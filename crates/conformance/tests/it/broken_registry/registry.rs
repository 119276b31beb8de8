//! A memory that does one thing wrong.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use micro_core::registry::{Change, Memory, Registry, Service, Watch};
use micro_core::{Error, Kind, Result};

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    LosesEndpoints,
    LosesMetadata,
    LosesNodeMetadata,
    ShowsOwnLate,
    MissingIsAnError,
    FindsByPrefix,
    FindsOneNode,
    MixesVersions,
    DoublesNodes,
    KeepsTheFirst,
    KeepsOldVersions,
    StaysAfterDeregister,
    TakesAllAway,
    MissingGoneIsAnError,
    NeverExpires,
    ExpiresEarly,
    ExpiresAll,
    HeartBeatsDoNothing,
    HeartBeatsAreChanges,
    ListsUnsorted,
    ListsTwice,
    ListsTheGone,
    LosesOneOfMany,
    CutsMetadata,
    ReducesToAscii,
    RefusesWithoutAKind,
    KeepsTheRefused,
    FirstStateIsEmpty,
    FirstStateIsLeftOut,
    RepeatsTheState,
    WatchesWithoutVersions,
    UpdatesAreCreations,
    ForgetsUpdates,
    TellsEverythingAgain,
    DeletesAreSilent,
    WatchesByPrefix,
    OneWatchHears,
    EverythingIsSilent,
    DroppingEndsAll,
    RunsOutOfWatches,
    LosesWhatIsGivenUp,
    ExpiryIsSilent,
    DomainsAreOne,
    ZeroIsForever,
    ZeroIsAtOnce,
    ZeroIsRefusedWithoutAKind,
    TakesTheNameless,
    TakesTheNodeless,
    TakesTheIdless,
    KeepsTheGoodHalf,
    DebugShowsThePassword,
    AddressShowsThePassword,
    ErrorsShowThePassword,
    AnswersWhereNobodyIs,
    KilledStay,
    KilledTakeAllAlong,
    DeregistersAnyVersion,
    DroppedTakeAllAlong,
    DroppedStay,
    RefusesAfterAnOutage,
    ForgetsAfterARestart,
    HangsWhenAway,
    IsEmptyWhenAway,
    LosesWhatChanges,
    ResumesEmpty,
    LosesOneOfManyChanges,
    KeepsEveryChange,
}

/// What the clients of one world share.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) memory: Memory,
    /// Ids of nodes that came once.
    known: Mutex<BTreeSet<String>>,
    names: Mutex<BTreeSet<String>>,
    pub(crate) watches: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
}

#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) world: Arc<World>,
    pub(crate) wrong: Wrong,
    /// Dropped with the last clone of a client.
    _handle: Option<Arc<Handle>>,
}

/// What a client does wrong when it is dropped.
#[derive(Debug)]
struct Handle(Broken);

impl Drop for Handle {
    fn drop(&mut self) {
        let broken = self.0.clone();
        // A memory never waits.
        match broken.wrong {
            Wrong::DroppedTakeAllAlong => broken.take_all().now_or_never().unwrap(),
            Wrong::DroppedStay => broken.keep_all().now_or_never().unwrap(),
            _ => Ok(()),
        }
        .unwrap();
    }
}

impl Broken {
    pub(crate) fn new(wrong: Wrong) -> Self {
        Self { world: Arc::default(), wrong, _handle: None }
    }

    /// Another client of the same world.
    pub(crate) fn client(&self) -> Self {
        Self { _handle: Some(Arc::new(Handle(self.clone()))), ..self.clone() }
    }

    pub(crate) async fn take_all(&self) -> Result<()> {
        for service in self.all().await? {
            self.world.memory.deregister(&service).await?;
        }
        Ok(())
    }

    pub(crate) async fn keep_all(&self) -> Result<()> {
        for service in self.all().await? {
            self.world.memory.register(&service, Duration::MAX).await?;
        }
        Ok(())
    }

    /// What is done instead of refusing, if that is what is wrong.
    async fn instead(&self, service: &Service, ttl: Duration) -> Option<Result<()>> {
        let memory = &self.world.memory;
        let mut taken = service.clone();
        match self.wrong {
            Wrong::ZeroIsForever if ttl.is_zero() => Some(memory.register(service, Duration::MAX).await),
            Wrong::ZeroIsAtOnce if ttl.is_zero() => Some(memory.deregister(service).await),
            Wrong::ZeroIsRefusedWithoutAKind if ttl.is_zero() => Some(Err(Error::new(Kind::Internal, "no"))),
            Wrong::TakesTheNameless if service.name.is_empty() => Some(Ok(())),
            Wrong::TakesTheNodeless if service.nodes.is_empty() => Some(Ok(())),
            Wrong::TakesTheIdless | Wrong::KeepsTheGoodHalf if service.nodes.iter().any(|node| node.id.is_empty()) => {
                taken.nodes.retain(|node| !node.id.is_empty());
                let kept = memory.register(&taken, ttl).await;
                let half = self.is(Wrong::KeepsTheGoodHalf);
                Some(if half { service.check_registration(ttl) } else { kept })
            }
            _ => None,
        }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    /// Notes the node; true if it was there before.
    fn knows(&self, service: &Service) -> bool {
        self.world.names.lock().unwrap().insert(service.name.clone());
        let mut known = self.world.known.lock().unwrap();
        service.nodes.iter().map(|node| known.insert(node.id.clone())).filter(|new| !new).count() > 0
    }

    async fn all(&self) -> Result<Vec<Service>> {
        let mut all = Vec::new();
        for name in self.world.memory.list().await? {
            all.extend(self.world.memory.get(&name).await?);
        }
        Ok(all)
    }

    fn registered(&self, service: &mut Service) {
        let size = |service: &Service| service.nodes.iter().flat_map(|n| n.metadata.values()).map(String::len).max();
        match self.wrong {
            Wrong::LosesEndpoints => service.endpoints.clear(),
            Wrong::LosesMetadata => service.metadata.clear(),
            Wrong::LosesNodeMetadata => service.nodes.iter_mut().for_each(|node| node.metadata.clear()),
            Wrong::MixesVersions => service.version = "1".to_owned(),
            Wrong::KeepsTheRefused if size(service) > Some(100_000) => {
                service.nodes.iter_mut().for_each(|node| node.metadata.clear());
            }
            Wrong::CutsMetadata => {
                service.nodes.iter_mut().flat_map(|node| node.metadata.values_mut()).for_each(|v| v.truncate(255));
            }
            Wrong::ReducesToAscii => {
                service.metadata.values_mut().for_each(|value| value.retain(|c| c.is_ascii()));
            }
            _ => {}
        }
    }
}

fn large(service: &Service) -> bool {
    service.nodes.iter().flat_map(|node| node.metadata.values()).any(|value| value.len() > 100_000)
}

#[async_trait::async_trait]
impl Registry for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn address(&self) -> String {
        format!("{:?}", self.wrong)
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        let memory = &self.world.memory;
        if let Some(done) = self.instead(service, ttl).await {
            return done;
        }
        service.check_registration(ttl)?;
        let knows = self.knows(service);
        let mut service = service.clone();
        let ttl = match self.wrong {
            Wrong::NeverExpires => Duration::MAX,
            Wrong::ExpiresEarly => ttl / 2,
            _ => ttl,
        };
        match self.wrong {
            Wrong::KeepsTheFirst | Wrong::HeartBeatsDoNothing if knows => return Ok(()),
            Wrong::KeepsOldVersions if knows && service.version == "2" => {
                service.nodes[0].id.push('x');
            }
            Wrong::LosesOneOfMany if service.nodes[0].id.ends_with("-49") => return Ok(()),
            Wrong::HeartBeatsAreChanges if knows => {
                memory.deregister(&service).await?;
            }
            Wrong::RefusesWithoutAKind if large(&service) => return Err(Error::new(Kind::Internal, "no")),
            Wrong::ExpiresAll if ttl < Duration::from_secs(5) => {
                for service in self.all().await? {
                    memory.register(&service, ttl).await?;
                }
            }
            _ => {}
        }
        let refused = self.is(Wrong::KeepsTheRefused) && large(&service);
        self.registered(&mut service);
        if self.is(Wrong::ShowsOwnLate) {
            let memory = memory.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let _ = memory.register(&service, ttl).await;
            });
            return Ok(());
        }
        memory.register(&service, ttl).await?;
        if refused { Err(Error::new(Kind::TooLarge, "too large")) } else { Ok(()) }
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        let memory = &self.world.memory;
        match self.wrong {
            Wrong::StaysAfterDeregister => return Ok(()),
            Wrong::TakesAllAway => {
                for service in memory.get(&service.name).await? {
                    memory.deregister(&service).await?;
                }
            }
            Wrong::DeregistersAnyVersion => {
                for mut other in memory.get(&service.name).await? {
                    other.nodes.clone_from(&service.nodes);
                    memory.deregister(&other).await?;
                }
            }
            Wrong::MissingGoneIsAnError => {
                let there = memory.get(&service.name).await?;
                if !there.iter().flat_map(|s| &s.nodes).any(|node| service.nodes.iter().any(|n| n.id == node.id)) {
                    return Err(Error::new(Kind::NotFound, "it is not there"));
                }
            }
            _ => {}
        }
        memory.deregister(service).await
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        let mut found = self.world.memory.get(service).await?;
        match self.wrong {
            Wrong::MissingIsAnError if found.is_empty() => return Err(Error::new(Kind::NotFound, "it is not there")),
            Wrong::FindsByPrefix => {
                found = self.all().await?;
                found.retain(|other| other.name.starts_with(service));
            }
            Wrong::FindsOneNode => found.iter_mut().for_each(|service| service.nodes.truncate(1)),
            Wrong::DoublesNodes => found.iter_mut().for_each(|service| service.nodes.extend(service.nodes.clone())),
            _ => {}
        }
        Ok(found)
    }

    async fn list(&self) -> Result<Vec<String>> {
        let mut names = self.world.memory.list().await?;
        match self.wrong {
            Wrong::ListsUnsorted => names.reverse(),
            Wrong::ListsTwice => names = self.all().await?.into_iter().map(|service| service.name).collect(),
            Wrong::ListsTheGone => names = self.world.names.lock().unwrap().iter().cloned().collect(),
            _ => {}
        }
        Ok(names)
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let number = self.world.watches.fetch_add(1, Ordering::SeqCst);
        if self.is(Wrong::RunsOutOfWatches) && number >= 100 {
            return Err(Error::new(Kind::Unavailable, "no more watches"));
        }
        let watched = if self.is(Wrong::WatchesByPrefix) { None } else { service };
        let mut watch = self.world.memory.watch(watched).await?;
        if self.is(Wrong::FirstStateIsLeftOut) {
            watch.next().await?;
        }
        let prefix = service.unwrap_or_default().to_owned();
        Ok(Box::new(super::watch::BrokenWatch::new(self.clone(), watch, number, prefix)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Broken {
    /// What a watch tells instead of a change; `None` for nothing.
    pub(crate) async fn told(&self, change: Change, number: usize, first: bool) -> Result<Option<Change>> {
        let told = match (self.wrong, change) {
            (Wrong::FirstStateIsEmpty, Change::State(_)) => Change::State(Vec::new()),
            (Wrong::UpdatesAreCreations, Change::Update(service)) => Change::Create(service),
            (Wrong::ForgetsUpdates, Change::Update(_)) => return Ok(None),
            (Wrong::DeletesAreSilent | Wrong::ExpiryIsSilent, Change::Delete(_)) => return Ok(None),
            (Wrong::RepeatsTheState, Change::Create(service)) => {
                Change::State(self.world.memory.get(&service.name).await?)
            }
            (Wrong::TellsEverythingAgain, Change::Update(mut service)) => {
                service.nodes = self.world.memory.get(&service.name).await?.remove(0).nodes;
                Change::Update(service)
            }
            (Wrong::WatchesWithoutVersions, Change::State(mut services)) => {
                services.truncate(1);
                Change::State(services)
            }
            (Wrong::OneWatchHears, _) if number > 0 && !first => return Ok(None),
            (_, change) => change,
        };
        Ok(Some(told))
    }
}
