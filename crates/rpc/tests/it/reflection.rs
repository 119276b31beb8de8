//! `grpc.reflection`, both versions.

use bytes::Bytes;
use micro_core::codec::Format;
use micro_rpc::{Endpoint, Endpoints, Server};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};

use crate::world::{Text, options, text};

struct Described;

impl Endpoints for Described {
    fn endpoints(self) -> Vec<Endpoint> {
        vec![Endpoint::unary("Greeter.Greet", |_, _: Text| async move { Ok(text("x")) })]
    }

    fn descriptor(&self) -> Option<&'static [u8]> {
        let method = MethodDescriptorProto { name: Some("Greet".into()), ..Default::default() };
        let service =
            ServiceDescriptorProto { name: Some("Greeter".into()), method: vec![method], ..Default::default() };
        let greeter = FileDescriptorProto {
            name: Some("greeter.proto".into()),
            package: Some("shop".into()),
            dependency: vec!["common.proto".into()],
            service: vec![service],
            ..Default::default()
        };
        let common = FileDescriptorProto { name: Some("common.proto".into()), ..Default::default() };
        let set = FileDescriptorSet { file: vec![greeter, common] };
        Some(Box::leak(set.encode_to_vec().into_boxed_slice()))
    }
}

/// One request of the reflection service: a string in this field.
fn ask(field: u8, value: &str) -> Bytes {
    let mut message = vec![field << 3 | 2, value.len() as u8];
    message.extend_from_slice(value.as_bytes());
    message.into()
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

// features: B15
#[tokio::test]
async fn services_and_their_files_are_shown() {
    let mut server = Server::new(options());
    server.handle(Described);
    let running = server.start().await.unwrap();
    let address = running.address().to_string();
    let client = micro_rpc::Client::default();
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let call = client.stream::<Bytes, Bytes>("", &path).content_type(Format::Protobuf).address(&*address);
        let mut stream = call.await.unwrap();
        let mut asked = async |message| {
            stream.send(&message).await.unwrap();
            stream.recv().await.unwrap().unwrap()
        };
        let services = asked(ask(7, "*")).await;
        assert!(contains(&services, "shop.Greeter") && contains(&services, "grpc.health.v1.Health"));
        for symbol in ["shop.Greeter", "shop.Greeter.Greet"] {
            let files = asked(ask(4, symbol)).await;
            assert!(contains(&files, "greeter.proto") && contains(&files, "\x0a\x0ccommon.proto"), "{symbol}");
        }
        assert!(contains(&asked(ask(3, "grpc/health/v1/health.proto")).await, "HealthCheckRequest"));
        assert!(contains(&asked(ask(4, "shop.Nope")).await, "nothing of this name"));
    }
}
