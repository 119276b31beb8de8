use micro_core::Result;

/// How safe a commit must be before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Seen by all processes; a power cut may take it back.
    Written,
    /// On the disk.
    Synced,
}

/// What the writer needs of the engine below: transactions that one process at a time has.
///
/// This is the seam at which a segment log could take SQLite's place.
pub trait Storage: Send + 'static {
    /// Waits for this process's turn and begins.
    ///
    /// # Errors
    ///
    /// Names the file and what to do; nothing has begun then.
    fn begin(&mut self) -> Result<()>;

    /// Makes everything since [`begin`](Self::begin) seen by all processes, and lets the next one have its turn.
    ///
    /// # Errors
    ///
    /// Names the file and what to do; everything is rolled back then.
    fn commit(&mut self) -> Result<()>;

    /// Forgets everything since [`begin`](Self::begin).
    fn roll_back(&mut self);

    /// Makes what was committed safe against a power cut. Others write meanwhile.
    ///
    /// # Errors
    ///
    /// Names the file and what to do; what was committed is seen, and may be gone after a power cut.
    fn sync(&mut self) -> Result<()>;
}
