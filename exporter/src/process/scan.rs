//! Processes that started before anybody watched.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

use super::{Process, TICK_NS};

/// What runs now, as `/proc` tells it.
#[derive(Debug)]
pub struct ProcessScan {
    /// `CLOCK_BOOTTIME` before the first process was looked at.
    pub(super) time_ns: u64,
    pub(super) processes: HashMap<u32, Process>,
}

impl ProcessScan {
    /// Reads the processes under `proc`: a procfs of the host's PID namespace, for pids to be those in the records.
    ///
    /// Processes that end meanwhile, kernel threads and those that may not be looked at (it takes `CAP_SYS_PTRACE` for
    /// other users') are left out.
    ///
    /// # Errors
    ///
    /// The directory itself cannot be read.
    pub fn read(proc: &Path) -> io::Result<Self> {
        let now = clock_gettime(ClockId::Boottime);
        let time_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        let entries = fs::read_dir(proc)?.flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let processes = pids.filter_map(|pid: u32| Some((pid, read_process(&proc.join(pid.to_string()))?))).collect();
        Ok(Self { time_ns, processes })
    }
}

fn read_process(directory: &Path) -> Option<Process> {
    let executable = fs::read_link(directory.join("exe")).ok()?.into_os_string().into_vec();
    let start_boottime_ns = start_time(&fs::read(directory.join("stat")).ok()?)?.checked_mul(TICK_NS)?;
    Some(Process { executable: without_mark(&executable).into(), start_boottime_ns })
}

/// Field 22 of `/proc/<pid>/stat`, in ticks. Field 2 is the command in brackets and may hold anything, brackets too.
fn start_time(stat: &[u8]) -> Option<u64> {
    let behind = &stat[stat.iter().rposition(|byte| *byte == b')')? + 1..];
    let field = behind.split(|byte| *byte == b' ').filter(|field| !field.is_empty()).nth(22 - 3)?;
    str::from_utf8(field).ok()?.trim_ascii_end().parse().ok()
}

/// The kernel marks the name of a file that has none any more (`d_path` in `fs/d_path.c`).
fn without_mark(path: &[u8]) -> &[u8] {
    path.strip_suffix(b" (deleted)").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times() {
        let check = |stat: &str, expected| assert_eq!(start_time(stat.as_bytes()), expected, "{stat}");
        let fields = (3..=52).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        check(&format!("7 (sh) {fields}\n"), Some(22));
        check(&format!("7 (a) b) 1 2 (c) {fields}\n"), Some(22));
        check("7 (sh) S 1 2\n", None);
        check("7 sh S 1 2\n", None);
        check("", None);
    }

    #[test]
    fn marks() {
        assert_eq!(without_mark(b"/bin/sh (deleted)"), b"/bin/sh");
        assert_eq!(without_mark(b"/bin/sh"), b"/bin/sh");
        assert_eq!(without_mark(b"/\xff (deleted) "), b"/\xff (deleted) ");
    }

    #[test]
    fn finds_this_process() {
        let scan = ProcessScan::read(Path::new("/proc")).unwrap();
        let own = &scan.processes[&std::process::id()];
        let executable = std::env::current_exe().unwrap().into_os_string().into_vec();
        assert_eq!(*own.executable, *executable);
        assert!(own.start_boottime_ns > 0 && own.start_boottime_ns <= scan.time_ns);
    }
}
