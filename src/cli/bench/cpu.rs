//! Processor time of the daemon: the server, its workers alive, and the workers it has already reaped.

use std::fs;

/// Microseconds of user and system time that a process and its reaped children have used, from `/proc/PID/stat`.
pub(super) fn with_reaped(pid: u32) -> Option<u64> {
    ticks(pid, &[11, 12, 13, 14])
}

/// Microseconds of user and system time of a process alone.
pub(super) fn alone(pid: u32) -> Option<u64> {
    ticks(pid, &[11, 12])
}

/// Direct children, from `/proc/PID/task/*/children`.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

/// The server and all its workers, dead or alive: grows steadily across recycles.
pub(super) fn daemon(server: u32) -> Option<u64> {
    let workers: u64 = children(server).into_iter().filter_map(alone).sum();
    Some(with_reaped(server)? + workers)
}

/// Fields counted after the command name, which may hold spaces; the state is field 0.
fn ticks(pid: u32, fields: &[usize]) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let values: Vec<&str> = rest.split_whitespace().collect();
    let mut sum = 0u64;
    for field in fields {
        sum += values.get(*field)?.parse::<u64>().ok()?;
    }
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    Some(sum * 1_000_000 / u64::try_from(per_second).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time() {
        let began = std::time::Instant::now();
        while began.elapsed().as_millis() < 50 {
            std::hint::black_box(children(std::process::id()));
        }
        assert!(alone(std::process::id()).unwrap() >= 10_000);
    }
}
