//! The default memory budget of searches.

use std::fs;

/// Bytes that are assumed to be available if the system does not say.
const UNKNOWN: u64 = 2 << 30;

/// Returns three quarters of the available memory, by the kernel's estimate and by the limit of the
/// control group.
pub(crate) fn default_budget() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let group = group_left("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current");
    let least = machine.into_iter().chain(group).min().unwrap_or(UNKNOWN);
    least / 4 * 3
}

/// Returns the bytes of the line `MemAvailable:   12345 kB`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn group_left(limit: &str, used: &str) -> Option<u64> {
    let number = |path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    Some(number(limit)?.saturating_sub(number(used)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_comes_from_meminfo() {
        let text = "MemTotal:  20 kB\nMemAvailable:     12 kB\n";
        assert_eq!(available(text), Some(12 * 1024));
        assert_eq!(available("MemTotal: 20 kB\n"), None);
        assert!(default_budget() > 0);
    }
}
