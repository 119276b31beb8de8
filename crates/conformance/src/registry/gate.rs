use super::Fixture;

/// What a case needs of a fixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Another process, that can be killed.
    Process,
    /// Records that can be taken away, and come back.
    Outage,
    /// The same, where a client is told by errors that they are away.
    ToldOutage,
    /// An address, which may have a password, and where no registry is.
    Nobody,
}

impl Need {
    /// Returns what stands in the report where it is missing.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "one process",
            Self::Outage => "no outage",
            Self::ToldOutage => "silent outage",
            Self::Nobody => "no address",
        }
    }

    /// Tells whether the fixture has it.
    #[must_use]
    pub fn is_met(self, fixture: &dyn Fixture) -> bool {
        match self {
            Self::Process => fixture.process().is_some(),
            Self::Outage => fixture.outage().is_some(),
            Self::ToldOutage => fixture.outage().is_some_and(|outage| outage.is_told()),
            Self::Nobody => fixture.nobody().is_some(),
        }
    }
}
