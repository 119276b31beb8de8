//! Services: the generated handler trait, server and client, over real connections.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro_core::codec::Format;
use micro_core::codec::well_known::{Empty, StringValue};
use micro_core::registry::{Memory, Node, Registry as _, Service};
use micro_core::selector::{Candidates, Choice, Selector};
use micro_core::{Context, Error, Kind, Result};
use micro_rpc::codegen::Endpoints;
use micro_rpc::{Client, Receiver, Running, Sender, Server, ServerOptions};

use crate::kinds::calls::{
    Awkward, AwkwardClient, AwkwardServer, Calculator, CalculatorClient, CalculatorServer, FILE_DESCRIPTOR_SET, Number,
};
use crate::kinds::kinds::money::Money;

struct Handler;

impl Calculator for Handler {
    async fn increment(&self, ctx: Context, request: Number) -> Result<Number> {
        assert_eq!(ctx.endpoint(), Some("Calculator.Increment"));
        let value = request.value.checked_add(1).ok_or_else(|| Error::bad_request("calc", "too large"))?;
        Ok(Number { value })
    }

    async fn count_to(&self, _: Context, request: Number, responses: Sender<Number>) -> Result<()> {
        for value in 1..=request.value {
            responses.send(Number { value }).await?;
        }
        Ok(())
    }

    async fn sum(&self, _: Context, mut requests: Receiver<Number>) -> Result<Number> {
        let mut value = 0;
        while let Some(number) = requests.recv().await? {
            value += number.value;
        }
        Ok(Number { value })
    }

    async fn square(&self, _: Context, mut requests: Receiver<Number>, responses: Sender<Number>) -> Result<()> {
        while let Some(number) = requests.recv().await? {
            responses.send(Number { value: number.value * number.value }).await?;
        }
        Ok(())
    }

    async fn reset(&self, _: Context, _: Empty) -> Result<Empty> {
        Ok(Empty {})
    }

    async fn price(&self, _: Context, request: StringValue) -> Result<Money> {
        Ok(Money { units: i64::try_from(request.value.len()).unwrap_or_default(), ..Money::default() })
    }
}

impl Awkward for Handler {
    async fn new_(&self, _: Context, request: Number) -> Result<Number> {
        Ok(request)
    }

    async fn clone_(&self, _: Context, request: Number) -> Result<Number> {
        Ok(request)
    }

    async fn r#type(&self, _: Context, request: Number) -> Result<Number> {
        Ok(request)
    }

    async fn r#async(&self, _: Context, request: Number) -> Result<Number> {
        Ok(request)
    }
}

async fn serve() -> (Running, String) {
    let handler = Arc::new(Handler);
    let mut server = Server::new(ServerOptions::new("calls").address("127.0.0.1:0"));
    server.handle(CalculatorServer::shared(Arc::clone(&handler)));
    server.handle(AwkwardServer::shared(handler));
    let running = server.start().await.unwrap();
    let address = running.address().to_string();
    (running, address)
}

// features: B1, B3
#[tokio::test]
async fn a_typed_call_reaches_the_method_and_its_error_comes_back() {
    let (_running, address) = serve().await;
    let calculator = CalculatorClient::new("calls", &Client::builder().build());
    for format in [Format::Protobuf, Format::Json] {
        let call = calculator.increment(&Number { value: 41 }).address(address.as_str()).content_type(format);
        assert_eq!(call.await.unwrap().value, 42);
    }
    let error = calculator.increment(&Number { value: i64::MAX }).address(address.as_str()).await.unwrap_err();
    assert_eq!((error.kind(), error.detail()), (Kind::InvalidArgument, "too large"));
}

// features: B2, B3
#[tokio::test]
async fn streams_are_typed_either_way() {
    let (_running, address) = serve().await;
    let calculator = CalculatorClient::new("calls", &Client::builder().build());

    let mut numbers = calculator.count_to(&Number { value: 3 }).address(address.as_str()).await.unwrap();
    let mut seen = Vec::new();
    while let Some(number) = numbers.recv().await.unwrap() {
        seen.push(number.value);
    }
    assert_eq!(seen, [1, 2, 3]);

    let sum = calculator.sum().address(address.as_str()).await.unwrap();
    for value in 1..=4 {
        sum.send(&Number { value }).await.unwrap();
    }
    assert_eq!(sum.finish().await.unwrap().value, 10);

    let mut squares = calculator.square().address(address.as_str()).await.unwrap();
    for value in [3, -4] {
        squares.send(&Number { value }).await.unwrap();
        assert_eq!(squares.recv().await.unwrap().unwrap().value, value * value);
    }
    squares.close_send();
    assert!(squares.recv().await.unwrap().is_none());
}

