use std::fmt;

/// Why a case failed: which rule was broken, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed(String);

impl Failed {
    /// Creates one of a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// Something that must succeed in a case did not.
impl From<micro_core::Error> for Failed {
    fn from(error: micro_core::Error) -> Self {
        Self(format!("an operation failed: {error}"))
    }
}

/// Fails the case unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err($crate::Failed::new(format!($($text)+)));
        }
    };
}
pub(crate) use ensure;
