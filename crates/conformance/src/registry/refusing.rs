//! R22, R25, R26: what is refused, and what no refusal shows.

use std::time::Duration;

use micro_core::registry::{Node, Service};
use micro_core::{Error, Kind};

use super::Stage;
use super::stage::{LONG, node};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { registry:
    R25 no_time_to_live_is_refused "registering for a time to live of zero is an invalid argument, and changes nothing";
    R26 what_has_no_name_or_no_node_is_refused_whole "a record without a name, without nodes or with a node without an id is an invalid argument, and nothing of it is kept";
    R22 no_secret_is_shown [Nobody] "a client of an address with a password shows it neither by Debug nor by its address nor in an error, and each of its errors comes in time";
}

async fn no_time_to_live_is_refused(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let there = node(&name, "1", 1);
    stage.register(&registry, &there).await?;
    stage.finds(&other, &name, std::slice::from_ref(&there)).await?;
    let (mut watch, _) = stage.watch(&other, Some(&name)).await?;
    for service in [&node(&name, "1", 2), &there] {
        let answer = stage.present("register", registry.register(service, Duration::ZERO)).await?;
        invalid("a time to live of zero", answer)?;
    }
    stage.silence(&mut watch).await?;
    for client in [&registry, &other] {
        stage.finds(client, &name, std::slice::from_ref(&there)).await?;
    }
    Ok(())
}

async fn what_has_no_name_or_no_node_is_refused_whole(stage: Stage) -> Result<(), Failed> {
    let (registry, other, name) = (stage.client(), stage.client(), stage.service("s"));
    let (mut watch, _) = stage.watch(&other, Some(&name)).await?;
    let mut nameless = node(&name, "1", 1);
    nameless.name.clear();
    let half = node(&name, "1", 1).node(Node::new("", "127.0.0.1:20002"));
    for (what, service) in [
        ("a record without a name", nameless),
        ("a record without nodes", Service::new(&name, "1")),
        ("a node without an id", half),
    ] {
        let answer = stage.present("register", registry.register(&service, LONG)).await?;
        invalid(what, answer)?;
        let found = stage.get(&registry, &name).await?;
        ensure!(found.is_empty(), "{what} was refused, and there is {found:?}");
    }
    stage.silence(&mut watch).await?;
    for client in [&registry, &other] {
        let listed = stage.list(client).await?;
        ensure!(!listed.iter().any(|other| other.is_empty() || *other == name), "what was refused is listed");
    }
    Ok(())
}

async fn no_secret_is_shown(stage: Stage) -> Result<(), Failed> {
    let (client, name) = (stage.nobody()?, stage.service("s"));
    hidden("Debug", &format!("{client:?} {client:#?}"))?;
    hidden("the address", &client.address())?;
    let service = node(&name, "1", 1);
    fails("register", stage.present("register", client.register(&service, LONG)).await?)?;
    fails("get", stage.present("get", client.get(&name)).await?)?;
    fails("list", stage.present("list", client.list()).await?)?;
    fails("watch", stage.present("watch", client.watch(Some(&name))).await?)?;
    // What never was registered may be taken away without asking.
    if let Err(error) = stage.present("deregister", client.deregister(&service)).await? {
        hidden("deregister", &format!("{error} {error:?}"))?;
    }
    hidden("Debug after its use", &format!("{client:?}"))
}

fn fails<T>(what: &str, answer: Result<T, Error>) -> Result<(), Failed> {
    match answer {
        Ok(_) => Err(Failed::new(format!("{what} succeeded where no registry is"))),
        Err(error) => hidden(what, &format!("{error} {error:?} {error:#?}")),
    }
}

fn hidden(what: &str, text: &str) -> Result<(), Failed> {
    ensure!(!text.contains("secret"), "{what} shows the password");
    Ok(())
}

fn invalid(what: &str, answer: Result<(), Error>) -> Result<(), Failed> {
    match answer {
        Ok(()) => Err(Failed::new(format!("{what} was taken"))),
        Err(error) if error.kind() == Kind::InvalidArgument => Ok(()),
        Err(error) => Err(Failed::new(format!("{what} is refused as {:?}: {error}", error.kind()))),
    }
}
