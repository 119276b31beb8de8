//! `grpc.reflection.v1` and `v1alpha`, which are the same on the wire: what grpcurl asks for.

mod files;
mod health_file;
mod messages;

use std::sync::Arc;

use micro_core::Result;

use super::Endpoint;
use crate::stream::{Receiver, Sender};
use files::Files;
use messages::{
    Answer, Ask, ErrorResponse, ExtensionNumbers, FileDescriptors, ListServices, Request, Response, ServiceName,
};

/// gRPC's code for what is not there.
const NOT_FOUND: i32 = 5;

/// Answers which services there are, and what their messages look like.
#[derive(Clone)]
pub(crate) struct Reflection(Arc<Files>);

impl Reflection {
    /// Reads encoded `FileDescriptorSet`s.
    pub(super) fn new(sets: &[&'static [u8]]) -> Result<Self> {
        let mut files = Files::default();
        for set in sets {
            files.add_set(set)?;
        }
        files.add(health_file::encoded())?;
        Ok(Self(Arc::new(files)))
    }

    async fn serve(&self, mut requests: Receiver<Request>, responses: Sender<Response>) -> Result<()> {
        while let Some(request) = requests.recv().await? {
            let answer = self.answer(&request);
            let valid_host = request.host.clone();
            responses.send(Response { valid_host, original_request: Some(request), answer: Some(answer) }).await?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Answer {
        let found = match &request.ask {
            Some(Ask::FileByFilename(name)) => self.0.by_name(name),
            Some(Ask::FileContainingSymbol(symbol)) => self.0.by_symbol(symbol),
            Some(Ask::FileContainingExtension(extension)) => {
                self.0.by_extension(&extension.containing_type, extension.extension_number)
            }
            Some(Ask::AllExtensionNumbersOfType(name)) => {
                let (base_type_name, extension_number) = (name.clone(), self.0.extension_numbers(name));
                return Answer::AllExtensionNumbers(ExtensionNumbers { base_type_name, extension_number });
            }
            Some(Ask::ListServices(_)) => {
                let service = self.0.services().map(|name| ServiceName { name: name.to_owned() }).collect();
                return Answer::ListServices(ListServices { service });
            }
            None => None,
        };
        found.map_or_else(
            || {
                let error_message = "nothing of this name is described here".to_owned();
                Answer::Error(ErrorResponse { error_code: NOT_FOUND, error_message })
            },
            |file_descriptor_proto| Answer::FileDescriptors(FileDescriptors { file_descriptor_proto }),
        )
    }

    /// Returns the endpoints with their full paths.
    pub(super) fn endpoints(&self) -> Vec<(&'static str, Endpoint)> {
        [
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ]
        .map(|path| {
            let reflection = self.clone();
            let endpoint = Endpoint::stream("ServerReflection.ServerReflectionInfo", move |_, requests, responses| {
                let reflection = reflection.clone();
                async move { reflection.serve(requests, responses).await }
            });
            (path, endpoint)
        })
        .into()
    }
}
