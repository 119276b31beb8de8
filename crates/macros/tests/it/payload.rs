//! `#[derive(Payload)]`.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use micro_core::Kind;
use micro_core::codec::{Format, Payload};
use micro_core::registry::Value;
use micro_macros::Payload;
use serde::{Deserialize, Serialize};

fn written<T: Payload>(value: &T) -> String {
    let mut body = BytesMut::new();
    value.encode(Format::Json, &mut body).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn read<T: Payload>(body: &str) -> T {
    T::decode(Format::Json, Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize, Payload)]
#[payload(crate = "crate::codegen")]
#[serde(rename_all = "camelCase", default)]
struct Order {
    order_id: u64,
    r#type: String,
    #[serde(rename = "lines")]
    items: Vec<Item>,
    note: Option<String>,
    #[serde(skip)]
    secret: String,
    prices: HashMap<String, f64>,
    parent: Option<Box<Order>>,
    place: Place,
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize, Payload)]
#[payload(crate = "crate::codegen")]
struct Item {
    count: i32,
    inner: Inner,
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize, Payload)]
#[payload(crate = "crate::codegen")]
struct Inner {
    depth: u8,
}

/// A serde type that is no payload.
#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
struct Place {
    street: String,
}

// features: B4, B5
#[test]
fn a_serde_type_is_a_body_by_the_json_rule() {
    let order = Order { order_id: u64::MAX, note: Some("n".into()), ..Order::default() };
    let body = written(&order);
    assert!(body.starts_with(r#"{"orderId":"18446744073709551615","type":"","lines":[],"note":"n""#), "{body}");
    assert_eq!(read::<Order>(&body), order);
    assert_eq!(read::<Order>(r#"{"orderId":7,"unknown":1}"#).order_id, 7);
    assert_eq!(Order::FORMATS, [Format::Json]);
}

#[test]
fn another_format_is_refused_by_name() {
    let error = Order::decode(Format::Protobuf, Bytes::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::UnsupportedContentType);
    assert!(error.to_string().contains("has no proto form; it has: json"), "{error}");
}

// features: C8
#[test]
fn the_description_has_serdes_names_and_gos_words() {
    let field = |name: &str, kind: &str| Value::new(name, kind);
    let item = field("lines", "[]Item").field(field("count", "int32")).field(field("inner", "Inner"));
    let shape = Order::describe();
    assert_eq!((shape.name.as_str(), shape.kind.as_str()), ("Order", "Order"));
    assert_eq!(shape.values[..4], [field("orderId", "uint64"), field("type", "string"), item, field("note", "string")]);
    assert_eq!(shape.values[4], field("prices", ""));
    let parent = &shape.values[5];
    assert_eq!((parent.kind.as_str(), parent.values.len()), ("Order", 7));
    assert!(parent.values.iter().all(|value| value.values.is_empty()), "two levels, also of a type that holds itself");
    assert_eq!(shape.values[6], field("place", "Place"));
    assert_eq!(Item::describe().values[1], field("inner", "Inner").field(field("depth", "uint8")));
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Payload)]
#[payload(crate = "crate::codegen")]
#[serde(tag = "kind")]
enum Event {
    Placed { id: i64, name: String },
    Shipped(Shipped),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Shipped {
    weight: u64,
}

#[test]
fn a_tagged_enum_is_read_back_though_its_text_looks_like_a_number() {
    for event in [Event::Placed { id: 5, name: "12345".into() }, Event::Shipped(Shipped { weight: 9 })] {
        assert_eq!(read::<Event>(&written(&event)), event);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Payload)]
#[payload(crate = "crate::codegen")]
struct Page<T> {
    items: Vec<T>,
    total: u64,
}

#[test]
fn a_generic_type_is_a_body_of_any_serde_type() {
    let page = Page { items: vec![Place { street: "s".into() }], total: 1 };
    assert_eq!(read::<Page<Place>>(&written(&page)), page);
}
