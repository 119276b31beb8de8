use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

fn written<T: Serialize>(value: &T) -> String {
    let mut body = BytesMut::new();
    encode(value, &mut body).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn read<T: DeserializeOwned>(body: &str) -> T {
    decode(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn refused<T: DeserializeOwned>(body: &str) -> String {
    decode::<T>(Bytes::copy_from_slice(body.as_bytes())).map(|_| ()).unwrap_err().to_string()
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Everything {
    tiny: i8,
    small: u16,
    number: i32,
    wide: i64,
    positive: u64,
    huge: i128,
    float: f64,
    narrow: f32,
    truth: bool,
    text: String,
    letter: char,
    list: Vec<i64>,
    pair: (u64, String),
    by_number: BTreeMap<i64, u64>,
    maybe: Option<i64>,
    kind: Kinds,
    wrapped: Wrapped,
    unit: (),
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Wrapped(u64);

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
enum Kinds {
    #[default]
    Unit,
    One(i64),
    Two(i64, String),
    Named {
        id: u64,
    },
}

// features: B14
#[test]
fn wide_integers_are_text_wherever_they_stand_and_narrow_ones_numbers() {
    let value = Everything {
        wide: -1,
        list: vec![1],
        pair: (2, "x".into()),
        by_number: BTreeMap::from([(-5, 3)]),
        maybe: Some(4),
        kind: Kinds::Named { id: 5 },
        wrapped: Wrapped(6),
        letter: 'l',
        ..Everything::default()
    };
    assert_eq!(
        written(&value),
        r#"{"tiny":0,"small":0,"number":0,"wide":"-1","positive":"0","huge":"0","float":0.0,"narrow":0.0,"truth":false,"text":"","letter":"l","list":["1"],"pair":["2","x"],"by_number":{"-5":"3"},"maybe":"4","kind":{"Named":{"id":"5"}},"wrapped":"6","unit":null}"#
    );
    assert_eq!(read::<Everything>(&written(&value)), value);
}

#[test]
fn numbers_are_read_as_numbers_and_as_text() {
    let text: Everything = read(
        r#"{"tiny":"-8","small":"7","number":"5","wide":"9223372036854775807","positive":"18446744073709551615","float":"1.5","narrow":"2","list":["1",2],"pair":["3","4"],"by_number":{"-5":"6"},"maybe":"7","kind":{"Two":["8","9"]},"wrapped":"10"}"#,
    );
    assert_eq!((text.tiny, text.small, text.wide, text.positive), (-8, 7, i64::MAX, u64::MAX));
    assert_eq!((text.list.as_slice(), text.pair), ([1, 2].as_slice(), (3, "4".to_owned())));
    assert_eq!((text.maybe, text.kind, text.wrapped), (Some(7), Kinds::Two(8, "9".into()), Wrapped(10)));
    let numbers: Everything = read(r#"{"tiny":1.0,"wide":1e3,"float":2,"huge":5,"kind":{"One":6}}"#);
    assert_eq!((numbers.tiny, numbers.wide, numbers.huge, numbers.kind), (1, 1_000, 5, Kinds::One(6)));
}

#[test]
fn text_that_looks_like_a_number_stays_text_in_a_text() {
    assert_eq!(read::<Everything>(r#"{"text":"123"}"#).text, "123");
    assert_eq!(read::<HashMap<String, String>>(r#"{"1":"2"}"#)["1"], "2");
}

#[test]
fn what_is_no_number_is_refused_with_the_place() {
    let error = refused::<Everything>(r#"{"wide":"five"}"#);
    assert!(error.contains("invalid type: string \"five\", expected i64 at line 1 column"), "{error}");
    assert!(refused::<Everything>(r#"{"tiny":"300"}"#).contains("expected i8"));
    assert!(refused::<Everything>(r#"{"wide":1.5}"#).contains("expected i64"));
    assert!(refused::<Everything>(r#"{"wide":{}}"#).contains("invalid type: map, expected i64"));
    assert!(refused::<Everything>("{} {}").contains("trailing characters"));
}

#[test]
fn what_json_has_no_number_for_is_text() {
    let value = Everything { float: f64::INFINITY, narrow: f32::NAN, ..Everything::default() };
    assert!(written(&value).contains(r#""float":"Infinity","narrow":"NaN""#));
    let back: Everything = read(&written(&value));
    assert!(back.float == f64::INFINITY && back.narrow.is_nan());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    inner: Inner,
    total: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    id: i64,
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Order { id: i64 },
}

#[test]
fn a_flattened_struct_is_read_back_though_its_text_looks_like_a_number() {
    let value = Flat { inner: Inner { id: 5, name: "12345".into() }, total: 7 };
    assert_eq!(written(&value), r#"{"id":5,"name":"12345","total":7}"#);
    assert_eq!(read::<Flat>(&written(&value)), value);
    assert_eq!(read::<Flat>(r#"{"id":5,"name":"12345","total":"7"}"#), value);
}

#[test]
fn text_reaches_a_number_that_serde_buffers() {
    assert_eq!(read::<Tagged>(r#"{"type":"Order","id":"5"}"#), Tagged::Order { id: 5 });
    assert_eq!(read::<Tagged>(r#"{"type":"Order","id":5}"#), Tagged::Order { id: 5 });
    let error = refused::<Tagged>(r#"{"type":"Order","id":"x"}"#);
    assert!(error.contains("invalid type: string \"x\""), "{error}");
}

#[test]
fn an_empty_body_and_null_are_an_empty_struct_unless_null_means_something() {
    assert_eq!(read::<Everything>(""), Everything::default());
    assert_eq!(read::<Everything>("null"), Everything::default());
    assert_eq!(read::<Option<Vec<i64>>>("null"), None);
    assert_eq!(read::<serde_json::Value>("null"), serde_json::Value::Null);
}

#[test]
fn unknown_fields_are_refused_only_when_strict() {
    let body = Bytes::from_static(br#"{"maybe":1,"list":[],"nwe":{"a":[1]}}"#);
    assert_eq!(decode::<Everything>(body.clone()).unwrap().maybe, Some(1));
    let error = decode_strict::<Everything>(body).unwrap_err();
    assert_eq!(error.kind(), Kind::Decode);
    assert!(error.to_string().contains("unknown field \"nwe\": take it out"), "{error}");
    assert!(decode_strict::<HashMap<String, i64>>(r#"{"any":"1"}"#.into()).is_ok());
}

#[test]
fn what_does_not_encode_leaves_the_buffer_as_it_was() {
    let mut body = BytesMut::from(&b"before"[..]);
    let value = HashMap::from([(vec![1], 1)]);
    let error = encode(&value, &mut body).unwrap_err();
    assert_eq!((error.kind(), &body[..]), (Kind::Encode, &b"before"[..]));
}

#[test]
fn a_body_nested_too_deep_is_an_error_and_no_crash() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refused::<serde_json::Value>(&deep).contains("recursion limit"));
}

proptest! {
    #[test]
    fn every_value_is_read_back_as_it_was(
        wide in any::<i64>(), positive in any::<u64>(), huge in any::<i128>(), float in any::<f64>(),
        narrow in any::<f32>(), text in any::<String>(), letter in any::<char>(), list in any::<Vec<i64>>(),
        by_number in any::<BTreeMap<i64, u64>>(), maybe in any::<Option<i64>>(),
    ) {
        let value = Everything {
            wide, positive, huge, float, narrow, text, letter, list, by_number, maybe, ..Everything::default()
        };
        prop_assert_eq!(read::<Everything>(&written(&value)), value);
    }

    #[test]
    fn no_body_makes_it_panic(body in any::<String>()) {
        let _ = decode::<Everything>(body.clone().into());
        let _ = decode::<Tagged>(body.clone().into());
        let _ = decode_strict::<Flat>(body.into());
    }
}
