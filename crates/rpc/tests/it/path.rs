//! Which paths reach a handler, and the answers to those that do not.

use crate::raw::{Raw, frame};
use crate::world::{text, world};

// features: B15
#[tokio::test]
async fn the_package_before_the_service_does_not_matter() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    for path in
        ["/Greeter/Greet", "/greeter.Greeter/Greet", "/a.b.c.Greeter/Greet", "/go.micro.srv.greeter.Greeter/Greet"]
    {
        let answer = raw.call(path, &[], frame(&text("John"))).await;
        assert_eq!(answer.body, frame(&text("Hello John")), "{path}");
        assert_eq!(answer.status().0, "0", "{path}");
    }
}

#[tokio::test]
async fn other_paths_are_answered_as_go_micro_does() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    for (path, status, message) in [
        ("/x.Nope/Greet", "12", "unknown service Nope"),
        ("/x.Greeter/Nope", "12", "unknown service Greeter.Nope"),
        ("/x.greeter/Greet", "12", "unknown service greeter"),
        ("/a/b/c", "3", "malformed method name: \"/a/b/c\""),
        ("/Greeter.Greet", "12", "malformed method name: \"Greeter.Greet\""),
    ] {
        let answer = raw.call(path, &[], frame(&text("John"))).await;
        assert_eq!((answer.http, answer.status()), (200, (status, message)), "{path}");
    }
}
