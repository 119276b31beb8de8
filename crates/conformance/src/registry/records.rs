//! R01 to R05, R09, R16, R21, R23, R30: what is registered, and how it is found.

use std::time::Duration;

use micro_core::Kind;
use micro_core::registry::{Endpoint, Node, Service, Value};

use super::Stage;
use super::stage::node;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { registry:
    R01 what_is_registered_is_found_as_it_was "name, version, metadata, endpoints and nodes are found by another client as they were registered";
    R02 a_service_that_is_not_there_is_an_empty_answer "a service that nobody registered has no records, and that is no error";
    R03 the_nodes_of_a_service_are_all_found "nodes of one version that two clients register are one record with both";
    R04 each_version_is_a_record_of_its_own "two versions of a service are two records, each with its own nodes and metadata";
    R05 registering_again_changes_a_node_and_does_not_double_it "a node that is registered again is there once, with its new address, metadata and version";
    R09 the_list_names_every_service_once_and_sorted "every service is listed once, whatever its versions and nodes, in the order of the names, until its last node is gone";
    R16 fifty_that_register_at_once_are_all_found "fifty nodes that register at the same time from five clients are all found";
    R21 large_metadata_unicode_and_ipv6_come_back_or_are_refused "an IPv6 address, unicode and 2 KiB of metadata come back as they were; 256 KiB do, or are refused as too large and change nothing";
    R23 another_domain_is_another_world "what is registered in one domain is not found, listed or watched in another";
    R30 of_two_nodes_of_one_id_the_last_is_found "of two nodes of a version that have one id, in one record or registered one after the other, the last is found, and no other";
}

async fn what_is_registered_is_found_as_it_was(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let request = Value::new("Request", "Request").field(Value::new("name", "string"));
    let greet = Endpoint::new("Greeter.Greet").request(request).response(Value::new("Response", "Response"));
    let mut service = Service::new(&name, "1.2.0").endpoint(greet.with("stream", "true"));
    service.endpoints.push(Endpoint::new("Greeter.Wave"));
    service.metadata.insert("team".to_owned(), "blue".to_owned());
    service.nodes.push(Node::new(format!("{name}-1"), "127.0.0.1:37903").with("protocol", "grpc").with("zone", "a"));
    stage.register(&registry, &service).await?;
    let own = stage.get(&registry, &name).await?;
    ensure!(own == [service.clone()], "who registered it finds {own:?} at once");
    stage.finds(&other, &name, &[service]).await
}

async fn a_service_that_is_not_there_is_an_empty_answer(stage: Stage) -> Result<(), Failed> {
    let (registry, name) = (stage.client(), stage.service("s"));
    let nothing = stage.get(&registry, &name).await?;
    ensure!(nothing.is_empty(), "before anything is registered there is {nothing:?}");
    stage.register(&registry, &node(&name, "1", 1)).await?;
    for missing in [stage.service("t"), name[..name.len() - 1].to_owned(), format!("{name}-1")] {
        let nothing = stage.get(&registry, &missing).await?;
        ensure!(nothing.is_empty(), "of {missing} there is {nothing:?}");
    }
    Ok(())
}

async fn the_nodes_of_a_service_are_all_found(stage: Stage) -> Result<(), Failed> {
    let (first, second, name) = (stage.client(), stage.client(), stage.service("s"));
    stage.register(&first, &node(&name, "1", 1)).await?;
    stage.register(&second, &node(&name, "1", 2)).await?;
    let both = together(&node(&name, "1", 1), &node(&name, "1", 2));
    for client in [&first, &second, &stage.client()] {
        stage.finds(client, &name, std::slice::from_ref(&both)).await?;
    }
    Ok(())
}

async fn each_version_is_a_record_of_its_own(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (mut old, new) = (node(&name, "1", 1), node(&name, "2", 2));
    old.metadata.insert("team".to_owned(), "blue".to_owned());
    stage.register(&registry, &old).await?;
    stage.register(&registry, &new).await?;
    stage.finds(&other, &name, &[old, new]).await
}

async fn registering_again_changes_a_node_and_does_not_double_it(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let first = node(&name, "1", 1);
    stage.register(&registry, &first).await?;
    stage.register(&registry, &first).await?;
    stage.finds(&other, &name, std::slice::from_ref(&first)).await?;
    let moved = Service::new(&name, "1").node(Node::new(&first.nodes[0].id, "127.0.0.1:4").with("zone", "b"));
    stage.register(&registry, &moved).await?;
    stage.finds(&other, &name, std::slice::from_ref(&moved)).await?;
    let mut renewed = moved;
    renewed.version = "2".to_owned();
    stage.register(&registry, &renewed).await?;
    stage.finds(&other, &name, &[renewed]).await
}

