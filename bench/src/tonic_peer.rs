//! tonic at its defaults, as its code generator writes a service.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc as ServerGrpc, NamedService, StreamingService, UnaryService};
use tonic::transport::{Channel, Server};
use tonic::{IntoStreamingRequest, Request, Response, Status, Streaming, client};
use tonic_prost::ProstCodec;

use crate::echo::Echo;

const UNARY: &str = "/bench.Echo/Unary";
const STREAM: &str = "/bench.Echo/Stream";

/// Messages between the handler of a stream and its connection.
const CHANNEL: usize = 256;

type Codec = ProstCodec<Echo, Echo>;
type Echoes = Pin<Box<dyn Stream<Item = Result<Echo, Status>> + Send>>;

/// The service: every message comes back.
#[derive(Debug, Clone)]
pub(crate) struct Peer;

impl NamedService for Peer {
    const NAME: &'static str = "bench.Echo";
}

impl UnaryService<Echo> for Peer {
    type Response = Echo;
    type Future = BoxFuture<Response<Echo>, Status>;

    fn call(&mut self, request: Request<Echo>) -> Self::Future {
        async move { Ok(Response::new(request.into_inner())) }.boxed()
    }
}

impl StreamingService<Echo> for Peer {
    type Response = Echo;
    type ResponseStream = Echoes;
    type Future = BoxFuture<Response<Echoes>, Status>;

    fn call(&mut self, request: Request<Streaming<Echo>>) -> Self::Future {
        async move {
            let mut requests = request.into_inner();
            let (sender, receiver) = tokio::sync::mpsc::channel(CHANNEL);
            tokio::spawn(async move {
                while let Some(message) = requests.next().await {
                    if sender.send(message).await.is_err() {
                        break;
                    }
                }
            });
            Ok(Response::new(received(receiver).boxed()))
        }
        .boxed()
    }
}

impl Service<http::Request<Body>> for Peer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path() {
            UNARY => async move { Ok(ServerGrpc::new(Codec::default()).unary(Self, request).await) }.boxed(),
            STREAM => async move { Ok(ServerGrpc::new(Codec::default()).streaming(Self, request).await) }.boxed(),
            _ => async move { Ok(Status::unimplemented("").into_http()) }.boxed(),
        }
    }
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: std::net::TcpListener) -> Result<(), String> {
    listener.set_nonblocking(true).map_err(|e| e.to_string())?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|e| e.to_string())?;
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder().add_service(Peer).serve_with_incoming(incoming).await.map_err(|e| e.to_string())
}

/// One connection.
pub(crate) async fn connect(address: &str) -> Result<Channel, String> {
    let endpoint = Channel::from_shared(format!("http://{address}")).map_err(|e| e.to_string())?;
    endpoint.connect().await.map_err(|e| format!("{address}: {e}"))
}

/// One call.
pub(crate) async fn call(channel: Channel, message: Echo) -> Result<Echo, Status> {
    let mut grpc = client::Grpc::new(channel);
    grpc.ready().await.map_err(|e| Status::unknown(e.to_string()))?;
    let path = PathAndQuery::from_static(UNARY);
    Ok(grpc.unary(Request::new(message), path, Codec::default()).await?.into_inner())
}

/// One bidirectional stream, fed through a channel.
pub(crate) async fn stream(channel: Channel) -> Result<(tokio::sync::mpsc::Sender<Echo>, Streaming<Echo>), Status> {
    let (sender, receiver) = tokio::sync::mpsc::channel(CHANNEL);
    let mut grpc = client::Grpc::new(channel);
    grpc.ready().await.map_err(|e| Status::unknown(e.to_string()))?;
    let path = PathAndQuery::from_static(STREAM);
    let requests = received(receiver).into_streaming_request();
    Ok((sender, grpc.streaming(requests, path, Codec::default()).await?.into_inner()))
}

fn received<T>(mut receiver: tokio::sync::mpsc::Receiver<T>) -> impl Stream<Item = T> {
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}
