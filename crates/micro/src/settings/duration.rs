//! Durations as Go writes them: `5s`, `500ms`, `1h30m`, `1.5s`.

use std::time::Duration;

const UNITS: [(&str, f64); 8] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];

/// Reads a duration; `0` needs no unit. `None` if it is none, or negative, or longer than a century.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        seconds += number * factor;
        rest = &rest[unit.len()..];
    }
    const CENTURY: f64 = 100.0 * 365.0 * 86_400.0;
    // Rounded to the nanosecond: 0.1 + 0.2 seconds are 300 ms, not a hair more.
    (seconds <= CENTURY).then(|| Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// Reads a duration, or a bare number as seconds: go-micro's `--register_ttl 60`.
pub(crate) fn parse_seconds(text: &str) -> Option<Duration> {
    match text.trim().parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        Err(_) => parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        for (text, millis) in [
            ("5s", 5000),
            ("500ms", 500),
            ("1h2m3.5s", 3_723_500),
            ("0", 0),
            ("1.5s", 1500),
            ("2000us", 2),
            ("2000µs", 2),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in ["", "5", "s", "-5s", "5 s", "5x", "1..5s", "99999999h", "m5"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_seconds_where_go_micro_takes_a_number() {
        assert_eq!(parse_seconds("60"), Some(Duration::from_secs(60)));
        assert_eq!(parse_seconds("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_seconds("soon"), None);
    }
}
