use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use micro_conformance::codec::{Encoded, Fields, Fixture, Sample, Unknown};
use micro_core::{Error, Kind, Result};

use crate::codec::json::plain::plain;
use crate::codec::json::strict::strict;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    LosesTheSignOfZero,
    RoundsWideNumbers,
    CutsTextAtZero,
    ReplacesWhatIsNoText,
    EmptyInnerIsNone,
    LosesEmptyOnesInLists,
    NeverWritesTheSameTwice,
    KeepsButSaysIgnored,
    IgnoresButSaysKept,
    RefusesTheUnknown,
    RefusesWithoutAName,
    IgnoresButSaysRefused,
    ReadsTheUnknownAsKnown,
    WritesAnotherContentType,
    ReadsAnyContentType,
    ReadsOneContentTypeOnly,
    MindsTheCase,
    RefusesContentTypesAsDecode,
    PanicsAtTheEnd,
    ReadsWhatIsThere,
    RefusesAsInternal,
    PanicsAtSomeBytes,
    AllocatesByTheFirstByte,
    ReadsThirtyLevels,
    RefusesUnknownLevels,
    ReadsAnyDepth,
    AllocatesWhatIsAnnounced,
    CutsToItsBytes,
    DoesNotCount,
}

/// JSON, with one thing wrong.
#[derive(Debug)]
pub(super) struct Broken {
    inner: Box<dyn Fixture>,
    wrong: Wrong,
    written: AtomicU32,
}

impl Broken {
    pub(super) fn new(wrong: Wrong) -> Self {
        let inner: Box<dyn Fixture> = match wrong {
            Wrong::RefusesTheUnknown | Wrong::RefusesWithoutAName => Box::new(strict()),
            _ => Box::new(plain()),
        };
        Self { inner, wrong, written: AtomicU32::new(0) }
    }

    fn own(&self) -> &dyn Fields {
        self.inner.fields().unwrap()
    }

    fn spoil(&self, read: Sample) -> Sample {
        let mut read = read;
        match self.wrong {
            Wrong::LosesTheSignOfZero => read.float += 0.0,
            Wrong::RoundsWideNumbers => read.wide = read.wide as f64 as i64,
            Wrong::CutsTextAtZero => read.text = read.text.split('\0').next().unwrap_or_default().to_owned(),
            Wrong::ReplacesWhatIsNoText => read.data = String::from_utf8_lossy(&read.data).into_owned().into(),
            Wrong::EmptyInnerIsNone => read.inner = read.inner.filter(|inner| **inner != Sample::default()),
            Wrong::LosesEmptyOnesInLists => read.many.retain(|one| *one != Sample::default()),
            _ => {}
        }
        read
    }

    /// What stands in for an error of the codec.
    fn mistake(&self, error: Error, body: &Bytes) -> Result<Sample> {
        match self.wrong {
            Wrong::PanicsAtTheEnd => panic!("the end of the body"),
            Wrong::ReadsWhatIsThere => Ok(Sample::default()),
            Wrong::RefusesAsInternal => Err(Error::new(Kind::Internal, "it does not decode")),
            Wrong::RefusesWithoutAName => Err(Error::new(Kind::Decode, "there is something unknown")),
            Wrong::ReadsAnyDepth if body.len() > 100_000 => Ok(Sample::default()),
            Wrong::AllocatesWhatIsAnnounced => {
                drop(Vec::<u8>::with_capacity(64 << 20));
                Err(error)
            }
            _ => Err(error),
        }
    }
}

impl Fixture for Broken {
    fn name(&self) -> &'static str {
        "codec-broken"
    }

    fn content_types(&self) -> &'static [&'static str] {
        self.inner.content_types()
    }

    fn encode(&self, sample: &Sample) -> Result<Encoded> {
        let mut encoded = match self.wrong {
            Wrong::CutsToItsBytes => self.inner.encode(&Sample::of_data(sample.data.clone()))?,
            _ => self.inner.encode(sample)?,
        };
        if self.wrong == Wrong::WritesAnotherContentType {
            encoded.content_type.push_str("; charset=utf-8");
        }
        if self.wrong == Wrong::NeverWritesTheSameTwice && self.written.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            encoded.body = [b" ", &*encoded.body].concat().into();
        }
        Ok(encoded)
    }

    fn decode(&self, content_type: &str, body: Bytes) -> Result<Sample> {
        let known = self.content_types().iter().any(|known| known.eq_ignore_ascii_case(content_type));
        let content_type = match self.wrong {
            Wrong::ReadsAnyContentType => self.content_types()[0],
            Wrong::ReadsOneContentTypeOnly if !content_type.eq_ignore_ascii_case(self.content_types()[0]) => "",
            Wrong::MindsTheCase if !self.content_types().contains(&content_type) => "",
            Wrong::RefusesContentTypesAsDecode if !known => return Err(Error::new(Kind::Decode, "what is this?")),
            _ => content_type,
        };
        if self.wrong == Wrong::PanicsAtSomeBytes && body.windows(2).any(|pair| pair == b"{{") {
            panic!("two of them");
        }
        if self.wrong == Wrong::AllocatesByTheFirstByte && body.first().is_some_and(|first| *first != b'{') {
            drop(Vec::<u8>::with_capacity(usize::from(body[0]) << 20));
        }
        let levels = body.windows(9).filter(|part| *part == br#"{"inner":"#).count();
        let unknown = body.windows(8).filter(|part| *part == br#"{"note":"#).count();
        if (self.wrong == Wrong::ReadsThirtyLevels && levels > 30)
            || (self.wrong == Wrong::RefusesUnknownLevels && unknown > 30)
        {
            return Err(Error::new(Kind::Decode, "too deep"));
        }
        let text = self.wrong == Wrong::ReadsTheUnknownAsKnown && unknown > 0;
        match self.inner.decode(content_type, body.clone()) {
            Ok(read) if text => Ok(Sample { text: "of a newer program".into(), ..read }),
            Ok(read) => Ok(self.spoil(read)),
            Err(error) if error.kind() == Kind::UnsupportedContentType => Err(error),
            Err(error) => self.mistake(error, &body),
        }
    }

    fn fields(&self) -> Option<&dyn Fields> {
        (self.wrong != Wrong::CutsToItsBytes).then_some(self)
    }

    fn allocated(&self, work: &mut dyn FnMut()) -> Option<u64> {
        if self.wrong == Wrong::DoesNotCount { None } else { self.inner.allocated(work) }
    }
}

impl Fields for Broken {
    fn unknown(&self) -> Unknown {
        match self.wrong {
            Wrong::IgnoresButSaysKept => Unknown::Kept,
            Wrong::IgnoresButSaysRefused => Unknown::Refused,
            Wrong::RefusesTheUnknown => Unknown::Ignored,
            _ => self.own().unknown(),
        }
    }

    fn newer(&self, sample: &Sample, value: &str) -> Result<(Bytes, &'static str)> {
        self.own().newer(sample, value)
    }

    fn pass_on(&self, body: Bytes) -> Result<Bytes> {
        if self.wrong == Wrong::KeepsButSaysIgnored { Ok(body) } else { self.own().pass_on(body) }
    }

    fn deep(&self, levels: usize) -> Vec<Bytes> {
        self.own().deep(levels)
    }

    fn deep_unknown(&self, levels: usize) -> Vec<Bytes> {
        self.own().deep_unknown(levels)
    }

    fn announcing(&self, size: u32) -> Vec<Bytes> {
        self.own().announcing(size)
    }
}