async fn the_list_names_every_service_once_and_sorted(stage: Stage) -> Result<(), Failed> {
    let (first, second, other) = (stage.client(), stage.client(), stage.client());
    let names = ["b", "a", "c"].map(|what| stage.service(what));
    for (number, name) in (1..).zip(&names) {
        stage.register(&first, &node(name, "1", number)).await?;
        stage.register(&second, &node(name, "2", number + 10)).await?;
    }
    for name in &names {
        stage.lists(&other, name, true).await?;
    }
    let listed = stage.list(&other).await?;
    ensure!(listed.iter().zip(&listed[1..]).all(|(one, next)| one < next), "the list is {listed:?}");
    let last = &names[2];
    stage.deregister(&first, &node(last, "1", 3)).await?;
    stage.finds(&other, last, &[node(last, "2", 13)]).await?;
    stage.lists(&other, last, true).await?;
    stage.deregister(&second, &node(last, "2", 13)).await?;
    stage.lists(&other, last, false).await
}

async fn fifty_that_register_at_once_are_all_found(stage: Stage) -> Result<(), Failed> {
    let (clients, name) = ([(); 5].map(|()| stage.client()), stage.service("s"));
    let services: Vec<_> = (0..50).map(|number| node(&name, "1", number)).collect();
    let registered = services.iter().zip(clients.iter().cycle()).map(|(service, registry)| {
        let (stage, service, registry) = (stage.clone(), service.clone(), registry.clone());
        tokio::spawn(async move { stage.register(&registry, &service).await })
    });
    for registered in registered.collect::<Vec<_>>() {
        registered.await.map_err(|error| Failed::new(format!("registering panicked: {error}")))??;
    }
    let all = services.iter().fold(Service::new(&name, "1"), |all, service| together(&all, service));
    stage.finds(&stage.client(), &name, &[all]).await
}

async fn large_metadata_unicode_and_ipv6_come_back_or_are_refused(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let mut odd = Service::new(&name, "1");
    odd.metadata.insert("größe".to_owned(), "日本語 🦀".to_owned());
    let node = Node::new(format!("{name}-1"), "[2001:db8::1]:443").with("empty", "").with("quoted", "a=\"b\",\n\t\\c");
    odd.nodes.push(node.with("large", random(2 << 10)));
    stage.register(&registry, &odd).await?;
    stage.finds(&other, &name, std::slice::from_ref(&odd)).await?;

    let large = stage.service("large");
    let huge =
        Service::new(&large, "1").node(Node::new(format!("{large}-1"), "127.0.0.1:1").with("huge", random(256 << 10)));
    match stage.present("register", registry.register(&huge, Duration::from_secs(600))).await? {
        Ok(()) => stage.finds(&other, &large, &[huge]).await?,
        Err(error) => {
            ensure!(error.kind() == Kind::TooLarge, "what is too large is refused with {:?}: {error}", error.kind());
            let found = stage.get(&registry, &large).await?;
            ensure!(found.is_empty(), "what was refused is there");
        }
    }
    stage.finds(&other, &name, &[odd]).await
}

async fn another_domain_is_another_world(stage: Stage) -> Result<(), Failed> {
    let (registry, other, apart) = (stage.client(), stage.client(), stage.apart());
    let name = stage.service("s");
    let (mut watch, state) = stage.watch(&apart, Some(&name)).await?;
    ensure!(state.is_empty(), "the other domain begins with {state:?}");
    stage.register(&registry, &node(&name, "1", 1)).await?;
    stage.finds(&other, &name, &[node(&name, "1", 1)]).await?;
    stage.silence(&mut watch).await?;
    let found = stage.get(&apart, &name).await?;
    ensure!(found.is_empty(), "the other domain finds {found:?}");
    let listed = stage.list(&apart).await?;
    ensure!(!listed.contains(&name), "the other domain lists {listed:?}");
    stage.register(&apart, &node(&name, "1", 2)).await?;
    stage.finds(&apart, &name, &[node(&name, "1", 2)]).await?;
    stage.finds(&other, &name, &[node(&name, "1", 1)]).await
}

async fn of_two_nodes_of_one_id_the_last_is_found(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let at = |port: u16| Node::new(format!("{name}-1"), format!("127.0.0.1:{port}"));
    let only = |port: u16| [Service::new(&name, "1").node(at(port))];
    stage.register(&registry, &Service::new(&name, "1").node(at(1)).node(at(2))).await?;
    for client in [&registry, &other] {
        stage.finds(client, &name, &only(2)).await?;
    }
    stage.register(&registry, &only(3)[0]).await?;
    for client in [&registry, &other] {
        stage.finds(client, &name, &only(3)).await?;
    }
    stage.deregister(&registry, &only(3)[0]).await?;
    stage.finds(&other, &name, &[]).await
}

/// One record with the nodes of two.
fn together(one: &Service, other: &Service) -> Service {
    other.nodes.iter().fold(one.clone(), |all, node| all.node(node.clone()))
}

/// So many characters that nothing makes smaller by much.
fn random(length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        text.push_str(&uuid::Uuid::new_v4().simple().to_string());
    }
    text.truncate(length);
    text
}
