//! T27 to T30: what a server says for itself.

use std::panic::panic_any;

use micro_core::Kind;

use super::handlers::{echo, number};
use super::stage::failed;
use super::{Call, Method, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { transport:
    T27 a_panic_is_an_internal_error "a handler that panics, whatever with, is an Internal error to its caller, and its server, its connection and the streams on it live on";
    T28 an_unknown_method_is_named "a call of a method or service that is not there is UnknownEndpoint (gRPC's UNIMPLEMENTED) and names the one that is missing, for streams too, and the next call works";
    T29 a_server_tells_whether_it_serves [Health] "a server and its services are told to serve, another is NotFound, and of a server that has stopped nobody says so";
    T30 a_server_tells_what_it_offers [Reflection] "a server names its services, and finds their methods, and no others";
}

/// What a method that is not there is called.
const UNKNOWN: &[Kind] = &[Kind::UnknownEndpoint, Kind::Unsupported];

async fn a_panic_is_an_internal_error(stage: Stage) -> Result<(), Failed> {
    // Before its first await and behind it, with a text and with something that is none.
    let boom = Method::unary("Suite.Boom", |_, body| {
        let how = number(&body);
        assert!(how != 0, "boom");
        async move {
            assert!(how != 1, "boom {how}");
            tokio::task::yield_now().await;
            if how == 2 { panic_any(how) } else { Ok(body) }
        }
    });
    let burst = Method::stream("Suite.Burst", |_, mut messages, out| async move {
        while let Some(message) = messages.recv().await? {
            assert!(message != "boom", "boom");
            out.send(message).await?;
        }
        Ok(())
    });
    let world = stage.world(vec![boom, burst, echo()]).await?;
    let stream = || world.client.stream(Call::new("Suite.Burst", ""));
    let (kept, mut kept_answers) = stage.present("a stream", stream()).await??;
    for how in ["0", "1", "2"] {
        let ended = stage.present("the error", world.client.call(Call::new("Suite.Boom", how))).await?;
        failed(&format!("a call whose handler panics, way {how},"), ended, &[Kind::Internal])?;
        let answer = stage.present("a call after it", world.client.call(Call::new("Suite.Boom", "3"))).await??;
        ensure!(answer == "3", "the call after it is answered with {answer:?}");
    }
    let (out, mut answers) = stage.present("a stream", stream()).await??;
    for message in ["fine", "boom"] {
        stage.present("sending", out.send(message.into())).await??;
    }
    let answer = stage.next(&mut answers).await?;
    ensure!(answer == "fine", "before the panic the stream answers {answer:?}");
    let ended = stage.present("the error", answers.recv()).await?;
    failed("a stream whose handler panics", ended, &[Kind::Internal])?;
    stage.present("sending", kept.send("still here".into())).await??;
    let answer = stage.next(&mut kept_answers).await?;
    ensure!(answer == "still here", "the stream beside them answers {answer:?}");
    ensure!(world.proxy.accepted() == 1, "{} connections were made for it", world.proxy.accepted());
    Ok(())
}

async fn an_unknown_method_is_named(stage: Stage) -> Result<(), Failed> {
    let world = stage.world(vec![echo()]).await?;
    for (method, named) in [("Suite.Nope", "Suite.Nope"), ("Nope.Echo", "Nope"), ("Suite.echo", "Suite.echo")] {
        let ended = stage.present("the error", world.client.call(Call::new(method, "x"))).await?;
        let error = failed(&format!("a call of {method}"), ended, UNKNOWN)?;
        ensure!(error.to_string().contains(named), "the error does not name {named}: {error}");
        let stream = stage.present("a stream", world.client.stream(Call::new(method, ""))).await?;
        let ended = match stream {
            Ok((_out, mut answers)) => stage.present("the error", answers.recv()).await?,
            Err(error) => Err(error),
        };
        failed(&format!("a stream of {method}"), ended, UNKNOWN)?;
    }
    let answer = stage.present("a call after them", world.client.call(Call::new("Suite.Echo", "x"))).await??;
    ensure!(answer == "x", "the call after them is answered with {answer:?}");
    ensure!(world.proxy.accepted() == 1, "{} connections were made for it", world.proxy.accepted());
    Ok(())
}

async fn a_server_tells_whether_it_serves(stage: Stage) -> Result<(), Failed> {
    let world = stage.world(vec![echo()]).await?;
    for service in ["", "Suite", "conformance"] {
        let serves = stage.present("health", world.client.health(service)).await??;
        ensure!(serves, "a server that serves says that {service:?} does not");
    }
    let unknown = stage.present("health", world.client.health("Nope")).await?;
    failed("the health of a service that is not there", unknown, &[Kind::NotFound])?;
    stage.present("the stop", world.server.stop(stage.limits().present)).await?;
    let stopped = stage.present("health", world.client.health("")).await?;
    ensure!(!matches!(stopped, Ok(true)), "a server that has stopped is told to serve");
    Ok(())
}

async fn a_server_tells_what_it_offers(stage: Stage) -> Result<(), Failed> {
    let world = stage.world(vec![echo()]).await?;
    let services = stage.present("the services", world.client.services()).await??;
    let mine: Vec<_> = services.iter().filter(|name| name.rsplit('.').next() == Some("Suite")).collect();
    ensure!(mine.len() == 1, "of the services {services:?} not one is Suite");
    for (method, there) in [("Echo", true), ("Nope", false), ("Ech", false)] {
        let described = stage.present("a description", world.client.describes(mine[0], method)).await??;
        ensure!(described == there, "the method {method} is told to be there: {described}");
    }
    let other = stage.present("a description", world.client.describes("Nope", "Echo")).await??;
    ensure!(!other, "a service that is not there is described");
    Ok(())
}
