//! R29: many nodes that come, change and go all the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use micro_core::Retry;
use micro_core::registry::{Node, Registry, Service};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use super::Stage;
use super::followed::{Followed, Nodes, Seen, nodes};
use super::stage::LONG;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;
use crate::scale::scale;

rules! { registry:
    R29 under_churn_every_change_is_heard_and_the_picture_is_right "while hundreds of nodes come, change and go, a watch hears of each, one that begins amid it is right in the end, and one that does not listen is told no more than a limited row of changes";
}

/// How many services there are at most, and how many nodes each has.
const SERVICES: usize = 200;
const NODES: usize = 5;
const LONGEST: Duration = Duration::from_secs(60);

/// From when on memory is looked at, and by how many MiB a process may grow in the second half of the churn.
const LONG_ENOUGH: Duration = Duration::from_secs(30);
const GROWTH: u64 = 32;

/// What a watch may keep for a watcher that does not listen, besides what is registered.
const BEHIND: usize = 1_024;

/// How often a node that waits for nobody changes at least, so that there are more changes than may be kept.
const ROUNDS: u16 = 20;

/// What a node that waits for nobody rests between two changes, for each time that there is more of them than usual.
const PAUSE: Duration = Duration::from_millis(10);

async fn under_churn_every_change_is_heard_and_the_picture_is_right(stage: Stage) -> Result<(), Failed> {
    let scale = scale();
    let services = (40 * scale).min(SERVICES);
    let length = (stage.limits().present * 2 / 5 * u32::try_from(scale).unwrap_or(u32::MAX)).min(LONGEST);
    let (clients, other, until) = ([(); 4].map(|()| stage.client()), stage.client(), Instant::now() + length);
    let everything = || Followed::everything(Arc::clone(&other), stage.service("churn"));
    let (mut early, mut deaf) = (everything(), everything());
    for followed in [&mut early, &mut deaf] {
        stage.present("the first state", followed.hear()).await??;
    }
    let mut churning = JoinSet::new();
    for number in 0..services * NODES {
        let name = stage.service(&format!("churn{}", number / NODES));
        let client = Arc::clone(&clients[number % clients.len()]);
        let id = format!("{name}-{number}");
        let seen = number.is_multiple_of(2).then(|| early.node(&id));
        let one = One { name, id, is_second: number.is_multiple_of(3), stays: number % 4 < 2 };
        churning.spawn(churn(stage.clone(), client, one, seen, until));
    }
    let early = Hearing::begin(early);
    sleep(length / 2).await;
    let half = resident();
    let late = Hearing::begin(everything());
    let mut left = Vec::new();
    while let Some(done) = churning.join_next().await {
        left.extend(done.map_err(|error| Failed::new(format!("a node panicked: {error}")))??);
    }
    ensure!(!left.is_empty(), "nothing is left of the nodes, so that the rest shows nothing");
    // A short run still fills what it will have.
    if let (Some(half), Some(end), true) = (half, resident(), length >= LONG_ENOUGH) {
        let grown = end.saturating_sub(half) >> 20;
        ensure!(
            grown <= GROWTH,
            "the process grew by {grown} MiB in the second half, though nothing more is registered"
        );
    }

    let truth = nodes(&left);
    early.knows(&stage, &truth, "the watch that heard everything").await?;
    late.knows(&stage, &truth, "the watch that began amid it").await?;
    let mut by_name = BTreeMap::<_, Vec<Service>>::new();
    for service in left {
        by_name.entry(service.name.clone()).or_default().push(service);
    }
    for number in 0..services {
        let name = stage.service(&format!("churn{number}"));
        let expected = micro_core::registry::grouped(by_name.remove(&name).unwrap_or_default());
        stage.finds(&other, &name, &expected).await?;
    }
    let until = Instant::now() + stage.limits().present;
    let most = BEHIND + services * NODES;
    for told in 0.. {
        if *deaf.nodes().borrow() == truth {
            break;
        }
        ensure!(told <= most, "a watch that was not listened to kept {told} changes and more");
        let heard = timeout_at(until, deaf.hear()).await;
        heard.map_err(|_| Failed::new("the watch that was not listened to does not tell how things are"))??;
    }
    Ok(())
}

