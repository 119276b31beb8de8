//! A server with a few endpoints, and a client that knows it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use micro_core::codec::{Format, Payload, no_such_format};
use micro_core::{Context, Error, Result};
use micro_rpc::{Client, Endpoint, Receiver, Running, Sender, Server, ServerOptions};

/// `message Text { string text = 1; }`.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize, prost::Message)]
pub(crate) struct Text {
    #[prost(string, tag = "1")]
    #[serde(default)]
    pub(crate) text: String,
}

pub(crate) fn text(text: impl Into<String>) -> Text {
    Text { text: text.into() }
}

impl Payload for Text {
    const FORMATS: &'static [Format] = &[Format::Protobuf, Format::Json];

    fn encode(&self, format: Format, buffer: &mut BytesMut) -> Result<()> {
        match format {
            Format::Protobuf => micro_core::codec::protobuf::encode(self, buffer),
            Format::Json => micro_core::codec::json::encode(self, buffer),
            _ => Err(no_such_format::<Self>(format)),
        }
    }

    fn decode(format: Format, body: Bytes) -> Result<Self> {
        match format {
            Format::Protobuf => micro_core::codec::protobuf::decode(body),
            Format::Json => micro_core::codec::json::decode(body),
            _ => Err(no_such_format::<Self>(format)),
        }
    }

    fn size_hint(&self, _: Format) -> usize {
        prost::Message::encoded_len(self)
    }
}

pub(crate) struct World {
    pub(crate) running: Running,
    pub(crate) address: String,
    pub(crate) client: Client,
}

/// The endpoints of `Greeter`.
pub(crate) fn greeter() -> Vec<Endpoint> {
    vec![
        Endpoint::unary("Greeter.Greet", |_, request: Text| async move { Ok(text(format!("Hello {}", request.text))) }),
        Endpoint::unary("Greeter.Echo", |_, request: Bytes| async move { Ok(request) }),
        Endpoint::unary("Greeter.Metadata", |context: Context, request: Text| async move {
            Ok(text(context.metadata().get_str(&request.text).unwrap_or("-")))
        }),
        Endpoint::unary("Greeter.Remaining", |context: Context, _: Text| async move {
            Ok(text(context.remaining().map_or("-".to_owned(), |left| left.as_millis().to_string())))
        }),
        Endpoint::unary("Greeter.Sleep", |_, request: Text| async move {
            tokio::time::sleep(Duration::from_millis(request.text.parse().unwrap())).await;
            Ok(text("slept"))
        }),
        Endpoint::unary("Greeter.Fail", |_, request: Text| async move {
            Err::<Text, _>(Error::not_found("greeter", request.text))
        }),
        Endpoint::unary("Greeter.Panic", |_, request: Text| async move {
            assert!(request.text == "fine", "boom");
            Ok(text("alive"))
        }),
        Endpoint::server_stream("Greeter.Count", |_, request: Text, numbers: Sender<Text>| async move {
            for i in 0..request.text.parse().unwrap() {
                numbers.send(text(i.to_string())).await?;
            }
            Ok(())
        }),
        Endpoint::client_stream("Greeter.Join", |_, mut words: Receiver<Text>| async move {
            let mut all = Vec::new();
            while let Some(word) = words.recv().await? {
                all.push(word.text);
            }
            Ok(text(all.join(" ")))
        }),
        Endpoint::stream("Greeter.Chat", |_, mut words: Receiver<Text>, answers: Sender<Text>| async move {
            while let Some(word) = words.recv().await? {
                if word.text == "fail" {
                    return Err(Error::conflict("greeter", "told to fail"));
                }
                answers.send(text(format!("re: {}", word.text))).await?;
            }
            Ok(())
        }),
    ]
}

pub(crate) fn options() -> ServerOptions {
    ServerOptions::new("greeter").address("127.0.0.1:0")
}

pub(crate) async fn start(options: ServerOptions, endpoints: Vec<Endpoint>) -> World {
    let mut server = Server::new(options);
    server.handle(endpoints);
    let running = server.start().await.unwrap();
    let address = running.address().to_string();
    World { running, address, client: Client::builder().name("tests").build() }
}

pub(crate) async fn world() -> World {
    start(options(), greeter()).await
}
