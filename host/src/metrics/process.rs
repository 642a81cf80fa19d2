//! The process as the system sees it (proc(5)), under the names that Prometheus' own clients use.

use super::Exposition;

/// Ticks in a second, as the kernel tells them to programs (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `/proc/self/stat` after the name in parentheses, counted from 0.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const START_TICKS: usize = 19;

/// Tells what can be read; what cannot is left out.
pub(super) fn tell(out: &mut Exposition) {
    let stat = read("stat");
    let fields: Vec<&str> = match stat.rsplit_once(')') {
        Some((_, rest)) => rest.split_whitespace().collect(),
        None => Vec::new(),
    };
    let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    let mut cpu = out.counters(
        "process_cpu_seconds",
        "Time on processors, of all threads together.",
    );
    if let Some((user, system)) = seconds(USER_TICKS).zip(seconds(SYSTEM_TICKS)) {
        cpu.sample(&[], user + system);
    }
    let status = read("status");
    let kilobytes = |name: &str| Some(line(&status, name)? * 1024.0);
    let started = boot_time().zip(seconds(START_TICKS));
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Memory in use.",
            kilobytes("VmRSS:"),
        ),
        (
            "process_virtual_memory_bytes",
            "Addresses in use.",
            kilobytes("VmSize:"),
        ),
        ("process_threads", "Threads.", line(&status, "Threads:")),
        ("process_open_fds", "File descriptors in use.", open_files()),
        (
            "process_max_fds",
            "File descriptors that the process may have.",
            line(&read("limits"), "Max open files"),
        ),
        (
            "process_start_time_seconds",
            "When the process began, since the epoch.",
            started.map(|(boot, since)| boot + since),
        ),
    ] {
        let mut family = out.gauges(name, help);
        if let Some(value) = value {
            family.sample(&[], value);
        }
    }
}

fn read(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default()
}

/// The first number of the line that begins so.
fn line(text: &str, begin: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(begin))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn boot_time() -> Option<f64> {
    line(&std::fs::read_to_string("/proc/stat").ok()?, "btime ")
}

fn open_files() -> Option<f64> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?;
    // One of them is this directory.
    Some(open.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_can_be_read() {
        let mut out = Exposition::default();
        tell(&mut out);
        let text = out.finish();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let values: Vec<f64> = samples
            .map(|line| line.split(' ').next_back().unwrap().parse().unwrap())
            .collect();
        assert_eq!(values.len(), 7, "{text}");
        assert!(values.iter().all(|value| *value >= 0.0), "{text}");
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let age = since.unwrap().as_secs_f64() - values[6];
        assert!((-2.0..86_400.0 * 30.0).contains(&age), "{text}");
    }
}
