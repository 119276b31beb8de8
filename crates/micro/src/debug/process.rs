//! What the operating system says of this process.

/// Memory and threads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    /// Resident memory in bytes; 0 where it cannot be told.
    pub(super) memory: u64,
    /// Threads; 0 where it cannot be told.
    pub(super) threads: u64,
}

impl Process {
    /// Reads `/proc/self/status`, which is there on Linux.
    pub(super) fn now() -> Self {
        std::fs::read_to_string("/proc/self/status").map(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(status: &str) -> Self {
        let number = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        Self { memory: number("VmRSS:").unwrap_or(0) * 1024, threads: number("Threads:").unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_threads_are_read_from_the_status_of_the_process() {
        let status = "Name:\tgreeter\nVmRSS:\t   12288 kB\nThreads:\t7\n";
        assert_eq!(Process::parse(status), Process { memory: 12 << 20, threads: 7 });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_a_thread() {
        let now = Process::now();
        assert!(now.memory > 1 << 20 && now.threads >= 1, "{now:?}");
    }
}
