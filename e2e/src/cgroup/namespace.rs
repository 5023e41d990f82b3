//! Cgroups as a process with a cgroup namespace of its own finds them: in a pod the exporter is one, on cgroup version 2.

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::{fs, process};

use anyhow::{Context as _, Result, ensure};
use inotrail::container::cgroup::Hierarchy;
use rustix::thread::UnshareFlags;

use super::Cgroup;

/// Proves that it finds its own cgroup, and that of a process beside it. Takes a program that calls [`look`] with the
/// arguments behind `namespaced`.
///
/// # Errors
/// It does not.
pub fn prove(guest: &Path) -> Result<String> {
    let (hierarchy, pod) = (Hierarchy::detect()?, Cgroup::create_top("pod")?);
    let before = hierarchy.directory(&hierarchy.own_cgroup()?).join("cgroup.procs");
    let (own, other) = (pod.add("own")?, pod.add("other")?);
    let pid = process::id().to_string();
    fs::write(other.join("cgroup.procs"), &pid).context("enter a cgroup")?;
    let mut command = Command::new(guest);
    command.arg("namespaced").args([pod.path(), &own, Path::new(&pid)]);
    let output = command.output().context("run the guest");
    fs::write(before, &pid).context("go back to the cgroup from before")?;
    let output = output?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// In a namespace whose root is the cgroup at `own`: whether this process is found there, below `pod`, and the one with this
/// id beside it.
///
/// # Errors
/// One is found elsewhere, or nowhere.
#[expect(deprecated, reason = "the safe call: only unsharing descriptors is unsafe, and this does not")]
pub fn look(pod: &Path, own: &Path, pid: u32) -> Result<()> {
    fs::write(own.join("cgroup.procs"), process::id().to_string()).context("enter a cgroup")?;
    rustix::thread::unshare(UnshareFlags::NEWCGROUP).context("unshare the cgroup namespace")?;
    let shown = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    ensure!(shown.contains(":/../other\n"), "this is no namespace of its own: {shown}");
    let hierarchy = Hierarchy::detect()?;
    let found = [process::id(), pid].map(|pid| hierarchy.cgroup_of_process(pid));
    for (found, name) in found.into_iter().zip(["own", "other"]) {
        let (found, expected) = (found.context(shown.clone())?, pod.join(name));
        ensure!(
            *found == *expected.as_os_str().as_encoded_bytes(),
            "{} for {}",
            found.escape_ascii(),
            expected.display()
        );
        let id = hierarchy.id_of(&expected).with_context(|| expected.display().to_string())?;
        ensure!(id == fs::metadata(own.with_file_name(name))?.ino(), "{} has another id", expected.display());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "found {} beside it, in a namespace of its own of {hierarchy:?}", pod.join("other").display())?;
    Ok(())
}