/// One node of the churn.
struct One {
    name: String,
    id: String,
    is_second: bool,
    stays: bool,
}

/// What one node does: it comes, changes and goes. With `seen` it waits each time until that is known there. Returns what it
/// leaves behind.
async fn churn(
    stage: Stage,
    registry: Arc<dyn Registry>,
    one: One,
    mut seen: Option<watch::Receiver<Option<Seen>>>,
    until: Instant,
) -> Result<Option<Service>, Failed> {
    let One { name, id, is_second, stays } = one;
    for port in 1_u16.. {
        let node = Node::new(&id, format!("127.0.0.1:{port}"));
        let service = Service::new(&name, if is_second { "2" } else { "1" }).node(node);
        persist(&stage, || registry.register(&service, LONG)).await?;
        let is = (service.version.clone(), service.nodes[0].address.clone());
        known(&stage, seen.as_mut(), &id, Some(&is)).await?;
        let over = Instant::now() >= until && (seen.is_some() || port >= ROUNDS) || port == u16::MAX;
        if over && stays {
            return Ok(Some(service));
        }
        // Every third time it goes, else it changes.
        if over || port.is_multiple_of(3) {
            persist(&stage, || registry.deregister(&service)).await?;
            known(&stage, seen.as_mut(), &id, None).await?;
        }
        if over {
            break;
        }
    }
    Ok(None)
}

/// Does it again until it is done: a server that has too much to do may say so.
async fn persist<F>(stage: &Stage, work: impl Fn() -> F) -> Result<(), Failed>
where
    F: Future<Output = micro_core::Result<()>>,
{
    let until = Instant::now() + stage.limits().present;
    loop {
        match stage.present("a change", work()).await? {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= until || error.retry() == Retry::Never => return Err(error.into()),
            Err(_) => sleep(PAUSE * 10).await,
        }
    }
}

/// Waits until the watcher knows a node so, or only a moment where there is none.
async fn known(
    stage: &Stage,
    seen: Option<&mut watch::Receiver<Option<Seen>>>,
    id: &str,
    expected: Option<&Seen>,
) -> Result<(), Failed> {
    let Some(seen) = seen else {
        let rest = PAUSE * u32::try_from((SERVICES / 40).min(scale())).unwrap_or(1);
        sleep(rest.mul_f64(0.5 + fastrand::f64())).await;
        return Ok(());
    };
    let what = format!("that {id} is {expected:?} was not heard of");
    let heard = stage.present(&what, seen.wait_for(|seen| seen.as_ref() == expected)).await?;
    heard.map(drop).map_err(|_| Failed::new("the watch failed"))
}

/// Returns the resident set of this process in bytes, where the system says it.
fn resident() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// A watcher that hears of everything beside the case.
struct Hearing {
    picture: watch::Receiver<Nodes>,
    task: JoinHandle<()>,
}

impl Hearing {
    fn begin(mut followed: Followed) -> Self {
        let picture = followed.nodes();
        let task = tokio::spawn(async move { while followed.hear().await.is_ok() {} });
        Self { picture, task }
    }

    async fn knows(&self, stage: &Stage, truth: &Nodes, who: &str) -> Result<(), Failed> {
        let mut picture = self.picture.clone();
        let known = stage.present(who, picture.wait_for(|nodes| nodes == truth)).await;
        let differs = || {
            let known = self.picture.borrow();
            let wrong = truth.iter().filter(|(id, is)| known.get(*id) != Some(is)).count();
            let over = known.keys().filter(|id| !truth.contains_key(*id)).count();
            Failed::new(format!("{who} knows {wrong} nodes wrongly or not, and {over} that are not there"))
        };
        known.map_err(|_| differs())?.map(drop).map_err(|_| Failed::new(format!("{who} failed")))
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.task.abort();
    }
}
