//! Messages between Rust and go-micro's own Kafka plug-in, both ways.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::{Broker, Message, Topic};

use crate::go_kafka::{GoMessage, GoSubscriber, go_publishes};
use crate::rust_kafka::{GO, NATIVE, RustSubscriber, SEALED, broker, new_topic, publish};
use crate::wait::{fresh, until};

/// Every byte there is, and the same in base64.
fn binary() -> (Vec<u8>, &'static str) {
    const TEXT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk\
                        9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2en6Ch\
                        oqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj5OXm5+jp6uvs7e7v8PHy8/\
                        T19vf4+fr7/P3+/w==";
    ((0..=255).collect(), TEXT)
}

/// What Go's encoding/json writes in another way than others do, and more.
const HEADERS: [(&str, &str); 4] = [
    ("Content-Type", "text/plain"),
    ("Zeta", "a<b>&c \u{2028}\u{2029} \"quoted\\\" é"),
    (":authority", ""),
    ("alpha", "tab\tend\\"),
];

fn headers() -> BTreeMap<String, String> {
    HEADERS.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn message(body: impl Into<Vec<u8>>) -> Message {
    HEADERS.iter().fold(Message::new(body.into()), |message, &(name, value)| message.header(name, value))
}

/// Publishes a body with the headers above.
async fn go_publishes_body(topic: &Topic, body: &[&str]) {
    let headers = HEADERS.map(|(name, value)| format!("{name}={value}"));
    let mut arguments = vec!["-topic", topic.as_str()];
    arguments.extend(headers.iter().flat_map(|header| ["-header", header.as_str()]));
    arguments.extend(body);
    go_publishes("kafka-publish", &arguments).await;
}

// features: D14
#[tokio::test]
async fn a_go_subscriber_gets_headers_and_body_of_a_rust_publisher_as_they_were() {
    let rust = broker(GO).await;
    let topic = new_topic(&rust, "rust.raw").await;
    let go = GoSubscriber::start(topic.as_str(), None).await;
    let (bytes, base64) = binary();
    publish(&rust, &topic, message(bytes)).await;
    publish(&rust, &topic, Message::new("").header("empty", "")).await;
    until("both arrive", async || go.messages().len() == 2).await;
    let mut messages = go.messages();
    messages.sort_by_key(|message| message.body == Some(String::new()));
    let whole = |body: &str| Some(body.to_owned());
    assert_eq!((messages[0].header.clone(), messages[0].body.clone()), (Some(headers()), whole(base64)));
    let empty = BTreeMap::from([("empty".to_owned(), String::new())]);
    assert_eq!((messages[1].header.clone(), messages[1].body.clone()), (Some(empty), whole("")));
}

// features: D14
#[tokio::test]
async fn a_rust_subscriber_gets_headers_and_body_of_a_go_publisher_in_either_dialect() {
    let (of_go, native) = (broker(GO).await, broker(NATIVE).await);
    let topic = new_topic(&native, "go.raw").await;
    let subscribers =
        [RustSubscriber::start(&of_go, &topic, None).await, RustSubscriber::start(&native, &topic, None).await];
    let (bytes, base64) = binary();
    go_publishes_body(&topic, &["-body-base64", base64]).await;
    for rust in subscribers {
        until("it arrives", async || rust.seen().len() == 1).await;
        let seen = rust.seen().remove(0);
        assert_eq!((seen.headers, seen.body), (headers(), bytes.clone()));
    }
}

#[tokio::test]
async fn null_headers_and_a_null_body_are_none() {
    let (of_go, native) = (broker(GO).await, broker(NATIVE).await);
    let topic = new_topic(&native, "go.null").await;
    let subscribers =
        [RustSubscriber::start(&of_go, &topic, None).await, RustSubscriber::start(&native, &topic, None).await];
    let go = GoSubscriber::start(topic.as_str(), None).await;
    go_publishes("kafka-publish", &["-topic", topic.as_str()]).await;
    for rust in subscribers {
        until("it arrives", async || rust.seen().len() == 1).await;
        let seen = rust.seen().remove(0);
        assert_eq!((seen.headers, seen.body), (BTreeMap::new(), Vec::new()));
    }
    until("Go has it, too", async || go.messages().len() == 1).await;
    assert_eq!(go.messages(), [GoMessage { header: None, body: None, text: String::new() }]);
}

// features: D14
#[tokio::test]
async fn the_record_is_byte_for_byte_what_go_micro_writes() {
    let (rust, sealed) = (broker(GO).await, broker(SEALED).await);
    let topic = new_topic(&rust, "record").await;
    let reader = RustSubscriber::start(&sealed, &topic, None).await;
    go_publishes_body(&topic, &["-body", "<&> é"]).await;
    until("the record of Go arrives", async || reader.seen().len() == 1).await;
    publish(&rust, &topic, message("<&> é")).await;
    until("the record of Rust arrives", async || reader.seen().len() == 2).await;
    let [of_go, of_rust] = reader.seen().try_into().expect("two records");
    let expected = r#"{"Header":{":authority":"","Content-Type":"text/plain","Zeta":"a\u003cb\u003e\u0026c \u2028\u2029 \"quoted\\\" é","alpha":"tab\tend\\"},"Body":"PCY+IMOp"}"#;
    assert_eq!((of_go.text().as_str(), of_rust.text().as_str()), (expected, expected));
    for record in [&of_go, &of_rust] {
        assert_eq!((record.headers.len(), record.keyed), (0, false));
    }
    // The plug-in's publisher speaks a protocol from before records had a time.
    assert_eq!((of_go.timed, of_rust.timed), (false, true));
}

// features: D3, D14
#[tokio::test]
async fn without_a_queue_rust_and_go_subscribers_get_everything() {
    let broker = broker(GO).await;
    let topic = new_topic(&broker, "everybody").await;
    let rust = [RustSubscriber::start(&broker, &topic, None).await, RustSubscriber::start(&broker, &topic, None).await];
    let go = [GoSubscriber::start(topic.as_str(), None).await, GoSubscriber::start(topic.as_str(), None).await];
    let expected = publish_from_both(&broker, &topic).await;
    for rust in &rust {
        until("a Rust subscriber has all", async || rust.seen().len() >= expected.len()).await;
        assert_eq!(sorted(texts_of_rust(rust)), expected);
    }
    for go in &go {
        until("a Go subscriber has all", async || go.messages().len() >= expected.len()).await;
        assert_eq!(sorted(texts_of_go(slice::from_ref(go))), expected);
    }
}

// features: D14, D15
#[tokio::test]
async fn a_rust_and_a_go_member_share_a_queue_and_each_message_goes_to_one() {
    let broker = broker(GO).await;
    let topic = new_topic(&broker, "shared").await;
    let queue = fresh("workers");
    let rust = RustSubscriber::start(&broker, &topic, Some(&queue)).await;
    let go = [GoSubscriber::start(topic.as_str(), Some(&queue)).await];
    each_message_goes_to_one(&broker, &topic, &rust, &go).await;
}

/// The hard way round: a Go member leads, and it reads no subscription that is newer than itself. Were ours not written
/// as it writes its own, the queue would stand still until none of the Go members leads any more.
// features: D14, D15
#[tokio::test]
async fn a_rust_member_joins_a_queue_of_go_members_and_nothing_is_lost_meanwhile() {
    let broker = broker(GO).await;
    let topic = new_topic(&broker, "joined").await;
    let queue = fresh("workers");
    let mut go = Vec::new();
    for _ in 0..3 {
        go.push(GoSubscriber::start(topic.as_str(), Some(&queue)).await);
    }
    for go in &go {
        go.shares_with(topic.as_str(), 3).await;
    }
    // From now on the queue has a position in every partition; before, the plug-in would begin at the newest again.
    let mut expected = publish_everywhere(&broker, &topic, "before").await;
    until("Go has handled them", async || holds(&texts_of_go(&go), &expected)).await;
    let mut joining = pin!(RustSubscriber::start(&broker, &topic, Some(&queue)));
    let rust = loop {
        tokio::select! {
            rust = &mut joining => break rust,
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                let what = format!("meanwhile, after {},", expected.len());
                expected.extend(publish_everywhere(&broker, &topic, &what).await);
            }
        }
    };
    let all = || [texts_of_rust(&rust), texts_of_go(&go)].concat();
    until("all have arrived", async || holds(&all(), &expected)).await;
    each_message_goes_to_one(&broker, &topic, &rust, &go).await;
}

