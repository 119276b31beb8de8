use rustix::time::{ClockId, clock_gettime};

/// Time since boot: it goes on during suspend and cannot be set, so that a lease neither ends early nor lives for ever.
#[derive(Debug, Clone, Copy)]
pub struct Clock;

impl Clock {
    /// Returns the milliseconds since boot.
    #[must_use]
    pub fn now() -> u64 {
        Self::nanos() / 1_000_000
    }

    /// Returns the nanoseconds since boot.
    #[must_use]
    pub fn nanos() -> u64 {
        let time = clock_gettime(ClockId::Boottime);
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    }

    /// Returns a number that is another after each boot; a time of another boot means nothing.
    ///
    /// It is read once. 0 where the kernel does not tell.
    #[must_use]
    pub fn boot() -> i64 {
        static BOOT: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
        *BOOT.get_or_init(|| {
            let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(15).collect();
            i64::from_str_radix(&digits, 16).unwrap_or(0)
        })
    }
}
