use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::{Error, Kind, Result};

/// A span of time, forwards or backwards: `google.protobuf.Duration`. In JSON seconds as text: `"1.500s"`.
///
/// # Examples
///
/// ```
/// use micro_core::codec::well_known::Duration;
///
/// let span = Duration::from(std::time::Duration::from_millis(1_500));
/// assert_eq!(span.to_string(), "1.500s");
/// assert_eq!("1.5s".parse::<Duration>()?, span);
/// # Ok::<(), micro_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds on top, of the same sign: -999,999,999 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// 10,000 years, the limit that protobuf sets.
const SECONDS: std::ops::RangeInclusive<i64> = -315_576_000_000..=315_576_000_000;

impl Duration {
    fn is_valid(self) -> bool {
        SECONDS.contains(&self.seconds)
            && (-999_999_999..=999_999_999).contains(&self.nanos)
            && (self.seconds == 0 || self.nanos == 0 || (self.seconds < 0) == (self.nanos < 0))
    }
}

/// A span over what protobuf can say becomes the longest that it can.
impl From<std::time::Duration> for Duration {
    fn from(span: std::time::Duration) -> Self {
        match i64::try_from(span.as_secs()) {
            Ok(seconds) if SECONDS.contains(&seconds) => Self { seconds, nanos: span.subsec_nanos() as i32 },
            _ => Self { seconds: *SECONDS.end(), nanos: 0 },
        }
    }
}

impl TryFrom<Duration> for std::time::Duration {
    type Error = Error;

    fn try_from(span: Duration) -> Result<Self> {
        match (u64::try_from(span.seconds), u32::try_from(span.nanos)) {
            (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Self::new(seconds, nanos)),
            _ => Err(Error::new(Kind::InvalidArgument, format!("the duration {span} is negative or malformed"))),
        }
    }
}

/// Seconds with 0, 3, 6 or 9 digits behind the point, and `s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.seconds < 0 || self.nanos < 0 { "-" } else { "" };
        write!(f, "{sign}{}", self.seconds.unsigned_abs())?;
        write_fraction(f, self.nanos)?;
        f.write_str("s")
    }
}

impl FromStr for Duration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).filter(|span| span.is_valid()).ok_or_else(|| {
            Error::new(Kind::InvalidArgument, format!("{text:?} is no duration; write seconds and s, as 1.5s"))
        })
    }
}

fn parse(text: &str) -> Option<Duration> {
    let body = text.strip_suffix('s')?;
    let (sign, body) = body.strip_prefix('-').map_or((1, body), |body| (-1, body));
    let (whole, fraction) = body.split_once('.').unwrap_or((body, "0"));
    if !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    Some(Duration { seconds: sign * seconds, nanos: sign as i32 * nanos_of(fraction)? })
}

/// Writes nanoseconds as a fraction of 0, 3, 6 or 9 digits.
pub(super) fn write_fraction(f: &mut fmt::Formatter<'_>, nanos: i32) -> fmt::Result {
    match nanos.unsigned_abs() {
        0 => Ok(()),
        n if n.is_multiple_of(1_000_000) => write!(f, ".{:03}", n / 1_000_000),
        n if n.is_multiple_of(1_000) => write!(f, ".{:06}", n / 1_000),
        n => write!(f, ".{n:09}"),
    }
}

/// Reads 1 to 9 digits behind the point as nanoseconds.
pub(super) fn nanos_of(digits: &str) -> Option<i32> {
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i32>().ok().map(|n| n * 10_i32.pow(9 - digits.len() as u32))
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if !self.is_valid() {
            return Err(serde::ser::Error::custom(format_args!(
                "the duration of {} seconds and {} nanoseconds is malformed",
                self.seconds, self.nanos
            )));
        }
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