// features: D14, D15
#[tokio::test]
async fn a_queue_goes_on_where_it_was_when_it_passes_between_rust_and_go() {
    let broker = broker(GO).await;
    let topic = new_topic(&broker, "passed").await;
    let queue = fresh("workers");
    let rust = RustSubscriber::start(&broker, &topic, Some(&queue)).await;
    let first = publish_everywhere(&broker, &topic, "first").await;
    until("Rust has handled them", async || rust.seen().len() >= first.len()).await;
    rust.leave().await;

    let missed_by_rust = publish_everywhere(&broker, &topic, "missed by Rust").await;
    let go = [GoSubscriber::start(topic.as_str(), Some(&queue)).await];
    until("Go gets what Rust missed", async || holds(&texts_of_go(&go), &missed_by_rust)).await;
    assert_eq!(sorted(texts_of_go(&go)), missed_by_rust);
    let [go] = go;
    go.stop().await;

    let missed_by_go = publish_everywhere(&broker, &topic, "missed by Go").await;
    let rust = RustSubscriber::start(&broker, &topic, Some(&queue)).await;
    until("Rust gets what Go missed", async || holds(&texts_of_rust(&rust), &missed_by_go)).await;
    assert_eq!(sorted(texts_of_rust(&rust)), missed_by_go);
}

