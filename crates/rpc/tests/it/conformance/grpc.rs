//! What the suite needs of the transport: a server of its methods, and a client.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use micro_conformance::transport::{
    self, Call, Capability, ClientOptions, Fixture, Handler, Method, Receiver, Sender, ServerOptions, Upload,
};
use micro_core::codec::Format;
use micro_core::{Error, Kind, Result};
use micro_rpc::{Client, Endpoint, Endpoints, Running, Server};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};

const SERVICE: &str = "conformance";

#[derive(Debug)]
pub(crate) struct Grpc;

#[async_trait]
impl Fixture for Grpc {
    fn name(&self) -> &'static str {
        "transport-grpc"
    }

    fn capability(&self) -> Capability {
        Capability::all()
    }

    async fn serve(
        &self,
        address: &str,
        methods: Vec<Method>,
        options: ServerOptions,
    ) -> Result<Box<dyn transport::Server>> {
        let (interval, timeout) = options.keep_alive;
        let mut settings = micro_rpc::ServerOptions::new(SERVICE)
            .address(address)
            .max_message_size(options.max_message)
            .keep_alive(interval, timeout);
        if let Some(tls) = options.tls {
            settings = settings.tls(tls);
        }
        let mut server = Server::new(settings);
        server.handle(Methods(methods));
        Ok(Box::new(Serving(server.start().await?)))
    }

    fn client(&self, address: &str, options: ClientOptions) -> Arc<dyn transport::Client> {
        let (interval, timeout) = options.keep_alive;
        let mut client = Client::builder()
            .pool(1)
            .timeout(Duration::from_secs(60))
            .content_type(Format::Bytes)
            .max_message_size(options.max_message)
            .keep_alive(interval, timeout);
        if let Some(tls) = options.tls {
            client = client.tls(tls);
        }
        Arc::new(Caller { client: client.build(), address: address.to_owned() })
    }
}

/// The methods as endpoints, with a description of them.
struct Methods(Vec<Method>);

impl Endpoints for Methods {
    fn endpoints(self) -> Vec<Endpoint> {
        self.0.into_iter().map(|method| endpoint(method.name, method.handler)).collect()
    }

    fn descriptor(&self) -> Option<&'static [u8]> {
        let names = self.0.iter().filter_map(|method| method.name.strip_prefix("Suite."));
        let method =
            names.map(|name| MethodDescriptorProto { name: Some(name.to_owned()), ..Default::default() }).collect();
        let suite = ServiceDescriptorProto { name: Some("Suite".into()), method, ..Default::default() };
        let file = FileDescriptorProto {
            name: Some("suite.proto".into()),
            package: Some(SERVICE.into()),
            service: vec![suite],
            ..Default::default()
        };
        Some(Vec::leak(FileDescriptorSet { file: vec![file] }.encode_to_vec()))
    }
}

fn endpoint(name: &'static str, handler: Handler) -> Endpoint {
    match handler {
        Handler::Unary(handle) => Endpoint::unary(name, move |context, body: Bytes| handle(context, body)),
        Handler::ServerStream(handle) => {
            Endpoint::server_stream(name, move |context, body: Bytes, out| handle(context, body, Box::new(Out(out))))
        }
        Handler::ClientStream(handle) => {
            Endpoint::client_stream(name, move |context, messages| handle(context, Box::new(In(messages))))
        }
        Handler::Stream(handle) => Endpoint::stream(name, move |context, messages, out| {
            handle(context, Box::new(In(messages)), Box::new(Out(out)))
        }),
    }
}

#[derive(Debug)]
struct Serving(Running);

#[async_trait]
impl transport::Server for Serving {
    fn address(&self) -> String {
        self.0.address().to_string()
    }

    async fn stop(&self, limit: Duration) -> usize {
        self.0.stop(limit).await
    }
}

struct Out(micro_rpc::Sender<Bytes>);

#[async_trait]
impl Sender for Out {
    async fn send(&self, message: Bytes) -> Result<()> {
        self.0.send(message).await
    }
}

struct In(micro_rpc::Receiver<Bytes>);

#[async_trait]
impl Receiver for In {
    async fn recv(&mut self) -> Result<Option<Bytes>> {
        self.0.recv().await
    }
}

