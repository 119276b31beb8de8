//! The codec suite on the codecs of the house.

mod allocations;
mod binary;
pub(crate) mod json;
mod protobuf;

use std::fmt;
use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use micro_conformance::codec::{Encoded, Fields, Fixture, Sample};
use micro_core::codec::{Format, Payload};
use micro_core::{Error, Kind, Result};

/// What a derive names.
mod codegen {
    pub(crate) use ::bytes;
    pub(crate) use micro_core as core;
}

/// The codec of a type in a format.
pub(crate) struct Of<T> {
    name: &'static str,
    format: Format,
    content_types: &'static [&'static str],
    fields: Option<&'static dyn Fields>,
    form: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Of<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<T: Payload + From<Sample> + Into<Sample>> Fixture for Of<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn content_types(&self) -> &'static [&'static str] {
        self.content_types
    }

    fn encode(&self, sample: &Sample) -> Result<Encoded> {
        let body = written(&T::from(sample.clone()), self.format)?;
        Ok(Encoded { content_type: self.format.content_type().as_str().to_owned(), body })
    }

    fn decode(&self, content_type: &str, body: Bytes) -> Result<Sample> {
        let format = Format::of_content_type(content_type).ok_or_else(|| {
            Error::new(Kind::UnsupportedContentType, format!("{content_type:?} is no content type of this program"))
        })?;
        T::decode(format, body).map(Into::into)
    }

    fn fields(&self) -> Option<&dyn Fields> {
        self.fields
    }

    fn allocated(&self, work: &mut dyn FnMut()) -> Option<u64> {
        Some(allocations::during(work))
    }
}

fn written<T: Payload>(value: &T, format: Format) -> Result<Bytes> {
    let mut body = BytesMut::new();
    value.encode(format, &mut body)?;
    Ok(body.freeze())
}

/// Writes the ways of a [`Sample`] into a form whose fields have the same names, and back.
macro_rules! form_of_sample {
    ($form:ident $($more:ident)?) => {
        impl From<Sample> for $form {
            fn from(sample: Sample) -> Self {
                Self {
                    truth: sample.truth,
                    small: sample.small,
                    wide: sample.wide,
                    positive: sample.positive,
                    huge: sample.huge,
                    narrow: sample.narrow,
                    float: sample.float,
                    text: sample.text,
                    data: sample.data.into(),
                    list: sample.list,
                    inner: sample.inner.map(|inner| Box::new((*inner).into())),
                    many: sample.many.into_iter().map(Into::into).collect(),
                    $($more: Default::default(),)?
                }
            }
        }

        impl From<$form> for Sample {
            fn from(form: $form) -> Self {
                Self {
                    truth: form.truth,
                    small: form.small,
                    wide: form.wide,
                    positive: form.positive,
                    huge: form.huge,
                    narrow: form.narrow,
                    float: form.float,
                    text: form.text,
                    data: form.data.into(),
                    list: form.list,
                    inner: form.inner.map(|inner| Box::new((*inner).into())),
                    many: form.many.into_iter().map(Into::into).collect(),
                }
            }
        }
    };
}
use form_of_sample;