/// Of a topic that we create.
const PARTITIONS: u32 = 16;

/// Publishes some to each partition; returns what was published, sorted.
async fn publish_everywhere(broker: &Arc<dyn Broker>, topic: &Topic, what: &str) -> Vec<String> {
    let bodies: Vec<_> = (0..20 * PARTITIONS).map(|n| format!("{what} {n}")).collect();
    let messages = bodies.iter().zip(0..).map(|(body, n)| Message::new(body.clone()).partition(n % PARTITIONS));
    for receipt in broker.publish(topic, messages.collect()).await {
        receipt.expect("it is published");
    }
    sorted(bodies)
}

/// Publishes from both sides, then to each partition, so that whoever has all has whatever came twice before.
async fn publish_from_both(broker: &Arc<dyn Broker>, topic: &Topic) -> Vec<String> {
    let by_go = async {
        go_publishes("kafka-publish", &["-topic", topic.as_str(), "-count", "320", "-body", "Go's {n}"]).await;
        (0..320).map(|n| format!("Go's {n}")).collect::<Vec<_>>()
    };
    let (by_go, by_rust) = tokio::join!(by_go, publish_everywhere(broker, topic, "Rust's"));
    let last = publish_everywhere(broker, topic, "last").await;
    sorted([by_go, by_rust, last].concat())
}

async fn each_message_goes_to_one(broker: &Arc<dyn Broker>, topic: &Topic, rust: &RustSubscriber, go: &[GoSubscriber]) {
    for member in go {
        member.shares_with(topic.as_str(), go.len() + 1).await;
    }
    let expected = publish_from_both(broker, topic).await;
    let wanted: HashSet<_> = expected.iter().collect();
    let all = || {
        let mut all = [texts_of_rust(rust), texts_of_go(go)].concat();
        all.retain(|text| wanted.contains(text));
        sorted(all)
    };
    until("all have arrived", async || holds(&all(), &expected)).await;
    assert_eq!(all(), expected);
    assert!(!rust.seen().is_empty() && go.iter().all(|member| !member.messages().is_empty()), "each has a share");
}

fn texts_of_rust(rust: &RustSubscriber) -> Vec<String> {
    rust.seen().iter().map(|seen| seen.text()).collect()
}

fn texts_of_go(go: &[GoSubscriber]) -> Vec<String> {
    go.iter().flat_map(GoSubscriber::messages).map(|message| message.text).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

fn holds(texts: &[String], all: &[String]) -> bool {
    let texts: HashSet<_> = texts.iter().collect();
    all.iter().all(|text| texts.contains(text))
}
