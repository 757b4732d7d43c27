//! CPU time and memory of the measured processes, from /proc.

use std::collections::HashMap;

/// What processes have used.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_ms: u64,
    /// Proportional set size: a page that several workers share counts once.
    pub(crate) memory_kib: u64,
}

/// The sum over `pids` and all their descendants. A process that ends meanwhile is left out.
pub(crate) fn of(pids: &[u32]) -> Usage {
    let ms_per_tick = 1000 / rustix::param::clock_ticks_per_second();
    let children = children();
    let mut usage = Usage::default();
    let mut open = pids.to_vec();
    while let Some(pid) = open.pop() {
        open.extend(children.get(&pid).into_iter().flatten());
        let Some(fields) = stat(pid) else { continue };
        // Fields 14 and 15 of proc_pid_stat(5): utime and stime.
        let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
        usage.cpu_ms += (ticks(11) + ticks(12)) * ms_per_tick;
        usage.memory_kib += proportional_set_size(pid).unwrap_or(0);
    }
    usage
}

/// The fields of /proc/PID/stat after the name, which may hold spaces.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

fn children() -> HashMap<u32, Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // Field 4 of proc_pid_stat(5): the parent.
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

fn proportional_set_size(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}
