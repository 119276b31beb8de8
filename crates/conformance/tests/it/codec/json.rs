//! JSON of serde types: plain, read strictly, and with a place for what is unknown; and of a message of a .proto.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use micro_conformance::codec::{Fields, Sample, Unknown};
use micro_core::Result;
use micro_core::codec::{self, Format, Payload};
use micro_macros::Payload;
use serde::{Deserialize, Serialize};

use super::{Of, form_of_sample, written};

/// A type with the fields of a [`Sample`], and more.
macro_rules! form {
    ($(#[$of:meta])* $form:ident { $($(#[$of_field:meta])* $more:ident: $type:ty)? }) => {
        $(#[$of])*
        #[derive(Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub(crate) struct $form {
            truth: bool,
            small: i32,
            wide: i64,
            positive: u32,
            huge: u64,
            narrow: f32,
            float: f64,
            text: String,
            data: Vec<u8>,
            list: Vec<i64>,
            inner: Option<Box<$form>>,
            many: Vec<$form>,
            $($(#[$of_field])* $more: $type,)?
        }

        form_of_sample!($form $($more)?);
    };
}

form!(
    #[derive(Payload)]
    #[payload(crate = "super::codegen")]
    Plain {}
);
form!(#[derive(Payload)] #[payload(crate = "super::codegen")] Keeping { #[serde(flatten)] rest: BTreeMap<String, String> });
form!(Strict {});

impl Payload for Strict {
    const FORMATS: &'static [Format] = &[Format::Json];

    fn encode(&self, format: Format, buffer: &mut BytesMut) -> Result<()> {
        match format {
            Format::Json => codec::json::encode(self, buffer),
            _ => Err(codec::no_such_format::<Self>(format)),
        }
    }

    fn decode(format: Format, body: Bytes) -> Result<Self> {
        match format {
            Format::Json => codec::json::decode_strict(body),
            _ => Err(codec::no_such_format::<Self>(format)),
        }
    }
}

/// What JSON is for a type of these.
#[derive(Debug)]
pub(crate) struct Json<T> {
    unknown: Unknown,
    form: PhantomData<fn() -> T>,
}

impl<T: fmt::Debug + Payload + From<Sample>> Fields for Json<T> {
    fn unknown(&self) -> Unknown {
        self.unknown
    }

    fn newer(&self, sample: &Sample, value: &str) -> Result<(Bytes, &'static str)> {
        let body = written(&T::from(sample.clone()), Format::Json)?;
        let inside = body.strip_prefix(b"{").unwrap_or_default();
        Ok(([format!(r#"{{"note":"{value}","#).as_bytes(), inside].concat().into(), "note"))
    }

    fn pass_on(&self, body: Bytes) -> Result<Bytes> {
        written(&T::decode(Format::Json, body)?, Format::Json)
    }

    fn deep(&self, levels: usize) -> Vec<Bytes> {
        let known = (r#"{"inner":"#.repeat(levels), "null".to_owned(), "}".repeat(levels));
        // An object and an array are two levels.
        let many = (r#"{"many":["#.repeat(levels / 2), String::new(), "]}".repeat(levels / 2));
        [known, many].map(|(open, middle, close)| (open + &middle + &close).into()).into()
    }

    fn deep_unknown(&self, levels: usize) -> Vec<Bytes> {
        // Elsewhere it is refused whatever is in it, or is to be a text.
        if self.unknown != Unknown::Ignored {
            return Vec::new();
        }
        let array = format!(r#"{{"note":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let object = format!("{}null{}", r#"{"note":"#.repeat(levels), "}".repeat(levels));
        vec![array.into(), object.into()]
    }

    fn announcing(&self, size: u32) -> Vec<Bytes> {
        let bodies = [
            format!(r#"{{"wide":1e{size}}}"#),
            format!(r#"{{"wide":"1e{size}"}}"#),
            format!(r#"{{"huge":"-1e{size}"}}"#),
            format!(r#"{{"float":1e{size}}}"#),
            format!(r#"{{"float":"1e{size}"}}"#),
            format!(r#"{{"narrow":"1e{size}"}}"#),
            format!(r#"{{"list":["1.5e{size}"]}}"#),
        ];
        bodies.map(Bytes::from).into()
    }
}

fn codec<T>(name: &'static str, fields: &'static dyn Fields) -> Of<T> {
    Of {
        name,
        format: Format::Json,
        content_types: &["application/json", "application/grpc+json"],
        fields: Some(fields),
        form: PhantomData,
    }
}

pub(crate) mod plain {
    use super::*;

    const FIELDS: &Json<Plain> = &Json { unknown: Unknown::Ignored, form: PhantomData };

    /// What the broken ones are made of.
    pub(crate) fn plain() -> Of<Plain> {
        codec::<Plain>("codec-json", FIELDS)
    }

    micro_conformance::codec_cases!(plain());
}

pub(crate) mod strict {
    use super::*;

    const FIELDS: &Json<Strict> = &Json { unknown: Unknown::Refused, form: PhantomData };

    pub(crate) fn strict() -> Of<Strict> {
        codec::<Strict>("codec-json-strict", FIELDS)
    }

    micro_conformance::codec_cases!(strict());
}

mod message {
    use super::*;
    use crate::codec::protobuf::Message;

    const FIELDS: &Json<Message> = &Json { unknown: Unknown::Ignored, form: PhantomData };

    micro_conformance::codec_cases!(codec::<Message>("codec-json-message", FIELDS));
}

mod keeping {
    use super::*;

    const FIELDS: &Json<Keeping> = &Json { unknown: Unknown::Kept, form: PhantomData };

    micro_conformance::codec_cases!(codec::<Keeping>("codec-json-flattened", FIELDS));
}
