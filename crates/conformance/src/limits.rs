use std::time::Duration;

/// How long the suite waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// For what must come.
    pub present: Duration,
    /// For what must not come.
    pub absent: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { present: Duration::from_secs(15), absent: Duration::from_millis(300) }
    }
}

impl Limits {
    /// Sets how long it waits for what must come. Default 15 s.
    #[must_use]
    pub fn present(mut self, limit: Duration) -> Self {
        self.present = limit;
        self
    }

    /// Sets how long it waits for what must not come. Default 300 ms.
    #[must_use]
    pub fn absent(mut self, window: Duration) -> Self {
        self.absent = window;
        self
    }
}
