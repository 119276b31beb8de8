//! What a page says of the machine and of the versions.

use std::fs;

/// One line: processor, cores, memory, kernel.
pub(crate) fn line() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let gigabytes = memory.split(' ').next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() / (1 << 20);
    let release = read("/proc/sys/kernel/osrelease");
    format!("{processor}, {} cores, {gigabytes} GiB, Linux {}", crate::meter::cores(), release.trim())
}

/// Versions of these packages, as Cargo.lock has them.
pub(crate) fn versions(packages: &[&str]) -> String {
    let lock = include_str!("../../Cargo.lock");
    let version = |name: &str| {
        let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{name}\"\n")))?;
        entry.split("version = \"").nth(1)?.split('"').next()
    };
    let list = packages.iter().map(|name| format!("{name} {}", version(name).unwrap_or("?")));
    list.collect::<Vec<_>>().join(", ")
}
