//! The JSON of messages: the one JSON rule, field by field.
#![allow(clippy::needless_pass_by_value, reason = "`json!` at the call reads better")]

use std::collections::HashMap;

use bytes::BytesMut;
use micro_core::codec::well_known::{self, Duration, Empty, FieldMask, NullValue, Struct, Timestamp};
use micro_core::codec::{Format, Payload, json};
use proptest::prelude::*;
use serde_json::json;

use crate::kinds::kinds::money::Currency;
use crate::kinds::kinds::v1::{
    Abroad, Choices, Clash, Colour, Lists, Optionals, Scalars, Type, WellKnown, choices, clash, lists, r#type,
};

fn written<T: Payload>(message: &T) -> serde_json::Value {
    let mut body = BytesMut::new();
    message.encode(Format::Json, &mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn read<T: Payload>(body: serde_json::Value) -> T {
    try_read(body).unwrap()
}

fn try_read<T: Payload>(body: serde_json::Value) -> Result<T, String> {
    T::decode(Format::Json, body.to_string().into()).map_err(|error| error.to_string())
}

// features: B5, B14
#[test]
fn the_protos_names_zero_values_and_wide_integers_as_text_are_written() {
    assert_eq!(
        written(&Scalars::default()),
        json!({
            "double_value": 0.0, "float_value": 0.0, "int32_value": 0, "int64_value": "0", "uint32_value": 0,
            "uint64_value": "0", "sint32_value": 0, "sint64_value": "0", "fixed32_value": 0, "fixed64_value": "0",
            "sfixed32_value": 0, "sfixed64_value": "0", "bool_value": false, "string_value": "", "bytes_value": "",
            "colour_value": "COLOUR_UNSPECIFIED", "renamed": "", "old": ""
        })
    );
}

#[test]
fn both_spellings_of_a_name_are_read() {
    let snake: Scalars = read(json!({"int64_value": "5", "string_value": "x", "renamed": "y"}));
    let camel: Scalars = read(json!({"int64Value": 5, "stringValue": "x", "otherName": "y"}));
    assert_eq!(snake, camel);
    assert_eq!((snake.int64_value, snake.renamed.as_str()), (5, "y"));
}

#[test]
fn every_number_is_read_as_a_number_and_as_text() {
    let message: Scalars = read(json!({
        "double_value": "1.5", "float_value": "NaN", "int32_value": "-7", "int64_value": 9_007_199_254_740_993_i64,
        "uint32_value": 7.0, "uint64_value": "18446744073709551615", "sint32_value": 1e2, "fixed64_value": "1e3"
    }));
    assert_eq!(message.double_value.to_bits(), 1.5_f64.to_bits());
    assert!(message.float_value.is_nan());
    assert_eq!((message.int32_value, message.int64_value), (-7, 9_007_199_254_740_993));
    assert_eq!((message.uint32_value, message.uint64_value), (7, u64::MAX));
    assert_eq!((message.sint32_value, message.fixed64_value), (100, 1_000));
}

#[test]
fn what_is_no_such_number_is_refused_with_the_place() {
    for (body, text) in [
        (json!({"int32_value": 2_147_483_648_i64}), "2147483648 is not an integer of 32 bits"),
        (json!({"uint32_value": -1}), "-1 is not an unsigned integer of 32 bits"),
        (json!({"int64_value": 1.5}), "1.5 is not an integer of 64 bits"),
        (json!({"int64_value": "five"}), "\"five\" is not an integer of 64 bits"),
        (json!({"double_value": "inf"}), "\"inf\" is not a number"),
    ] {
        let error = try_read::<Scalars>(body).unwrap_err();
        assert!(error.contains(text) && error.contains("line 1 column") && error.contains("Scalars"), "{error}");
    }
}

#[test]
fn what_is_no_number_in_json_is_text() {
    let message = Scalars { double_value: f64::NEG_INFINITY, float_value: f32::NAN, ..Default::default() };
    let body = written(&message);
    assert_eq!((&body["double_value"], &body["float_value"]), (&json!("-Infinity"), &json!("NaN")));
    assert!(read::<Scalars>(body).double_value == f64::NEG_INFINITY);
}

#[test]
fn an_enum_is_its_first_name_and_a_number_of_a_newer_program_passes() {
    let body = |value| written(&Scalars { colour_value: value, ..Default::default() })["colour_value"].clone();
    assert_eq!(body(Colour::Red as i32), json!("COLOUR_RED"));
    assert_eq!(body(-2), json!("COLOUR_BLUE"));
    assert_eq!(body(99), json!(99));
    let colour = |value: serde_json::Value| read::<Scalars>(json!({"colour_value": value})).colour_value;
    assert_eq!((colour(json!("COLOUR_CRIMSON")), colour(json!(99)), colour(json!(-2))), (1, 99, -2));
    let error = try_read::<Scalars>(json!({"colour_value": "PINK"})).unwrap_err();
    assert!(error.contains("\"PINK\" is no name of the enum kinds.v1.Colour"), "{error}");
}

#[test]
fn an_enum_by_itself_is_its_name_too() {
    assert_eq!(serde_json::to_value(Colour::Blue).unwrap(), json!("COLOUR_BLUE"));
    assert_eq!(serde_json::from_value::<Colour>(json!("COLOUR_BLUE")).unwrap(), Colour::Blue);
}

#[test]
fn bytes_are_base64_and_every_alphabet_is_read() {
    let bytes = vec![0xfb, 0xff, 0x01, 0x02];
    let message = Scalars { bytes_value: bytes.clone(), ..Default::default() };
    assert_eq!(written(&message)["bytes_value"], json!("+/8BAg=="));
    for text in ["+/8BAg==", "-_8BAg==", "-_8BAg", "+/8BAg"] {
        assert_eq!(read::<Scalars>(json!({"bytes_value": text})).bytes_value, bytes);
    }
    assert!(try_read::<Scalars>(json!({"bytes_value": "***"})).is_err());
}

#[test]
fn what_is_absent_stays_absent_and_zero_stays_zero() {
    assert_eq!(written(&Optionals::default()), json!({}));
    let zero = Optionals { number: Some(0), wide: Some(0), text: Some(String::new()), ..Default::default() };
    assert_eq!(written(&zero), json!({"number": 0, "wide": "0", "text": ""}));
    assert_eq!(read::<Optionals>(written(&zero)), zero);
}

#[test]
fn null_is_an_absent_field_of_any_type() {
    assert_eq!(
        read::<Scalars>(json!({"string_value": null, "int64_value": null, "colour_value": null, "bytes_value": null})),
        Scalars::default()
    );
    assert_eq!(read::<Lists>(json!({"wides": null, "by_text": null})), Lists::default());
    assert_eq!(read::<Optionals>(json!({"message": null, "number": null})), Optionals::default());
    assert_eq!(read::<Choices>(json!({"text": null, "wide": 3})).choice, Some(choices::Choice::Wide(3)));
}

#[test]
fn an_empty_body_and_null_are_an_empty_message() {
    for body in ["", "null", "{}"] {
        assert_eq!(<Scalars as Payload>::decode(Format::Json, body.into()).unwrap(), Scalars::default());
    }
}

#[test]
fn lists_and_maps_hold_every_kind() {
    let inner = lists::Inner {
        name: "outer".into(),
        next: Some(Box::new(lists::Inner::default())),
        deepest: Some(lists::inner::deep::Deepest { depth: 3 }),
    };
    let message = Lists {
        wides: vec![1, -2],
        texts: vec!["a".into()],
        blobs: vec![vec![1]],
        colours: vec![1, 99],
        inners: vec![inner.clone()],
        by_text: HashMap::from([("k".into(), 5)]),
        by_wide: HashMap::from([(-5, inner)]),
        by_truth: HashMap::from([(true, 1)]),
        by_number: HashMap::from([(7, vec![2])]),
    };
    let inner = json!({"name": "outer", "next": {"name": ""}, "deepest": {"depth": "3"}});
    let body = json!({
        "wides": ["1", "-2"], "texts": ["a"], "blobs": ["AQ=="], "colours": ["COLOUR_RED", 99], "inners": [inner],
        "by_text": {"k": "5"}, "by_wide": {"-5": inner}, "by_truth": {"true": "COLOUR_RED"}, "by_number": {"7": "Ag=="}
    });
    assert_eq!(written(&message), body);
    assert_eq!(read::<Lists>(body), message);
}

#[test]
fn empty_lists_and_maps_are_written() {
    let body = written(&Lists::default());
    assert_eq!((&body["wides"], &body["by_text"]), (&json!([]), &json!({})));
}

#[test]
fn a_oneof_is_its_member_and_two_members_are_refused() {
    let message = Choices { choice: Some(choices::Choice::Wide(5)), ..Default::default() };
    assert_eq!(written(&message), json!({"before": "", "wide": "5", "after": ""}));
    for choice in [
        choices::Choice::Text("t".into()),
        choices::Choice::Inner(lists::Inner::default()),
        choices::Choice::Colour(1),
        choices::Choice::Blob(vec![1, 2]),
        choices::Choice::Nothing(NullValue::NullValue as i32),
    ] {
        let message = Choices { choice: Some(choice), ..Default::default() };
        assert_eq!(read::<Choices>(written(&message)), message);
    }
    let error = try_read::<Choices>(json!({"text": "t", "wide": 5})).unwrap_err();
    assert!(error.contains("two members of the oneof choice"), "{error}");
}

#[test]
fn a_oneof_that_is_called_as_a_nested_type_works() {
    let message = Clash { kind: Some(clash::KindOneOf::B("x".into())) };
    assert_eq!(written(&message), json!({"b": "x"}));
    assert_eq!(read::<Clash>(json!({"a": {}})).kind, Some(clash::KindOneOf::A(clash::Kind {})));
}

#[test]
fn rusts_own_words_keep_their_names_on_the_wire() {
    let message = Type {
        r#type: "t".into(),
        self_: "s".into(),
        r#async: "a".into(),
        r#fn: "f".into(),
        r#match: Some(r#type::Match { r#where: "w".into() }),
        r#in: Some(r#type::In::Crate("c".into())),
    };
    let body = json!({"type": "t", "self": "s", "async": "a", "fn": "f", "match": {"where": "w"}, "crate": "c"});
    assert_eq!(written(&message), body);
    assert_eq!(read::<Type>(body), message);
}

#[test]
fn well_known_types_have_protobufs_own_form() {
    let body = json!({
        "timestamp": "2013-01-01T10:00:00.500Z", "duration": "-1.500s", "empty": {},
        "struct": {"a": [1, "x", null, true, {"b": 1.5}]}, "value": null, "list": [1],
        "any": {"@type": "type.googleapis.com/kinds.v1.Vec", "value": "AQ=="}, "mask": "userName,photo",
        "wide": "5", "text": "t", "blob": "AQ==", "truth": false, "double": 1.5, "values": [null, 1], "null": null
    });
    let message: WellKnown = read(body.clone());
    assert_eq!(message.timestamp, Some(Timestamp { seconds: 1_357_034_400, nanos: 500_000_000 }));
    assert_eq!(message.duration, Some(Duration { seconds: -1, nanos: -500_000_000 }));
    assert_eq!(message.empty, Some(Empty {}));
    assert_eq!(message.mask, Some(FieldMask { paths: vec!["user_name".into(), "photo".into()] }));
    assert_eq!(message.wide.map(i64::from), Some(5));
    assert_eq!(message.value.as_ref().unwrap().kind, Some(well_known::value::Kind::NullValue(0)));
    assert_eq!(written(&message), body);
    let structure = Struct::from_iter([("n", 1.5)]);
    assert_eq!(written(&structure), json!({"n": 1.5}));
}

#[test]
fn a_type_of_another_package_is_read_and_written() {
    let message: Abroad =
        read(json!({"price": {"units": "3", "currency": "CURRENCY_EUR"}, "currency": 1, "part": {"cents": 5}}));
    assert_eq!(message.currency, Currency::Eur as i32);
    assert_eq!(written(&message)["price"], json!({"units": "3", "currency": "CURRENCY_EUR"}));
}

#[test]
fn unknown_fields_are_ignored_and_refused_by_option() {
    let body = r#"{"string_value":"x","new_field":{"a":[1,2]},"int64_value":"5"}"#;
    assert_eq!(<Scalars as Payload>::decode(Format::Json, body.into()).unwrap().int64_value, 5);
    let error = json::decode_strict::<Scalars>(body.into()).unwrap_err().to_string();
    assert!(error.contains("unknown field \"new_field\"") && error.contains("line 1 column"), "{error}");
    assert_eq!(json::decode_strict::<Scalars>(r#"{"stringValue":"x"}"#.into()).unwrap().string_value, "x");
}

#[test]
fn a_body_nested_too_deep_is_an_error_and_no_crash() {
    let deep = format!("{}{}{}", r#"{"next":"#.repeat(10_000), "{}", "}".repeat(10_000));
    let error = <lists::Inner as Payload>::decode(Format::Json, deep.into()).unwrap_err();
    assert!(error.to_string().contains("recursion limit"), "{error}");
    let unknown = format!(r#"{{"x":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    // An unknown field is skipped without recursion, however deep it goes.
    assert!(<Scalars as Payload>::decode(Format::Json, unknown.into()).is_ok());
}

prop_compose! {
    fn scalars()(
        double_value in any::<f64>(), float_value in any::<f32>(), int32_value in any::<i32>(),
        int64_value in any::<i64>(), uint32_value in any::<u32>(), uint64_value in any::<u64>(),
        bool_value in any::<bool>(), string_value in any::<String>(), bytes_value in any::<Vec<u8>>(),
        colour_value in any::<i32>(),
    ) -> Scalars {
        Scalars {
            double_value, float_value, int32_value, int64_value, uint32_value, uint64_value, bool_value, string_value,
            bytes_value, colour_value, ..Default::default()
        }
    }
}

proptest! {
    #[test]
    fn every_message_is_read_back_as_it_was(
        message in scalars(),
        wides in any::<Vec<i64>>(),
        by_text in any::<HashMap<String, i64>>(),
    ) {
        prop_assert_eq!(&read::<Scalars>(written(&message)), &message);
        let optionals = Optionals { message: Some(message), wide: wides.first().copied(), ..Default::default() };
        prop_assert_eq!(&read::<Optionals>(written(&optionals)), &optionals);
        let lists = Lists { wides, by_text, ..Default::default() };
        prop_assert_eq!(read::<Lists>(written(&lists)), lists);
    }

    #[test]
    fn no_body_makes_it_panic(body in any::<Vec<u8>>()) {
        for format in [Format::Json, Format::Protobuf] {
            let _ = <WellKnown as Payload>::decode(format, body.clone().into());
        }
    }
}
