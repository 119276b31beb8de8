//! A service: the trait, the server that hands out its endpoints, and the client.

use std::collections::BTreeMap;
use std::fmt::Write;

use prost_types::{FileDescriptorProto, MethodDescriptorProto};

use crate::comments;
use crate::error::Error;
use crate::names::{Resolver, camel, method as method_name};

/// Writes a service; `index` is its place in the file.
pub(crate) fn write(
    out: &mut String,
    resolver: &Resolver<'_>,
    codegen: &str,
    file: &FileDescriptorProto,
    index: usize,
) -> Result<(), Error> {
    let service = &file.service[index];
    let mut seen = BTreeMap::new();
    let mut methods = Vec::new();
    for (i, method) in service.method.iter().enumerate() {
        let path = [6, index as i32, 2, i as i32];
        let rpc = Rpc {
            name: method_name(method.name()),
            endpoint: format!("{}.{}", service.name(), method.name()),
            request: resolver.path(method.input_type()),
            response: resolver.path(method.output_type()),
            method,
            docs: comments::of(file, &path),
        };
        if let Some(other) = seen.insert(rpc.name.clone(), method.name()) {
            return Err(Error::new(format!(
                "{}: the rpcs {other} and {} of service {} both become `{}` in Rust; rename one",
                comments::place(file, &path),
                method.name(),
                service.name(),
                rpc.name,
            )));
        }
        methods.push(rpc);
    }
    let name = camel(service.name());
    for generated in [format!("{name}Server"), format!("{name}Client"), name.clone()] {
        let taken = file.message_type.iter().map(|message| message.name());
        let taken = taken.chain(file.enum_type.iter().map(|enumeration| enumeration.name()));
        if let Some(taken) = taken.into_iter().find(|taken| camel(taken) == generated) {
            return Err(Error::new(format!(
                "{}: service {} makes a Rust type `{generated}`, and so does the message or enum {taken}; rename one",
                comments::place(file, &[6, index as i32]),
                service.name(),
            )));
        }
    }
    let service =
        Service { name, proto: service.name(), codegen, docs: comments::of(file, &[6, index as i32]), methods };
    service.write(out).map_err(|_| Error::new("writing to memory failed"))
}

struct Service<'a> {
    name: String,
    proto: &'a str,
    codegen: &'a str,
    docs: Vec<&'a str>,
    methods: Vec<Rpc<'a>>,
}

struct Rpc<'a> {
    name: String,
    endpoint: String,
    request: String,
    response: String,
    method: &'a MethodDescriptorProto,
    docs: Vec<&'a str>,
}

fn write_docs(out: &mut String, docs: &[&str], otherwise: &str) -> std::fmt::Result {
    if docs.is_empty() {
        return writeln!(out, "#[doc = {otherwise:?}]");
    }
    for line in docs {
        writeln!(out, "#[doc = {line:?}]")?;
    }
    Ok(())
}

