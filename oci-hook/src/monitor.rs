//! conmon: the process that podman and CRI-O run beside each container, and that is told the container's name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The hook's parent is the OCI runtime, whose parent is the monitor; a shell may stand in between.
const LEVELS: usize = 3;
/// Bytes of a file of procfs that are looked at: the kernel's page. conmon's name is one of its first arguments.
const LOOK: u64 = 4096;

/// What the monitor above a process calls its container (`conmon --name`); `None` where there is no conmon. `proc`: where
/// procfs is mounted.
pub(super) fn of_process(proc: &Path, pid: u32) -> Option<String> {
    let mut pid = pid;
    for _ in 0..LEVELS {
        pid = parent(&read(&proc.join(format!("{pid}/stat"))).ok()?)?;
        let arguments = read(&proc.join(format!("{pid}/cmdline"))).ok()?;
        if is_conmon(&arguments) {
            return name(&arguments);
        }
    }
    None
}

/// With one call each: files of procfs have no size, from which the standard library would know how much to read.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(2 * LOOK as usize);
    File::open(path)?.take(LOOK).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Field 4 of `/proc/<pid>/stat`. Field 2 is the command in brackets and may hold anything, brackets too.
fn parent(stat: &[u8]) -> Option<u32> {
    let behind = &stat[stat.iter().rposition(|byte| *byte == b')')? + 1..];
    let field = behind.split(|byte| *byte == b' ').filter(|field| !field.is_empty()).nth(1)?;
    str::from_utf8(field).ok()?.parse().ok().filter(|pid| *pid > 0)
}

fn is_conmon(arguments: &[u8]) -> bool {
    let program = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    let file = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    file == b"conmon" || file == b"conmon-rs"
}

fn name(arguments: &[u8]) -> Option<String> {
    let mut arguments = arguments.split(|byte| *byte == 0);
    arguments.find(|argument| *argument == b"-n" || *argument == b"--name")?;
    let name = str::from_utf8(arguments.next()?).ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names() {
        let check = |arguments: &str, expected: Option<&str>| {
            let bytes = arguments.replace(' ', "\0");
            let found = is_conmon(bytes.as_bytes()).then(|| name(bytes.as_bytes())).flatten();
            assert_eq!(found.as_deref(), expected, "{arguments}");
        };
        check("/usr/bin/conmon --api-version 1 -c 00 -n web -b /x ", Some("web"));
        check("conmon --name web ", Some("web"));
        check("conmon -n  ", None);
        check("conmon -n", None);
        check("conmon -b /x ", None);
        check("/usr/bin/conmonster -n web ", None);
        check("", None);
    }

    #[test]
    fn looks_above_the_hook_for_some_levels() {
        let proc = std::env::temp_dir().join(format!("inotrail-monitor-{}", std::process::id()));
        let process = |pid: u32, parent: u32, arguments: &str| {
            let folder = proc.join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("stat"), format!("{pid} (a) b) S {parent} 1 1")).unwrap();
            fs::write(folder.join("cmdline"), arguments.replace(' ', "\0")).unwrap();
        };
        process(10, 9, "hook");
        process(9, 8, "runc create");
        process(8, 1, "conmon -n web");
        process(1, 0, "init");
        process(7, 10, "sh");
        process(6, 7, "too deep");
        assert_eq!(of_process(&proc, 10).as_deref(), Some("web"));
        assert_eq!(of_process(&proc, 7).as_deref(), Some("web"));
        assert_eq!(of_process(&proc, 6), None);
        assert_eq!(of_process(&proc, 1), None);
        assert_eq!(of_process(&proc, 99), None);
        fs::remove_dir_all(&proc).unwrap();
    }
}
