use micro_core::{Kind, Result};

use super::{Capability, Stage, handlers};
use crate::Failed;

/// A capability that a case needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the field of Capability of this name")]
pub enum Need {
    KeepAlive,
    Health,
    Reflection,
    Tls,
}

impl Need {
    /// Returns the capability's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep_alive",
            Self::Health => "health",
            Self::Reflection => "reflection",
            Self::Tls => "tls",
        }
    }

    /// Tells whether it is declared.
    #[must_use]
    pub fn is_met(self, by: Capability) -> bool {
        match self {
            Self::KeepAlive => by.keep_alive,
            Self::Health => by.health,
            Self::Reflection => by.reflection,
            Self::Tls => by.tls,
        }
    }

    /// Asks for what is not declared; it must be refused.
    pub(super) async fn refused(self, stage: &Stage) -> Result<(), Failed> {
        let world = stage.world(vec![handlers::echo()]).await?;
        match self {
            // Nobody can ask for it.
            Self::KeepAlive | Self::Tls => Ok(()),
            Self::Health => unsupported("health", stage.present("health", world.client.health("")).await?),
            Self::Reflection => {
                unsupported("reflection", stage.present("services", world.client.services()).await?)?;
                let described = stage.present("a description", world.client.describes("Suite", "Echo")).await?;
                unsupported("reflection", described)
            }
        }
    }
}

fn unsupported<T>(what: &str, result: Result<T>) -> Result<(), Failed> {
    match result {
        Ok(_) => Err(Failed::new(format!("{what} is not declared, and was answered"))),
        Err(error) if matches!(error.kind(), Kind::Unsupported | Kind::UnknownEndpoint) => Ok(()),
        Err(error) => {
            Err(Failed::new(format!("{what} must be refused as unsupported, not as {:?}: {error}", error.kind())))
        }
    }
}