impl Service<'_> {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        self.write_trait(out)?;
        self.write_server(out)?;
        self.write_client(out)
    }

    fn write_trait(&self, out: &mut String) -> std::fmt::Result {
        let (name, codegen) = (&self.name, self.codegen);
        write_docs(out, &self.docs, &format!(" The methods of the service {}.", self.proto))?;
        writeln!(
            out,
            "#[doc = \"\"]
            #[doc = \" Implement it with plain `async fn`s, and hand it to the service in a [`{name}Server`].\"]
            pub trait {name}: ::core::marker::Send + ::core::marker::Sync + 'static {{"
        )?;
        for rpc in &self.methods {
            write_docs(out, &rpc.docs, &format!(" Handles `{}`.", rpc.endpoint))?;
            let (method, request, response) = (&rpc.name, &rpc.request, &rpc.response);
            let requests = if rpc.method.client_streaming() {
                format!("requests: {codegen}::Receiver<{request}>")
            } else {
                format!("request: {request}")
            };
            let (responses, output) = if rpc.method.server_streaming() {
                (format!(", responses: {codegen}::Sender<{response}>"), "()")
            } else {
                (String::new(), response.as_str())
            };
            writeln!(
                out,
                "fn {method}(&self, ctx: {codegen}::core::Context, {requests}{responses})
                    -> impl ::core::future::Future<Output = {codegen}::core::Result<{output}>> + ::core::marker::Send;"
            )?;
        }
        writeln!(out, "}}")
    }

    fn write_server(&self, out: &mut String) -> std::fmt::Result {
        let (name, codegen) = (&self.name, self.codegen);
        writeln!(
            out,
            "#[doc = \" Serves a [`{name}`]: what `service.handle(…)` takes.\"]
            pub struct {name}Server<H> {{ handler: ::std::sync::Arc<H> }}

            impl<H: {name}> {name}Server<H> {{
                /// Serves a handler.
                #[must_use]
                pub fn new(handler: H) -> Self {{ Self::shared(::std::sync::Arc::new(handler)) }}

                /// Serves a handler that others hold too.
                #[must_use]
                pub fn shared(handler: ::std::sync::Arc<H>) -> Self {{ Self {{ handler }} }}
            }}

            impl<H> ::core::clone::Clone for {name}Server<H> {{
                fn clone(&self) -> Self {{ Self {{ handler: ::std::sync::Arc::clone(&self.handler) }} }}
            }}

            impl<H> ::core::fmt::Debug for {name}Server<H> {{
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{
                    f.debug_struct(\"{name}Server\").finish_non_exhaustive()
                }}
            }}

            impl<H: {name}> {codegen}::Endpoints for {name}Server<H> {{
                fn endpoints(self) -> ::std::vec::Vec<{codegen}::Endpoint> {{
                    ::std::vec::Vec::from(["
        )?;
        for rpc in &self.methods {
            let (method, endpoint) = (&rpc.name, &rpc.endpoint);
            let (constructor, arguments) =
                rpc.kind(["request", "request, responses", "requests", "requests, responses"]);
            writeln!(
                out,
                "{{
                    let handler = ::std::sync::Arc::clone(&self.handler);
                    {codegen}::Endpoint::{constructor}({endpoint:?}, move |ctx, {arguments}| {{
                        let handler = ::std::sync::Arc::clone(&handler);
                        async move {{ <H as {name}>::{method}(&handler, ctx, {arguments}).await }}
                    }})
                }},"
            )?;
        }
        writeln!(
            out,
            "]) }}
                fn descriptor(&self) -> ::core::option::Option<&'static [u8]> {{
                    ::core::option::Option::Some(FILE_DESCRIPTOR_SET)
                }}
            }}"
        )
    }

    fn write_client(&self, out: &mut String) -> std::fmt::Result {
        let (name, proto, codegen) = (&self.name, self.proto, self.codegen);
        writeln!(
            out,
            "#[doc = \" Calls the service {proto}.\"]
            #[derive(::core::clone::Clone)]
            pub struct {name}Client {{ client: {codegen}::Client, service: ::std::sync::Arc<str> }}

            impl ::core::fmt::Debug for {name}Client {{
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{
                    f.debug_struct(\"{name}Client\").field(\"service\", &self.service).finish_non_exhaustive()
                }}
            }}

            impl {name}Client {{
                /// Creates a client of the service that is registered under this name.
                #[must_use]
                pub fn new(service: impl ::core::convert::Into<::std::sync::Arc<str>>, client: &{codegen}::Client) -> Self {{
                    Self {{ client: ::core::clone::Clone::clone(client), service: service.into() }}
                }}"
        )?;
        for rpc in &self.methods {
            write_docs(out, &rpc.docs, &format!(" Calls `{}`.", rpc.endpoint))?;
            let (method, endpoint, request, response) = (&rpc.name, &rpc.endpoint, &rpc.request, &rpc.response);
            let (call, _) = rpc.kind([""; 4]);
            let (result, _) = rpc.kind([""; 4]);
            let result = match result {
                "unary" => "Call",
                "server_stream" => "ServerStreamCall",
                "client_stream" => "ClientStreamCall",
                _ => "StreamCall",
            };
            let call = if call == "unary" { "call" } else { call };
            let (parameter, argument) = if rpc.method.client_streaming() {
                (String::new(), "")
            } else {
                (format!(", request: &'a {request}"), ", request")
            };
            writeln!(
                out,
                "pub fn {method}<'a>(&'a self{parameter}) -> {codegen}::{result}<'a, {request}, {response}> {{
                    self.client.{call}(&self.service, {endpoint:?}{argument})
                }}"
            )?;
        }
        writeln!(out, "}}")
    }
}

impl Rpc<'_> {
    /// Returns the name of `Endpoint`'s constructor, and the one of four texts that fits: unary, server stream, client
    /// stream, both.
    fn kind<'a>(&self, texts: [&'a str; 4]) -> (&'static str, &'a str) {
        match (self.method.client_streaming(), self.method.server_streaming()) {
            (false, false) => ("unary", texts[0]),
            (false, true) => ("server_stream", texts[1]),
            (true, false) => ("client_stream", texts[2]),
            (true, true) => ("stream", texts[3]),
        }
    }
}