struct Up(micro_rpc::ClientStream<Bytes, Bytes>);

#[async_trait]
impl Upload for Up {
    async fn send(&self, message: Bytes) -> Result<()> {
        self.0.send(&message).await
    }

    async fn finish(self: Box<Self>) -> Result<Bytes> {
        self.0.finish().await
    }
}

#[derive(Debug)]
struct Caller {
    client: Client,
    address: String,
}

/// Sets what a call asks for.
macro_rules! set {
    ($call:expr, $address:expr, $asked:expr) => {{
        let mut call = $call.address(&*$address);
        for (name, value) in &$asked.metadata {
            call = call.metadata(*name, value.clone());
        }
        if let Some(timeout) = $asked.timeout {
            call = call.timeout(timeout);
        }
        if let Some(context) = &$asked.context {
            call = call.context(context);
        }
        call.await
    }};
}

#[async_trait]
impl transport::Client for Caller {
    async fn call(&self, call: Call) -> Result<Bytes> {
        set!(self.client.call(SERVICE, &call.method, &call.body), self.address, call)
    }

    async fn server_stream(&self, call: Call) -> Result<Box<dyn Receiver>> {
        let messages = set!(self.client.server_stream(SERVICE, &call.method, &call.body), self.address, call)?;
        Ok(Box::new(In(messages)))
    }

    async fn client_stream(&self, call: Call) -> Result<Box<dyn Upload>> {
        let upload = set!(self.client.client_stream(SERVICE, &call.method), self.address, call)?;
        Ok(Box::new(Up(upload)))
    }

    async fn stream(&self, call: Call) -> Result<(Box<dyn Sender>, Box<dyn Receiver>)> {
        let stream = set!(self.client.stream(SERVICE, &call.method), self.address, call)?;
        let (out, messages) = stream.split();
        Ok((Box::new(Out(out)), Box::new(In(messages))))
    }

    async fn health(&self, service: &str) -> Result<bool> {
        let request = Bytes::from(Name { name: service.to_owned() }.encode_to_vec());
        let call = self.client.call::<_, Bytes>("", "/grpc.health.v1.Health/Check", &request);
        let answer = call.content_type(Format::Protobuf).address(&*self.address).await?;
        Ok(answer == [8, 1][..])
    }

    async fn services(&self) -> Result<Vec<String>> {
        let answer = self.reflect(&Question { services: Some("*".into()), symbol: None }).await?;
        Ok(answer.services.unwrap_or_default().service.into_iter().map(|service| service.name).collect())
    }

    async fn describes(&self, service: &str, method: &str) -> Result<bool> {
        let symbol = Some(format!("{service}.{method}"));
        let answer = self.reflect(&Question { services: None, symbol }).await?;
        let files = answer.files.unwrap_or_default().file;
        Ok(files.iter().filter_map(|file| FileDescriptorProto::decode(&**file).ok()).any(|file| {
            let mut services = file.service.iter().filter(|of| service.ends_with(of.name()));
            services.any(|service| service.method.iter().any(|of| of.name() == method))
        }))
    }
}

impl Caller {
    async fn reflect(&self, question: &Question) -> Result<Answer> {
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        let call = self.client.stream::<Bytes, Bytes>("", path).content_type(Format::Protobuf);
        let mut stream = call.address(&*self.address).await?;
        stream.send(&question.encode_to_vec().into()).await?;
        let answer = stream.recv().await?.ok_or_else(|| Error::new(Kind::Internal, "reflection has no answer"))?;
        micro_core::codec::protobuf::decode(answer)
    }
}

/// `HealthCheckRequest`, and one service of reflection's list.
#[derive(Clone, PartialEq, prost::Message)]
struct Name {
    #[prost(string, tag = "1")]
    name: String,
}

/// `ServerReflectionRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct Question {
    #[prost(string, optional, tag = "4")]
    symbol: Option<String>,
    #[prost(string, optional, tag = "7")]
    services: Option<String>,
}

/// `ServerReflectionResponse`; without a file it is one that tells an error.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(message, optional, tag = "4")]
    files: Option<Files>,
    #[prost(message, optional, tag = "6")]
    services: Option<Services>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Services {
    #[prost(message, repeated, tag = "1")]
    service: Vec<Name>,
}
