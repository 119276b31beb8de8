use crate::Failed;

/// Returns where a case's chances come from: another number each run; a failure tells it, and the variable brings it back.
pub(crate) fn seed() -> Result<u64, Failed> {
    const SEED: &str = "MICRO_CONFORMANCE_SEED";
    match std::env::var(SEED) {
        Ok(text) => text.parse().map_err(|_| Failed::new(format!("{SEED} must be a number, not {text:?}"))),
        Err(_) => Ok(fastrand::u64(..)),
    }
}

/// Tells the seed with what failed, so that it can be played again.
pub(crate) fn with_seed(seed: u64, where_: &str, failed: &Failed) -> Failed {
    Failed::new(format!("{failed}; {where_} of MICRO_CONFORMANCE_SEED={seed}"))
}
