//! Greets whoever calls: `cargo run -p greeter --bin greeter-server`, or with `-- --server_address :8088`.

use greeter::{Greeter, GreeterServer, Request, Response};
use micro::prelude::*;

struct MyGreeter;

impl Greeter for MyGreeter {
    async fn greet(&self, _ctx: Context, request: Request) -> Result<Response> {
        Ok(Response { msg: format!("Greet {}", request.name) })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut service = Service::new("greeter")?;
    service.handle(GreeterServer::new(MyGreeter));
    service.run().await
}
