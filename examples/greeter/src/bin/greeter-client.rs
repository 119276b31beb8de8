//! Calls the greeter by its name: `cargo run -p greeter --bin greeter-client`, or with `-- Mary`.
#![expect(clippy::print_stdout, reason = "the greeting is the output")]

use greeter::{GreeterClient, Request};
use micro::prelude::*;

#[tokio::main]
async fn main() -> Result<()> {
    let service = Service::new("greeter.client")?;
    let greeter = GreeterClient::new("greeter", &service.client());
    let name = service.args().first().map_or("John", String::as_str).to_owned();
    let response = greeter.greet(&Request { name }).await?;
    println!("{}", response.msg);
    Ok(())
}
