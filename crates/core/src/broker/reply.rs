use std::fmt;

use bytes::Bytes;

/// Where the reply to a request goes: the plugin's own words, which mean nothing to others.
///
/// It travels as the header [`ReplyTo::HEADER`], so that a message that is no request costs nothing for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ReplyTo(Bytes);

impl ReplyTo {
    /// The header of a request's delivery that has it.
    pub const HEADER: &str = "Micro-Reply-To";

    /// Creates one of a plugin's words; a plugin's side.
    #[must_use]
    pub fn new(words: impl Into<Bytes>) -> Self {
        Self(words.into())
    }

    /// Returns the plugin's words.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyTo").field(&self.0).finish()
    }
}
