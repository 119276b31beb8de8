use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use micro_core::{Kind, Result};

use super::{Fields, Fixture, Sample};
use crate::Failed;

/// Where a case runs: the codec, and what is the same in all cases.
#[derive(Debug, Clone)]
pub struct Stage {
    fixture: Arc<dyn Fixture>,
}

impl Stage {
    pub(super) fn new(fixture: Arc<dyn Fixture>) -> Self {
        Self { fixture }
    }

    /// Returns the codec.
    #[must_use]
    pub fn codec(&self) -> &dyn Fixture {
        &*self.fixture
    }

    /// Returns its fields.
    ///
    /// # Errors
    ///
    /// If it has none; a case that asks needs [`Need::Fields`](super::Need::Fields).
    pub fn fields(&self) -> Result<&dyn Fields, Failed> {
        self.fixture.fields().ok_or_else(|| Failed::new("the codec has no fields"))
    }

    /// Returns the content type that is written.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        self.fixture.content_types().first().copied().unwrap_or_default()
    }

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// If the codec cannot.
    pub fn write(&self, sample: &Sample) -> Result<Bytes, Failed> {
        Ok(self.fixture.encode(sample)?.body)
    }

    /// Reads a body under the content type of the codec.
    ///
    /// # Errors
    ///
    /// If the codec panics, with the body.
    pub fn read(&self, body: &Bytes) -> Result<Result<Sample>, Failed> {
        let read = catch_unwind(AssertUnwindSafe(|| self.fixture.decode(self.content_type(), body.clone())));
        read.map_err(|_| Failed::new(format!("reading it panicked: {}", told(body))))
    }

    /// Reads a body that must be refused as one that does not decode.
    ///
    /// # Errors
    ///
    /// If it is read, or refused for another reason, or the codec panics.
    pub fn refuses(&self, body: &Bytes) -> Result<(), Failed> {
        match self.read(body)? {
            Err(error) if error.kind() == Kind::Decode => Ok(()),
            Err(error) => Err(Failed::new(format!("it is {:?}, not Decode: {error}: {}", error.kind(), told(body)))),
            Ok(read) => Err(Failed::new(format!("it was read, as {}: {}", short(&format!("{read:?}")), told(body)))),
        }
    }

    /// Reads as [`read`](Self::read), and returns as well how many bytes were asked of the allocator for it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); and if the program does not count, which a case that asks needs.
    pub fn read_counted(&self, body: &Bytes) -> Result<(Result<Sample>, u64), Failed> {
        let mut read = None;
        let allocated = self.fixture.allocated(&mut || read = Some(self.read(body)));
        match (read, allocated) {
            (Some(read), Some(allocated)) => Ok((read?, allocated)),
            _ => Err(Failed::new("the program does not count what it allocates")),
        }
    }
}

/// A body as a failure tells it: as text, and cut.
pub(super) fn told(body: &[u8]) -> String {
    format!("{} bytes, {}", body.len(), short(&body.escape_ascii().to_string()))
}

fn short(text: &str) -> String {
    const ENOUGH: usize = 300;
    text.chars().take(ENOUGH).collect()
}
