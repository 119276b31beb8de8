//! Bare HTTP/2, to see and say what our own side would hide.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};

/// A framed message.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    frame_bytes(&message.encode_to_vec())
}

pub(crate) fn frame_bytes(body: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(body);
    frame.into()
}

pub(crate) struct Raw {
    send: SendRequest<Bytes>,
    authority: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: u16,
    pub(crate) head: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HashMap<String, String>,
}

impl Answer {
    /// A header of the head or of the trailers.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.trailers.get(name).or_else(|| self.head.get(name)).map_or("", String::as_str)
    }

    pub(crate) fn status(&self) -> (&str, &str) {
        (self.get("grpc-status"), self.get("grpc-message"))
    }
}

impl Raw {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { send, authority: address.to_owned() }
    }

    /// Opens a request without ending it.
    pub(crate) async fn open(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (impl Future<Output = Result<Answer, h2::Error>> + use<>, SendStream<Bytes>) {
        let mut request = Request::post(format!("http://{}{path}", self.authority));
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc+proto");
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
        (answer(response), stream)
    }

    pub(crate) async fn try_call(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        frame: Bytes,
    ) -> Result<Answer, h2::Error> {
        let (answer, mut stream) = self.open(path, headers).await;
        let _ = stream.send_data(frame, true);
        answer.await
    }

    pub(crate) async fn call(&mut self, path: &str, headers: &[(&str, &str)], frame: Bytes) -> Answer {
        self.try_call(path, headers, frame).await.unwrap()
    }
}

async fn answer(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let response = response.await?;
    let (http, head) = (response.status().as_u16(), map(response.headers()));
    let mut stream = response.into_body();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await?.as_ref().map(map).unwrap_or_default();
    Ok(Answer { http, head, body, trailers })
}

pub(crate) fn map(headers: &HeaderMap) -> HashMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// Serves bare HTTP/2; the handler says what to do with each request. Returns the address.
pub(crate) async fn serve<F, Fut>(handler: F) -> String
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(handler(request, respond));
                }
            });
        }
    });
    address
}

/// Answers with one message and these trailers.
pub(crate) fn respond(mut respond: SendResponse<Bytes>, message: Option<Bytes>, trailers: &[(&str, &str)]) {
    let head = Response::builder().header("content-type", "application/grpc+proto").body(()).unwrap();
    let mut stream = respond.send_response(head, false).unwrap();
    if let Some(message) = message {
        stream.send_data(message, false).unwrap();
    }
    let mut map = HeaderMap::new();
    for (name, value) in trailers {
        map.insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    stream.send_trailers(map).unwrap();
}

/// Waits until a condition holds; fails after ten seconds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < end, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
