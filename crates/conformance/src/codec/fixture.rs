use std::fmt;

use bytes::Bytes;
use micro_core::Result;

use super::Sample;

/// What the suite needs of a codec.
pub trait Fixture: fmt::Debug + Send + Sync + 'static {
    /// Returns the codec's name, as it stands in the report: `codec-json`.
    fn name(&self) -> &'static str;

    /// Returns the content types that are the codec's: the first is the one that it writes.
    fn content_types(&self) -> &'static [&'static str];

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// Those of the codec. [`Kind::UnsupportedContentType`](micro_core::Kind::UnsupportedContentType) for a value with
    /// fields, where the codec has none.
    fn encode(&self, sample: &Sample) -> Result<Encoded>;

    /// Reads a body by its content type, as it is read when it comes from elsewhere.
    ///
    /// # Errors
    ///
    /// Those of the codec.
    fn decode(&self, content_type: &str, body: Bytes) -> Result<Sample>;

    /// Returns what the codec has if its bodies have fields; `None` if they are bytes alone.
    fn fields(&self) -> Option<&dyn Fields>;

    /// Does some work on this thread, and returns how many bytes were asked of the allocator meanwhile, in all. `None`,
    /// with the work not done, where the program does not count.
    fn allocated(&self, work: &mut dyn FnMut()) -> Option<u64> {
        let _ = work;
        None
    }
}

/// What a codec writes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "both fields say it")]
pub struct Encoded {
    pub content_type: String,
    pub body: Bytes,
}

/// What becomes of a field that a program does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is passed over, and gone when the value is written again.
    Ignored,
    /// It stands there again when the value is written again.
    Kept,
    /// The body is refused, with an error that names the field.
    Refused,
}

/// A codec whose bodies have fields.
pub trait Fields: fmt::Debug + Send + Sync {
    /// Returns what becomes of unknown fields.
    fn unknown(&self) -> Unknown;

    /// Writes a value as a newer program does, whose type has one field more: a text, with the name that is returned
    /// (its number, where a form has no names), and this value.
    ///
    /// # Errors
    ///
    /// Those of the codec.
    fn newer(&self, sample: &Sample, value: &str) -> Result<(Bytes, &'static str)>;

    /// Reads a body, and writes again what was read.
    ///
    /// # Errors
    ///
    /// Those of the codec.
    fn pass_on(&self, body: Bytes) -> Result<Bytes>;

    /// Tells whether the sign of a zero is kept. Default yes; where not, minus zero is read as zero.
    fn minus_zero(&self) -> bool {
        true
    }

    /// Writes bodies whose values lie in each other so many times, by hand, one for each way that the form has: in a
    /// field, in a list.
    fn deep(&self, levels: usize) -> Vec<Bytes>;

    /// Writes bodies with an unknown field whose values lie in each other so many times. None where a field that is
    /// unknown cannot hold such a thing, or is refused anyway.
    fn deep_unknown(&self, levels: usize) -> Vec<Bytes>;

    /// Writes bodies that announce so much and do not have it, by hand, one for each way that the form has: a length, a
    /// count, an exponent.
    fn announcing(&self, size: u32) -> Vec<Bytes>;
}
