use std::sync::LazyLock;

/// The variable that says how many times more the suites do, and how much longer they wait. Unset: once.
const VARIABLE: &str = "MICRO_TEST_SCALE";

static SCALE: LazyLock<usize> = LazyLock::new(|| match std::env::var(VARIABLE) {
    Ok(text) => read(&text).unwrap_or_else(|| panic!("{VARIABLE}={text}: it must be a number from 1 to 100")),
    Err(_) => 1,
});

/// Returns how many times more is done than usual.
///
/// # Panics
///
/// If `MICRO_TEST_SCALE` is no number from 1 to 100.
pub(crate) fn scale() -> usize {
    *SCALE
}

fn read(text: &str) -> Option<usize> {
    text.parse().ok().filter(|scale| (1..=100).contains(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_a_number_from_1_to_100() {
        assert_eq!(["1", "10", "100"].map(read), [Some(1), Some(10), Some(100)]);
        assert_eq!(["", "0", "101", "-1", "ten"].map(read), [None; 5]);
    }
}
