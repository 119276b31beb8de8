use std::time::{Duration as Span, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::codec::json;

fn written<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn a_timestamp_has_as_many_digits_as_it_needs() {
    for (nanos, text) in [
        (0, "2013-01-01T10:00:00Z"),
        (500_000_000, "2013-01-01T10:00:00.500Z"),
        (500, "2013-01-01T10:00:00.000000500Z"),
        (1_000, "2013-01-01T10:00:00.000001Z"),
    ] {
        let moment = Timestamp { seconds: 1_357_034_400, nanos };
        assert_eq!(moment.to_string(), text);
        assert_eq!(text.parse::<Timestamp>().unwrap(), moment);
    }
}

#[test]
fn timestamps_reach_from_the_year_1_to_9999_and_know_leap_years() {
    let seconds = |text: &str| text.parse::<Timestamp>().map(|moment| moment.seconds).ok();
    assert_eq!(seconds("0001-01-01T00:00:00Z"), Some(-62_135_596_800));
    assert_eq!(seconds("9999-12-31T23:59:59Z"), Some(253_402_300_799));
    assert_eq!(seconds("1969-12-31T23:59:59Z"), Some(-1));
    assert_eq!(seconds("2000-02-29T00:00:00+01:30"), Some(951_782_400 - 5_400));
    for wrong in [
        "2001-02-29T00:00:00Z",
        "2013-13-01T00:00:00Z",
        "2013-01-01T24:00:00Z",
        "2013-01-01T10:00:00",
        "2013-01-01 T10:00:00Z",
        "2013-01-01T10:00:00.Z",
        "2013-01-01T10:00:00.0000000001Z",
        "2013-01-01T10:00:00é0:00",
        "0001-01-01T00:00:00+01:00",
        "now",
        "",
    ] {
        assert_eq!(seconds(wrong), None, "{wrong}");
    }
}

#[test]
fn an_impossible_timestamp_is_no_json() {
    assert!(serde_json::to_string(&Timestamp { seconds: 0, nanos: -1 }).is_err());
    assert!(serde_json::to_string(&Timestamp { seconds: i64::MAX, nanos: 0 }).is_err());
    assert!(SystemTime::try_from(Timestamp { seconds: i64::MAX, nanos: -1 }).is_err());
}

#[test]
fn a_time_before_1970_keeps_its_nanoseconds() {
    let time = UNIX_EPOCH - Span::from_millis(1_500);
    let moment = Timestamp::from(time);
    assert_eq!(moment, Timestamp { seconds: -2, nanos: 500_000_000 });
    assert_eq!(SystemTime::try_from(moment).unwrap(), time);
}

#[test]
fn a_duration_is_seconds_with_an_s() {
    for (text, seconds, nanos) in
        [("3s", 3, 0), ("-0.500s", 0, -500_000_000), ("1.000000001s", 1, 1), ("-1.500s", -1, -500_000_000)]
    {
        let span = Duration { seconds, nanos };
        assert_eq!(written(&span), format!("{text:?}"));
        assert_eq!(text.parse::<Duration>().unwrap(), span);
    }
    for wrong in ["1", "s", "1.s", "--1s", "1.5", "+1s", "315576000001s"] {
        assert!(wrong.parse::<Duration>().is_err(), "{wrong}");
    }
    assert!(Span::try_from(Duration { seconds: -1, nanos: 0 }).is_err());
}

#[test]
fn a_value_holds_any_json() {
    let text = r#"{"a":[1,-2.5,"x",null,true,{}],"b":1e300}"#;
    let structure: Struct = json::decode(text.into()).unwrap();
    assert_eq!(written(&structure), r#"{"a":[1,-2.5,"x",null,true,{}],"b":1e+300}"#);
    assert!(serde_json::to_string(&Value::from(f64::NAN)).is_err());
}

#[test]
fn wrappers_are_the_bare_value() {
    assert_eq!(written(&Int64Value::from(5)), r#""5""#);
    assert_eq!(written(&UInt32Value::from(5)), "5");
    assert_eq!(written(&StringValue::from("x".to_owned())), r#""x""#);
    assert_eq!(written(&BytesValue::from(Bytes::from_static(b"\x01"))), r#""AQ==""#);
    assert_eq!(serde_json::from_str::<FloatValue>(r#""NaN""#).unwrap().value.to_bits(), f32::NAN.to_bits());
}

#[test]
fn any_keeps_a_message_as_bytes_and_names_its_type() {
    let any = Any::pack("google.protobuf.Int64Value", &Int64Value::from(5));
    assert_eq!(any.full_name(), "google.protobuf.Int64Value");
    let body = written(&any);
    assert_eq!(body, r#"{"@type":"type.googleapis.com/google.protobuf.Int64Value","value":"CAU="}"#);
    assert_eq!(serde_json::from_str::<Any>(&body).unwrap(), any);
}

proptest! {
    #[test]
    fn every_moment_is_read_back_as_it_was(seconds in -62_135_596_800_i64..=253_402_300_799, nanos in 0..1_000_000_000) {
        let moment = Timestamp { seconds, nanos };
        prop_assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
    }

    #[test]
    fn no_text_makes_a_moment_or_duration_panic(text in "\\PC*|[0-9T:.Z+-]{0,40}|.{19}.{0,10}") {
        let _ = text.parse::<Timestamp>();
        let _ = text.parse::<Duration>();
    }
}
