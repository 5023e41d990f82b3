//! What a user of the cluster types.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use super::Release;
use crate::{chart, interrupt, tools};

/// Pods start and end meanwhile.
const LIMIT: Duration = Duration::from_secs(300);

impl Release<'_> {
    /// Runs a shell script in the repository, with `kubectl` and `helm` for this cluster, until a line of it fails. What a release
    /// takes to run here, `helm install` gets in addition to its arguments. Returns what all of it has printed.
    ///
    /// # Errors
    /// A line fails, or it takes too long.
    pub fn script(&self, lines: &str) -> Result<String> {
        let folder = tempfile::tempdir()?;
        let path: &Path = folder.as_ref();
        let helm = path.join("helm");
        fs::write(&helm, self.helm_here()?)?;
        fs::set_permissions(&helm, Permissions::from_mode(0o755))?;
        let search = std::env::var("PATH").unwrap_or_default();
        let search = format!("{}:{}:{search}", path.display(), tools::kubernetes()?.display());
        let log = path.join("log");
        let output = File::create(&log)?;
        let mut command = Command::new("sh");
        command.args(["-e", "-c", lines]).current_dir(chart::folder().join("..")).process_group(0);
        command.env("PATH", search).env("HOME", path).env("KUBECONFIG", &self.cluster.api.kubeconfig);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut shell = command.spawn().context("start a shell")?;
        let ended = interrupt::wait_for("end of a script", LIMIT, || Ok(shell.try_wait()?));
        // With whatever it has started and left.
        if let Some(group) = Pid::from_raw(shell.id().cast_signed())
            && let Err(error) = kill_process_group(group, Signal::TERM)
        {
            ensure!(error == Errno::SRCH, "end a script: {error}");
        }
        let said = fs::read_to_string(log)?;
        let status = ended.with_context(|| said.clone())?;
        ensure!(status.success(), "{status} of\n{lines}\n{said}");
        Ok(said)
    }

    /// A program that is called as Helm is.
    fn helm_here(&self) -> Result<String> {
        let (helm, values) = (tools::helm()?.join("helm"), self.values.display());
        Ok(format!(
            r#"#!/bin/sh
[ "$1" != install ] || set -- "$@" --values '{values}'
exec '{}' "$@"
"#,
            helm.display()
        ))
    }
}
