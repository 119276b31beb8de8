//! R10 to R15: what a watch hears.

use std::sync::Arc;
use std::time::Duration;

use micro_core::registry::{Change, Node, Registry, Service, Watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::Stage;
use super::stage::node;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { registry:
    R10 a_watch_tells_everything_first_and_then_what_changes "the first thing a watch tells is everything there is, of one service or of all; then it tells only what changes";
    R11 a_watch_hears_of_coming_changing_and_going_in_order "a node that comes, changes and goes is heard of in that order, each time alone; of many changes in a row the last is heard last";
    R12 a_watch_of_one_service_hears_of_no_other "a watch of one service hears nothing of another, not even of one whose name begins with its name";
    R13 every_watch_hears_everything "five watches of two clients, and one of everything, all hear of every change";
    R14 a_watch_that_is_dropped_leaves_the_others "hundreds of watches that are dropped, one of them amid a wait, leave the others, and a wait that is given up loses nothing";
    R15 a_watch_hears_that_a_time_to_live_ended "a watch hears within twice the time to live that a node is gone, and of that node only";
}

async fn a_watch_tells_everything_first_and_then_what_changes(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (mut early, state) = stage.watch(&other, Some(&name)).await?;
    ensure!(state.is_empty(), "of a service that is not there a watch tells {state:?}");
    let (old, new) = (node(&name, "1", 1), node(&name, "2", 2));
    for service in [&old, &new] {
        stage.register(&registry, service).await?;
        stage.hears(&mut early, Change::Create(service.clone())).await?;
    }
    stage.finds(&other, &name, &[old.clone(), new.clone()]).await?;
    for watched in [Some(&*name), None] {
        let (_, state) = stage.watch(&other, watched).await?;
        let state: Vec<_> = state.into_iter().filter(|service| service.name == name).collect();
        ensure!(state == [old.clone(), new.clone()], "a watch of {watched:?} begins with {state:?}");
    }
    let (mut late, _) = stage.watch(&other, Some(&name)).await?;
    let third = node(&name, "1", 3);
    stage.register(&registry, &third).await?;
    for watch in [&mut early, &mut late] {
        stage.hears(watch, Change::Create(third.clone())).await?;
        stage.silence(watch).await?;
    }
    Ok(())
}

async fn a_watch_hears_of_coming_changing_and_going_in_order(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (mut watch, _) = stage.watch(&other, Some(&name)).await?;
    let at = |port: usize| Service::new(&name, "1").node(Node::new(format!("{name}-1"), format!("127.0.0.1:{port}")));
    stage.register(&registry, &node(&name, "1", 2)).await?;
    stage.hears(&mut watch, Change::Create(node(&name, "1", 2))).await?;
    stage.register(&registry, &at(1)).await?;
    stage.hears(&mut watch, Change::Create(at(1))).await?;
    stage.register(&registry, &at(2)).await?;
    stage.hears(&mut watch, Change::Update(at(2))).await?;
    for port in 3..=12 {
        stage.register(&registry, &at(port)).await?;
    }
    // Those between may be passed over.
    let mut heard = 2;
    while heard < 12 {
        let change = stage.next(&mut watch).await?;
        let newer = (heard + 1..=12).find(|port| change == Change::Update(at(*port)));
        heard = newer.ok_or_else(|| Failed::new(format!("after change {heard} came {change:?}")))?;
    }
    stage.deregister(&registry, &at(12)).await?;
    stage.hears(&mut watch, Change::Delete(at(12))).await?;
    stage.silence(&mut watch).await
}

async fn a_watch_of_one_service_hears_of_no_other(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let longer = format!("{name}-longer");
    let (mut watch, _) = stage.watch(&other, Some(&name)).await?;
    let (mut beside, _) = stage.watch(&other, Some(&longer)).await?;
    stage.register(&registry, &node(&longer, "1", 1)).await?;
    stage.hears(&mut beside, Change::Create(node(&longer, "1", 1))).await?;
    stage.register(&registry, &node(&name, "1", 2)).await?;
    stage.hears(&mut watch, Change::Create(node(&name, "1", 2))).await?;
    stage.deregister(&registry, &node(&longer, "1", 1)).await?;
    stage.hears(&mut beside, Change::Delete(node(&longer, "1", 1))).await?;
    stage.silence(&mut watch).await?;
    stage.silence(&mut beside).await
}

async fn every_watch_hears_everything(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let service = node(&name, "1", 1);
    let mut watches = Vec::new();
    for client in [&registry, &other, &other, &registry, &other] {
        watches.push(stage.watch(client, Some(&name)).await?.0);
    }
    let (mut everything, _) = stage.watch(&other, None).await?;
    stage.register(&registry, &service).await?;
    for watch in &mut watches {
        stage.hears(watch, Change::Create(service.clone())).await?;
    }
    hears_among_others(&stage, &mut everything, Change::Create(service.clone())).await?;
    stage.deregister(&registry, &service).await?;
    for watch in &mut watches {
        stage.hears(watch, Change::Delete(service.clone())).await?;
    }
    hears_among_others(&stage, &mut everything, Change::Delete(service)).await
}

/// Waits for a change, and passes over those of services that are not ours.
async fn hears_among_others(stage: &Stage, watch: &mut Box<dyn Watch>, expected: Change) -> Result<(), Failed> {
    let heard = async {
        while watch.next().await? != expected {}
        Ok::<_, micro_core::Error>(())
    };
    Ok(stage.present(&format!("{expected:?}"), heard).await??)
}

async fn a_watch_that_is_dropped_leaves_the_others(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (mut watch, _) = stage.watch(&other, Some(&name)).await?;
    give_up_waiting(&stage, &other, &name).await?;
    for _ in 0..300 {
        drop(stage.present("watch", other.watch(Some(&name))).await??);
    }
    for _ in 0..20 {
        let gave_up = timeout(Duration::from_millis(1), watch.next()).await;
        ensure!(gave_up.is_err(), "{gave_up:?} came, and nothing changed");
    }
    stage.register(&registry, &node(&name, "1", 1)).await?;
    stage.hears(&mut watch, Change::Create(node(&name, "1", 1))).await?;
    let (mut late, state) = stage.watch(&other, Some(&name)).await?;
    ensure!(state == [node(&name, "1", 1)], "a late watch begins with {state:?}");
    stage.deregister(&registry, &node(&name, "1", 1)).await?;
    for watch in [&mut watch, &mut late] {
        stage.hears(watch, Change::Delete(node(&name, "1", 1))).await?;
    }
    Ok(())
}

/// Begins a watch and drops it while it waits for a change.
async fn give_up_waiting(stage: &Stage, registry: &Arc<dyn Registry>, name: &str) -> Result<(), Failed> {
    let (mut waits, _) = stage.watch(registry, Some(name)).await?;
    let mut waiting = tokio::spawn(async move { waits.next().await });
    let told = timeout(Duration::from_millis(20), &mut waiting).await;
    ensure!(told.is_err(), "a watch told something, and nothing changed");
    waiting.abort();
    Ok(())
}

async fn a_watch_hears_that_a_time_to_live_ended(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (goes, stays) = (node(&name, "1", 1), node(&name, "1", 2));
    let (mut watch, _) = stage.watch(&other, Some(&name)).await?;
    stage.register(&registry, &stays).await?;
    stage.hears(&mut watch, Change::Create(stays)).await?;
    let until = Instant::now() + stage.ttl() * 2;
    stage.register_for(&registry, &goes, stage.ttl()).await?;
    stage.hears(&mut watch, Change::Create(goes.clone())).await?;
    let change = timeout_at(until, watch.next()).await;
    let change = change.map_err(|_| Failed::new(format!("the end of {:?} was not heard of", stage.ttl())))??;
    ensure!(change == Change::Delete(goes), "at the end of the time to live came {change:?}");
    stage.silence(&mut watch).await
}
