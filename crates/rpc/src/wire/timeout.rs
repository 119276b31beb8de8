//! `timeout` (go-micro: nanoseconds as decimal text) and `grpc-timeout` (up to eight digits and a unit).

use std::time::Duration;

use http::HeaderMap;

pub(crate) const TIMEOUT: &str = "timeout";
pub(crate) const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Returns how long the caller waits: the shorter of the two. What is no number is ignored, as go-micro does.
pub(crate) fn read(headers: &HeaderMap) -> Option<Duration> {
    let micro = headers.get(TIMEOUT).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_nanos);
    let grpc = headers.get(GRPC_TIMEOUT).and_then(|value| parse(value.as_bytes()));
    match (micro, grpc) {
        (Some(micro), Some(grpc)) => Some(micro.min(grpc)),
        (one, other) => one.or(other),
    }
}

fn parse(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Writes a `grpc-timeout` in the finest unit that eight digits hold, rounded up.
pub(crate) fn format(timeout: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let nanos = timeout.as_nanos();
    for (unit, size) in [('n', 1), ('u', 1_000), ('m', 1_000_000), ('S', 1_000_000_000), ('M', 60_000_000_000)] {
        let count = nanos.div_ceil(size);
        if count <= MOST {
            return format!("{count}{unit}");
        }
    }
    format!("{}H", nanos.div_ceil(3_600_000_000_000).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_survives_the_wire() {
        for timeout in [Duration::ZERO, Duration::from_nanos(7), Duration::from_millis(1500), Duration::from_secs(90)] {
            assert_eq!(parse(format(timeout).as_bytes()), Some(timeout));
        }
        assert_eq!(format(Duration::from_secs(5)), "5000000u");
        assert_eq!(format(Duration::from_secs(86_400 * 365)), "31536000S");
    }

    #[test]
    fn the_shorter_wins_and_nonsense_is_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert(TIMEOUT, "100000000".parse().unwrap());
        headers.insert(GRPC_TIMEOUT, "20m".parse().unwrap());
        assert_eq!(read(&headers), Some(Duration::from_millis(20)));
        headers.insert(GRPC_TIMEOUT, "123456789n".parse().unwrap());
        assert_eq!(read(&headers), Some(Duration::from_millis(100)));
        headers.insert(TIMEOUT, "soon".parse().unwrap());
        assert_eq!(read(&headers), None);
    }
}
