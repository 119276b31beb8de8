use micro_core::Kind;

use super::{Fixture, Sample, Stage};
use crate::Failed;
use crate::failed::ensure;

/// What a case needs of a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Bodies with fields, not bytes alone.
    Fields,
    /// A program that counts what it allocates.
    Allocated,
}

impl Need {
    /// Returns the name, as it stands in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fields => "fields",
            Self::Allocated => "no count of allocations",
        }
    }

    /// Tells whether the fixture has it.
    #[must_use]
    pub fn is_met(self, fixture: &dyn Fixture) -> bool {
        match self {
            Self::Fields => fixture.fields().is_some(),
            Self::Allocated => fixture.allocated(&mut || {}).is_some(),
        }
    }

    /// A value with fields must be refused where there are none, not cut to what there is.
    pub(super) fn refused(self, stage: &Stage) -> Result<(), Failed> {
        match (self, stage.codec().encode(&Sample::full())) {
            (Self::Allocated, _) => Ok(()),
            (Self::Fields, Ok(_)) => Err(Failed::new("fields are not declared, and a value with fields was written")),
            (Self::Fields, Err(error)) => {
                ensure!(
                    error.kind() == Kind::UnsupportedContentType,
                    "a value with fields must be refused as UnsupportedContentType, not as {:?}: {error}",
                    error.kind()
                );
                Ok(())
            }
        }
    }
}
