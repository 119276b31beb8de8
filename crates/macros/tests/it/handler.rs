//! `#[handler]`.

use micro_core::{Context, Error, Kind, Result};
use micro_macros::{Payload, handler};
use micro_rpc::codegen::Endpoints;
use micro_rpc::{Client, Receiver, Sender, Server, ServerOptions};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, Payload)]
#[payload(crate = "crate::codegen")]
struct Number {
    value: u64,
}

struct Calculator {
    start: u64,
}

#[handler(crate = "crate::codegen")]
impl Calculator {
    async fn add_start(&self, ctx: Context, number: Number) -> Result<Number> {
        assert_eq!(ctx.endpoint(), Some("Calculator.AddStart"));
        let value = number.value.checked_add(self.start).ok_or_else(|| Error::bad_request("calc", "too large"))?;
        Ok(Number { value })
    }

    async fn count(&self, _: Context, to: Number, out: Sender<Number>) -> Result<()> {
        for value in 1..=to.value {
            out.send(Number { value }).await?;
        }
        Ok(())
    }

    async fn sum(&self, _: Context, mut numbers: Receiver<Number>) -> Result<Number> {
        let mut value = self.start;
        while let Some(number) = numbers.recv().await? {
            value += number.value;
        }
        Ok(Number { value })
    }

    async fn double(&self, _: Context, mut numbers: Receiver<Number>, out: Sender<Number>) -> Result<()> {
        while let Some(number) = numbers.recv().await? {
            out.send(Number { value: number.value * self.factor() }).await?;
        }
        Ok(())
    }

    fn factor(&self) -> u64 {
        2
    }
}

// features: B4, B2
#[tokio::test]
async fn the_methods_of_a_struct_answer_calls_without_a_proto() {
    let mut server = Server::new(ServerOptions::new("calc").address("127.0.0.1:0"));
    server.handle(Calculator { start: 10 });
    let running = server.start().await.unwrap();
    let address = running.address().to_string();
    let client = Client::builder().build();

    let number = Number { value: 5 };
    let sum: Number = client.call("calc", "Calculator.AddStart", &number).address(address.as_str()).await.unwrap();
    assert_eq!(sum, Number { value: 15 });
    let largest = Number { value: u64::MAX };
    let call = client.call::<_, Number>("calc", "Calculator.AddStart", &largest).address(address.as_str());
    assert_eq!(call.await.unwrap_err().kind(), Kind::InvalidArgument);

    let two = Number { value: 2 };
    let counting = client.server_stream::<_, Number>("calc", "Calculator.Count", &two).address(address.as_str());
    let mut counted = counting.await.unwrap();
    let mut seen = Vec::new();
    while let Some(number) = counted.recv().await.unwrap() {
        seen.push(number.value);
    }
    assert_eq!(seen, [1, 2]);

    let adding = client.client_stream::<Number, Number>("calc", "Calculator.Sum").address(address.as_str());
    let adding = adding.await.unwrap();
    adding.send(&number).await.unwrap();
    assert_eq!(adding.finish().await.unwrap().value, 15);

    let doubling = client.stream::<Number, Number>("calc", "Calculator.Double").address(address.as_str());
    let mut doubling = doubling.await.unwrap();
    doubling.send(&number).await.unwrap();
    assert_eq!(doubling.recv().await.unwrap(), Some(Number { value: 10 }));
    doubling.close_send();
    assert_eq!(doubling.recv().await.unwrap(), None);
}

struct Hidden;

#[handler(name = "Greeter", crate = "crate::codegen")]
impl Hidden {
    async fn greet(&self, _: Context, _: Number) -> Result<Number> {
        Ok(Number { value: 1 })
    }
}

// features: B4, C8
#[test]
fn endpoints_have_the_given_name_and_the_shapes_of_their_types() {
    let records: Vec<_> = Hidden.endpoints().iter().map(micro_rpc::Endpoint::record).collect();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].name, "Greeter.Greet");
    assert_eq!(records[0].request.as_ref().unwrap().values[0].kind, "uint64");
}
