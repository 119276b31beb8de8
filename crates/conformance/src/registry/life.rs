//! R06 to R08, R20, R27, R28: how a node stays, and how it goes.

use micro_core::registry::Change;
use tokio::time::{Instant, sleep, sleep_until};

use super::Stage;
use super::stage::node;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { registry:
    R06 what_is_deregistered_is_gone_and_nothing_else "a node that is deregistered is gone at once for who did it and soon for others, its fellows stay, and one that is not there is no error";
    R07 without_a_heart_beat_a_node_is_gone_in_time "a node that is not registered again stays for its time to live and is gone within twice of it, and its fellows stay";
    R08 a_heart_beat_keeps_a_node_and_is_no_change "a node that is registered again in time stays far beyond its first time to live, and no watch hears of it";
    R20 the_node_of_a_killed_process_is_gone_in_time [Process] "the node of a process that was killed stays while it lives and is gone within twice its time to live, and its fellows stay";
    R27 deregistering_leaves_another_version_alone "a node that moved to another version is not taken away by who deregisters it from the old one";
    R28 a_dropped_client_takes_nobody_along_and_keeps_nothing "when the last handle of a client is dropped its nodes are gone within twice their time to live, if not sooner, and no other client's go";
}

async fn what_is_deregistered_is_gone_and_nothing_else(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (gone, stays, fellow) = (node(&name, "1", 1), node(&name, "1", 2), node(&stage.service("t"), "1", 3));
    for service in [&gone, &stays, &fellow] {
        stage.register(&registry, service).await?;
    }
    let both = stays.clone().node(gone.nodes[0].clone());
    stage.finds(&other, &name, &[both]).await?;
    stage.deregister(&registry, &gone).await?;
    let left = stage.get(&registry, &name).await?;
    ensure!(left == [stays.clone()], "who deregistered it finds {left:?}");
    stage.finds(&other, &name, std::slice::from_ref(&stays)).await?;
    for missing in [gone, node(&name, "1", 9), node(&stage.service("u"), "1", 1)] {
        stage.deregister(&registry, &missing).await?;
    }
    stage.finds(&other, &name, std::slice::from_ref(&stays)).await?;
    stage.finds(&other, &fellow.name, std::slice::from_ref(&fellow)).await?;
    stage.deregister(&registry, &stays).await?;
    let left = stage.get(&registry, &name).await?;
    ensure!(left.is_empty(), "after its last node the service has {left:?}");
    stage.finds(&other, &name, &[]).await
}

async fn without_a_heart_beat_a_node_is_gone_in_time(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (goes, stays) = (node(&name, "1", 1), node(&name, "1", 2));
    stage.register(&registry, &stays).await?;
    stage.finds(&other, &name, std::slice::from_ref(&stays)).await?;
    let (ttl, began) = (stage.ttl(), Instant::now());
    stage.register_for(&registry, &goes, ttl).await?;
    sleep_until(began + ttl.mul_f32(0.75)).await;
    let found = stage.get(&registry, &name).await?;
    let nodes = found.iter().map(|service| service.nodes.len()).sum::<usize>();
    ensure!(nodes == 2 || began.elapsed() >= ttl, "after {:?} there is {found:?}", began.elapsed());
    for client in [&registry, &other] {
        stage.finds_by(began + ttl * 2, client, &name, std::slice::from_ref(&stays)).await?;
    }
    Ok(())
}

async fn a_heart_beat_keeps_a_node_and_is_no_change(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (service, ttl) = (node(&name, "1", 1), stage.ttl());
    let (mut watch, _) = stage.watch(&other, Some(&name)).await?;
    let first = Instant::now();
    let mut last = first;
    stage.register_for(&registry, &service, ttl).await?;
    stage.hears(&mut watch, Change::Create(service.clone())).await?;
    while first.elapsed() < ttl.mul_f32(2.5) {
        sleep(ttl / 5).await;
        let began = Instant::now();
        stage.register_for(&registry, &service, ttl).await?;
        ensure!(last.elapsed() < ttl, "the machine is too slow: {:?} between two heart-beats", last.elapsed());
        last = began;
        for client in [&registry, &other] {
            let found = stage.get(client, &name).await?;
            ensure!(found == [service.clone()], "{:?} after the first heart-beat there is {found:?}", first.elapsed());
        }
    }
    // What the watch would have heard of it is there by now; the node goes afterwards.
    stage.register(&registry, &service).await?;
    stage.silence(&mut watch).await
}

async fn the_node_of_a_killed_process_is_gone_in_time(stage: Stage) -> Result<(), Failed> {
    let (registry, name, ttl) = (stage.client(), stage.service("s"), stage.ttl());
    let (goes, stays) = (node(&name, "1", 1), node(&name, "1", 2));
    stage.register(&registry, &stays).await?;
    let process = stage.process(&goes, ttl).await?;
    let both = goes.clone().node(stays.nodes[0].clone());
    stage.finds(&registry, &name, std::slice::from_ref(&both)).await?;
    // Longer than one registration lasts: it is there because the process is.
    sleep(ttl.mul_f32(1.5)).await;
    let found = stage.get(&registry, &name).await?;
    ensure!(found == [both], "while the process lives there is {found:?}");
    let until = Instant::now() + ttl * 2;
    stage.kill(process).await?;
    stage.finds_by(until, &registry, &name, &[stays]).await
}

async fn deregistering_leaves_another_version_alone(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (old, new) = (node(&name, "1", 1), node(&name, "2", 1));
    stage.register(&registry, &old).await?;
    stage.finds(&other, &name, std::slice::from_ref(&old)).await?;
    stage.register(&registry, &new).await?;
    stage.finds(&other, &name, std::slice::from_ref(&new)).await?;
    let (mut watch, _) = stage.watch(&other, Some(&name)).await?;
    stage.deregister(&registry, &old).await?;
    stage.silence(&mut watch).await?;
    for client in [&registry, &other] {
        stage.finds(client, &name, std::slice::from_ref(&new)).await?;
    }
    stage.deregister(&registry, &new).await?;
    stage.finds(&other, &name, &[]).await
}

async fn a_dropped_client_takes_nobody_along_and_keeps_nothing(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (goes, stays, ttl) = (node(&name, "1", 1), node(&name, "1", 2), stage.ttl());
    stage.register(&other, &stays).await?;
    let until = Instant::now() + ttl * 2;
    stage.register_for(&registry, &goes, ttl).await?;
    let both = goes.clone().node(stays.nodes[0].clone());
    stage.finds(&other, &name, std::slice::from_ref(&both)).await?;
    drop(registry);
    stage.finds_by(until, &other, &name, std::slice::from_ref(&stays)).await?;
    let third = stage.client();
    stage.finds(&third, &name, std::slice::from_ref(&stays)).await?;
    // What a client that goes still has to say is said by then.
    sleep(stage.limits().absent).await;
    stage.finds(&third, &name, &[stays]).await
}
