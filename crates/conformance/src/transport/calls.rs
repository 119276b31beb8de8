//! T01 to T06: one message for one.

use bytes::Bytes;
use futures_util::future::try_join_all;
use micro_core::{Context, Error, Kind};

use super::handlers::{Running, echo, number};
use super::stage::failed;
use super::{Call, ClientOptions, Method, ServerOptions, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { transport:
    T01 a_call_is_answered "the answer to a call is the answer to that call, byte for byte, also where 50 are made at once";
    T02 an_empty_message_is_a_message "a call with an empty message reaches its handler, and an empty answer is an answer";
    T03 four_mebibytes_come_and_go "a message of 4 MiB, where the limit is that, arrives and comes back as it was";
    T04 what_is_too_large_is_refused "a request over the client's or the server's limit, or an answer over the client's, is TooLarge (gRPC's RESOURCE_EXHAUSTED) and runs at most once; the next call works";
    T05 metadata_arrives_as_it_was "metadata arrives at the handler of its call and no other, text and any bytes, two values of a name in order";
    T06 an_error_arrives_as_it_was "the kind, code, id and text of a handler's error arrive at the caller, and the handler is not called again";
}

/// What a message that is too large may be called.
const TOO_LARGE: &[Kind] = &[Kind::TooLarge, Kind::ResourceExhausted];

async fn a_call_is_answered(stage: Stage) -> Result<(), Failed> {
    let reverse =
        Method::unary(
            "Suite.Reverse",
            |_, body| async move { Ok(body.iter().rev().copied().collect::<Vec<_>>().into()) },
        );
    let world = stage.world(vec![echo(), reverse]).await?;
    let all: Vec<u8> = (0..=255).collect();
    for body in [vec![0], all.clone(), all.repeat(256)] {
        let answer = stage.present("the answer", world.client.call(Call::new("Suite.Echo", body.clone()))).await??;
        ensure!(answer == body, "{} bytes came back as {} others", body.len(), answer.len());
    }
    let calls = (0..50_u32).map(|at| async move { (at, at.to_string().repeat(at as usize + 1)) });
    let client = &world.client;
    let answers = try_join_all(calls.map(|call| async move {
        let (at, body) = call.await;
        let method = if at % 2 == 0 { "Suite.Echo" } else { "Suite.Reverse" };
        client.call(Call::new(method, body.clone())).await.map(|answer| (at, body, answer))
    }));
    for (at, body, answer) in stage.present("50 answers", answers).await?? {
        let due: Vec<u8> = if at % 2 == 0 { body.bytes().collect() } else { body.bytes().rev().collect() };
        ensure!(answer == due, "call {at} was answered with {answer:?}");
    }
    Ok(())
}

async fn an_empty_message_is_a_message(stage: Stage) -> Result<(), Failed> {
    let length = Method::unary("Suite.Length", |_, body| async move { Ok(body.len().to_string().into()) });
    let swallow = Method::unary("Suite.Swallow", |_, _| async { Ok(Bytes::new()) });
    let world = stage.world(vec![echo(), length, swallow]).await?;
    for (method, body, due) in
        [("Suite.Echo", "", ""), ("Suite.Length", "", "0"), ("Suite.Swallow", "some", ""), ("Suite.Swallow", "", "")]
    {
        let answer = stage.present(method, world.client.call(Call::new(method, body))).await??;
        ensure!(answer == due, "{method} with {body:?} is answered with {answer:?}, not {due:?}");
    }
    Ok(())
}

async fn four_mebibytes_come_and_go(stage: Stage) -> Result<(), Failed> {
    let world = stage.world(vec![echo()]).await?;
    let body: Bytes =
        (0..4_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>().into();
    for _ in 0..2 {
        let answer = stage.present("4 MiB", world.client.call(Call::new("Suite.Echo", body.clone()))).await??;
        ensure!(answer == body, "{} bytes came back as {} others", body.len(), answer.len());
    }
    Ok(())
}

async fn what_is_too_large_is_refused(stage: Stage) -> Result<(), Failed> {
    const LIMIT: usize = 10_000;
    let running = Running::default();
    let count = running.clone();
    let grow = Method::unary("Suite.Grow", move |_, body| {
        let guard = count.begin();
        async move {
            let _guard = guard;
            Ok(vec![7; number(&body) as usize].into())
        }
    });
    let small_server = ServerOptions { max_message: LIMIT, ..ServerOptions::default() };
    let small_client = ClientOptions { max_message: LIMIT, ..ClientOptions::default() };
    let methods = || vec![echo(), grow.clone()];
    let at_server = stage.world_with(methods(), small_server, ClientOptions::default()).await?;
    let at_client = stage.world_with(methods(), ServerOptions::default(), small_client).await?;
    let over = Bytes::from(vec![1; LIMIT + 1]);
    let most = Bytes::from(vec![1; LIMIT]);
    for (what, world) in [("the server's limit", &at_server), ("the client's limit", &at_client)] {
        let refused = stage.present(what, world.client.call(Call::new("Suite.Echo", over.clone()))).await?;
        failed(&format!("a request over {what}"), refused, TOO_LARGE)?;
        let refused = stage.present(what, world.client.call(Call::new("Suite.Grow", (LIMIT + 1).to_string()))).await?;
        failed(&format!("an answer over {what}"), refused, TOO_LARGE)?;
        let answer =
            stage.present("a call after it", world.client.call(Call::new("Suite.Echo", most.clone()))).await??;
        ensure!(answer == most, "{LIMIT} bytes, as many as may be, came back as {} others", answer.len());
    }
    ensure!(running.ever() == 2, "two handlers whose answer was too large ran {} times", running.ever());
    Ok(())
}

async fn metadata_arrives_as_it_was(stage: Stage) -> Result<(), Failed> {
    // Each value, with its length before it.
    let told = Method::unary("Suite.Told", |context: Context, body| async move {
        let name = String::from_utf8_lossy(&body).into_owned();
        let mut values = Vec::new();
        for value in context.metadata().get_all(&name) {
            values.extend_from_slice(&(value.len() as u32).to_be_bytes());
            values.extend_from_slice(value);
        }
        Ok(values.into())
    });
    let world = stage.world(vec![told]).await?;
    let any: Vec<u8> = (0..=255).collect();
    let cases: [(&'static str, Vec<Bytes>); 5] = [
        ("tenant", vec!["acme".into()]),
        ("key-bin", vec![any.into()]),
        ("other-bin", vec![Bytes::from_static(&[0]), Bytes::from_static(b"a,b"), Bytes::from_static(&[255, 10, 13])]),
        ("list", vec!["one".into(), "two".into()]),
        ("long", vec!["x".repeat(4096).into()]),
    ];
    for (name, values) in cases {
        let call = values.iter().fold(Call::new("Suite.Told", name), |call, value| call.metadata(name, value.clone()));
        let told = stage.present("the answer", world.client.call(call)).await??;
        let due: Vec<u8> =
            values.iter().flat_map(|value| [&(value.len() as u32).to_be_bytes()[..], &value[..]].concat()).collect();
        ensure!(told == due, "{name} arrived as {}, not {}", told.escape_ascii(), due.escape_ascii());
        let told = stage.present("the answer", world.client.call(Call::new("Suite.Told", name))).await??;
        ensure!(told.is_empty(), "{name} of one call is seen by the next: {}", told.escape_ascii());
    }
    Ok(())
}

async fn an_error_arrives_as_it_was(stage: Stage) -> Result<(), Failed> {
    const KINDS: [Kind; 11] = [
        Kind::InvalidArgument,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::Timeout,
        Kind::Conflict,
        Kind::FailedPrecondition,
        Kind::ResourceExhausted,
        Kind::Internal,
        Kind::Unsupported,
        Kind::Unavailable,
    ];
    let texts = ["no such order", "", "Grüße, 世界: 100% \"so\"\n\tand \\ so", &"long ".repeat(200)];
    let running = Running::default();
    let (count, all) = (running.clone(), texts.map(str::to_owned));
    let fail = Method::unary("Suite.Fail", move |_, body| {
        let (guard, at) = (count.begin(), number(&body) as usize);
        let error = Error::new(KINDS[at % KINDS.len()], all[at % all.len()].clone()).id(format!("shop.{at}"));
        async move {
            let _guard = guard;
            Err(error)
        }
    });
    let custom = Method::unary("Suite.Custom", |_, _| async {
        Err(Error::new(Kind::Unknown, "of our own").id("shop").with_code(4711))
    });
    let world = stage.world(vec![fail, custom, echo()]).await?;
    let times = KINDS.len() * texts.len();
    for at in 0..times {
        let call = Call::new("Suite.Fail", at.to_string());
        let error = stage.present("the error", world.client.call(call)).await?;
        let kind = KINDS[at % KINDS.len()];
        let error = failed("a call whose handler fails", error, &[kind])?;
        let (id, text) = (format!("shop.{at}"), texts[at % texts.len()]);
        ensure!(error.code() == kind.code(), "the code of {kind:?} arrived as {}", error.code());
        ensure!(error.get_id() == id, "the id {id} arrived as {:?}", error.get_id());
        ensure!(error.detail() == text, "the text {text:?} arrived as {:?}", error.detail());
    }
    ensure!(running.ever() == times, "{times} calls that failed ran {} times", running.ever());
    let error = stage.present("the error", world.client.call(Call::new("Suite.Custom", ""))).await?;
    let error = failed("a call with a code of its own", error, &[Kind::Unknown])?;
    ensure!(error.code() == 4711, "the code 4711 arrived as {}", error.code());
    stage.present("a call after them", world.client.call(Call::new("Suite.Echo", "x"))).await??;
    Ok(())
}