#[tokio::test]
async fn a_typed_call_says_what_it_is_about_and_the_selector_hears_it() {
    #[derive(Debug, Default)]
    struct Keys(Mutex<Vec<Option<u64>>>);
    impl Selector for Keys {
        fn name(&self) -> &'static str {
            "keys"
        }

        fn select(&self, _: &Candidates, choice: &Choice<'_>) -> Option<usize> {
            self.0.lock().unwrap().push(choice.key());
            Some(0)
        }
    }
    let (_running, address) = serve().await;
    let (registry, keys) = (Arc::new(Memory::new()), Arc::new(Keys::default()));
    let record = Service::new("calls", "1").node(Node::new("calls-1", address.as_str()));
    registry.register(&record, Duration::from_secs(90)).await.unwrap();
    let client = Client::builder().registry(registry).selector(keys.clone()).build();
    let calculator = CalculatorClient::new("calls", &client);
    calculator.increment(&Number { value: 1 }).key("user-7").await.unwrap();
    drop(calculator.square().key(b"user-7").await.unwrap());
    calculator.increment(&Number { value: 1 }).await.unwrap();
    let key = Some(Choice::hash("user-7"));
    assert_eq!(*keys.0.lock().unwrap(), [key, key, None]);
}

#[tokio::test]
async fn well_known_types_and_those_of_another_package_are_requests_and_responses() {
    let (_running, address) = serve().await;
    let calculator = CalculatorClient::new("calls", &Client::builder().build());
    assert_eq!(calculator.reset(&Empty {}).address(address.as_str()).await.unwrap(), Empty {});
    let price = calculator.price(&StringValue::from("tea".to_owned())).address(address.as_str()).await.unwrap();
    assert_eq!(price.units, 3);
}

#[tokio::test]
async fn rpcs_called_as_rusts_own_methods_keep_their_names_on_the_wire() {
    let (_running, address) = serve().await;
    let client = Client::builder().build();
    let awkward = AwkwardClient::new("calls", &client);
    let number = Number { value: 5 };
    assert_eq!(awkward.new_(&number).address(address.as_str()).await.unwrap(), number);
    assert_eq!(awkward.clone_(&number).address(address.as_str()).await.unwrap(), number);
    assert_eq!(awkward.clone().r#type(&number).address(address.as_str()).await.unwrap(), number);
    let by_name: Number = client.call("calls", "Awkward.Async", &number).address(address.as_str()).await.unwrap();
    assert_eq!(by_name, number);
}

// features: C8
#[test]
fn endpoints_are_described_and_carry_the_descriptors() {
    let server = CalculatorServer::new(Handler);
    assert_eq!(server.descriptor(), Some(FILE_DESCRIPTOR_SET));
    let records: Vec<_> = server.endpoints().iter().map(micro_rpc::Endpoint::record).collect();
    assert_eq!(records[0].name, "Calculator.Increment");
    let request = records[0].request.as_ref().unwrap();
    assert_eq!((request.kind.as_str(), request.values[0].kind.as_str()), ("Number", "int64"));
    assert_eq!(records[1].metadata.get("stream").map(String::as_str), Some("true"));
}

#[tokio::test]
async fn one_method_of_a_generated_server_is_limited_by_its_name() {
    let options = ServerOptions::new("calls").address("127.0.0.1:0").endpoint_limit("Calculator.Increment", 0);
    let mut server = Server::new(options);
    server.handle(CalculatorServer::new(Handler));
    let running = server.start().await.unwrap();
    let client = Client::builder().build();
    let (request, address) = (Number { value: 1 }, running.address().to_string());
    let client = CalculatorClient::new("calls", &client);
    let refused = client.increment(&request).address(address.as_str()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::ResourceExhausted, 429), "{refused}");
    client.reset(&Empty {}).address(address.as_str()).await.unwrap();
}
