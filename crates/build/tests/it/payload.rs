//! Messages as bodies: formats, sizes, descriptions.

use bytes::{Bytes, BytesMut};
use micro_core::Kind;
use micro_core::codec::{Format, Payload};

use crate::kinds::kinds::v1::{Abroad, Choices, Lists, Scalars, choices, lists};
use crate::kinds::legacy::Old;
use crate::kinds::rootless::Rootless;

// features: B5
#[test]
fn a_message_is_read_back_from_both_formats() {
    let message = Choices {
        before: "b".into(),
        choice: Some(choices::Choice::Inner(lists::Inner { name: "n".into(), ..Default::default() })),
        ..Default::default()
    };
    for format in [Format::Protobuf, Format::Json] {
        let mut body = BytesMut::new();
        message.encode(format, &mut body).unwrap();
        assert_eq!(Choices::decode(format, body.freeze()).unwrap(), message);
    }
    assert_eq!(Choices::FORMATS, [Format::Protobuf, Format::Json]);
}

#[test]
fn the_size_is_known_before_writing() {
    let message = Scalars { string_value: "x".repeat(1_000), ..Default::default() };
    let mut body = BytesMut::new();
    Payload::encode(&message, Format::Protobuf, &mut body).unwrap();
    assert_eq!(message.size_hint(Format::Protobuf), body.len());
}

#[test]
fn bytes_is_no_form_of_a_message() {
    let error = <Scalars as Payload>::decode(Format::Bytes, Bytes::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::UnsupportedContentType);
}

// features: C8
#[test]
fn a_description_has_the_fields_in_gos_words_two_levels_deep() {
    let scalars: Vec<_> = Scalars::describe().values.into_iter().map(|value| (value.name, value.kind)).collect();
    let words = |name: &str| scalars.iter().find(|(n, _)| n == name).map(|(_, kind)| kind.as_str());
    assert_eq!(words("double_value"), Some("float64"));
    assert_eq!(words("fixed32_value"), Some("uint32"));
    assert_eq!(words("sint64_value"), Some("int64"));
    assert_eq!(words("bytes_value"), Some("bytes"));
    assert_eq!(words("colour_value"), Some("Colour"));

    let lists = Lists::describe();
    assert_eq!((lists.name.as_str(), lists.kind.as_str()), ("Lists", "Lists"));
    let field = |name: &str| lists.values.iter().find(|value| value.name == name).unwrap();
    assert_eq!(field("wides").kind, "[]int64");
    assert_eq!(field("by_text").kind, "");
    assert_eq!(field("inners").kind, "[]Lists_Inner");
    let inner = &field("inners").values;
    assert_eq!(
        inner.iter().map(|value| value.kind.as_str()).collect::<Vec<_>>(),
        ["string", "Lists_Inner", "Lists_Inner_Deep_Deepest"]
    );
    assert!(inner[1].values.is_empty(), "the third level is not described");

    let abroad = Abroad::describe();
    assert_eq!(abroad.values[0].kind, "Money");
    assert_eq!(abroad.values[0].values[0].kind, "int64");
}

#[test]
fn the_descriptors_come_with_their_imports_and_without_comments() {
    use prost::Message;
    let set = prost_types::FileDescriptorSet::decode(crate::kinds::kinds::v1::FILE_DESCRIPTOR_SET).unwrap();
    let names: Vec<_> = set.file.iter().map(|file| file.name().to_owned()).collect();
    assert_eq!(names.last().map(String::as_str), Some("kinds/v1/kinds.proto"));
    assert!(names.contains(&"kinds/money.proto".to_owned()) && names.contains(&"google/protobuf/any.proto".to_owned()));
    assert!(set.file.iter().all(|file| file.source_code_info.is_none()));
}

#[test]
fn a_package_of_rusts_own_words_has_its_place_in_the_tree() {
    let message = crate::kinds::r#type::r#async::v1::Fn { r#type: "t".into(), r#fn: None };
    let read: crate::kinds::r#type::r#async::v1::Fn = Payload::decode(Format::Json, r#"{"type":"t"}"#.into()).unwrap();
    assert_eq!(read, message);
}

#[test]
fn proto2_has_its_defaults_and_a_file_without_package_its_messages() {
    let old = Old { name: "x".into(), ..Default::default() };
    assert_eq!((old.size(), old.size), (7, None));
    let mut body = BytesMut::new();
    old.encode(Format::Json, &mut body).unwrap();
    assert_eq!(body, r#"{"name":"x","numbers":[],"many":[]}"#);
    let extra: Old = Payload::decode(Format::Json, r#"{"extra":{"weight":"3"},"many":[{"word":"w"}]}"#.into()).unwrap();
    assert_eq!((extra.extra.unwrap().weight, extra.many[0].word.as_str()), (Some(3), "w"));
    let rootless = <Rootless as Payload>::decode(Format::Json, r#"{"leaf":{"size":"5"}}"#.into()).unwrap();
    assert_eq!(rootless.leaf.map(|leaf| leaf.size), Some(5));
}
