//! Processes that started before anybody watched.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};

use super::arguments::{self, LENGTH_MAX};
use super::{ProcessConfig, TICK_NS};

/// What runs now, as `/proc` tells it.
#[derive(Debug)]
pub struct ProcessScan {
    /// `CLOCK_BOOTTIME` before the first process was looked at.
    pub(super) time_ns: u64,
    pub(super) processes: HashMap<u32, Found>,
    /// Paths of the cgroups that they are in.
    pub(super) cgroups: HashMap<u64, Box<[u8]>>,
}

/// A process that was found. What is not known is empty, or 0.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) executable: Arc<[u8]>,
    pub(super) arguments: Arc<[u8]>,
    pub(super) start_boottime_ns: u64,
    pub(super) parent: u32,
    pub(super) vpid: u32,
    pub(super) cgroup: u64,
}

impl ProcessScan {
    /// Reads the processes under `proc`: a procfs of the host's PID namespace, for pids to be those in the records.
    ///
    /// Processes that end meanwhile and kernel threads are left out; those that may not be looked at (it takes
    /// `CAP_SYS_PTRACE` for other users') have no executable.
    ///
    /// # Errors
    ///
    /// The directory itself cannot be read.
    pub fn read(proc: &Path, config: &ProcessConfig) -> io::Result<Self> {
        let now = clock_gettime(ClockId::Boottime);
        let time_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        let mut scan = Self { time_ns, processes: HashMap::new(), cgroups: HashMap::new() };
        let mut ids = HashMap::new();
        let entries = fs::read_dir(proc)?.flatten();
        for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            let directory = proc.join(pid.to_string());
            let Some(mut found) = read_process(&directory, config) else { continue };
            if let Ok(memberships) = fs::read(directory.join("cgroup"))
                && let Some(path) = config.hierarchy.cgroup_in(&memberships)
            {
                found.cgroup = *ids.entry(path.clone()).or_insert_with(|| cgroup_id(&path, config));
                scan.cgroups.entry(found.cgroup).or_insert(path);
            }
            scan.processes.insert(pid, found);
        }
        scan.cgroups.remove(&0);
        Ok(scan)
    }
}

fn read_process(directory: &Path, config: &ProcessConfig) -> Option<Found> {
    let executable = match fs::read_link(directory.join("exe")) {
        Ok(path) => path.into_os_string().into_vec(),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Vec::new(),
        Err(_) => return None,
    };
    let (parent, start) = parent_and_start(&fs::read(directory.join("stat")).ok()?)?;
    let start_boottime_ns = start.checked_mul(TICK_NS)?;
    let vpid = fs::read(directory.join("status")).ok().and_then(|status| namespace_pid(&status)).unwrap_or(0);
    let list = config.redaction.as_ref().map(|redaction| (command_line(directory), redaction));
    let arguments = list.map_or_else(Arc::default, |(list, redaction)| arguments::keep(&list, redaction));
    Some(Found { executable: path(&executable).into(), arguments, start_boottime_ns, parent, vpid, cgroup: 0 })
}

/// Fields 4 and 22 of `/proc/<pid>/stat`, the latter in ticks. Field 2 is the command in brackets and may hold anything,
/// brackets too.
fn parent_and_start(stat: &[u8]) -> Option<(u32, u64)> {
    let behind = &stat[stat.iter().rposition(|byte| *byte == b')')? + 1..];
    let mut fields = behind.split(|byte| *byte == b' ').filter(|field| !field.is_empty()).skip(4 - 3);
    let mut number = |skip| str::from_utf8(fields.nth(skip)?).ok()?.trim_ascii_end().parse::<u64>().ok();
    let (parent, start) = (number(0)?, number(22 - 5)?);
    Some((u32::try_from(parent).ok()?, start))
}

/// The last of `NSpid` in `/proc/<pid>/status`: the others are those of the namespaces around its own.
fn namespace_pid(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"))?;
    let last = line.split(u8::is_ascii_whitespace).rfind(|field| !field.is_empty())?;
    str::from_utf8(last).ok()?.parse().ok()
}

fn cgroup_id(path: &[u8], config: &ProcessConfig) -> u64 {
    config.hierarchy.id_of(Path::new(OsStr::from_bytes(path))).unwrap_or(0)
}

/// As much of the arguments as the kernel half copies, without what `setproctitle` leaves behind.
fn command_line(directory: &Path) -> Vec<u8> {
    let mut list = Vec::new();
    let read =
        File::open(directory.join("cmdline")).and_then(|file| file.take(LENGTH_MAX as u64).read_to_end(&mut list));
    let text = list.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if read.is_err() {
        list.clear();
    } else if list.len() < LENGTH_MAX {
        list.truncate(text);
    }
    list
}

/// The kernel marks the name of a file that has none any more (`d_path` in `fs/d_path.c`). Of the files in memory some
/// have a name that is no path.
fn path(link: &[u8]) -> &[u8] {
    let path = link.strip_suffix(b" (deleted)").unwrap_or(link);
    if path.windows(2).any(|bytes| bytes == b"//") { b"" } else { path }
}

#[cfg(test)]
mod tests;
