//! A file that a rule names is reported by whatever name it is reached, and no other is: made later, replaced, linked, mounted
//! a second time. By the whole exporter, on a process with a root of its own.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use inotrail::event::Backend;
use serde_json::{Value, json};

use crate::cgroup::Cgroup;
use crate::exporter::{Attributes, Trace};
use crate::folder::Folder;
use crate::interrupt;
use crate::puppet::{Order, Puppet};

const ID: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

const POLICY: &str = "\
apiVersion: inotrail.dev/v1alpha1
kind: ClusterFileAccessPolicy
metadata: {name: watched}
spec:
  rules:
  - {name: secret, paths: [/etc/secret, /etc/later]}
  - {name: folder, paths: ['/srv/**'], operations: [open]}
";

/// An access to a file that was linked or mounted just now is made until it is seen: the exporter may not have looked again.
const AGAIN: Duration = Duration::from_secs(20);

/// Accesses of the puppet so far.
struct Scene {
    puppet: Puppet,
    trace: Trace,
    reported: BTreeSet<String>,
}

/// Lets a puppet access files. `exporter`: how `inotrail` is started.
///
/// # Errors
/// A watched file is not reported, or another one is.
pub fn prove(backend: Backend, exporter: Command, guest: &Path, base: &Path) -> Result<String> {
    let folder = Folder::new(None)?;
    let top = Cgroup::create_top("inotrail-watched")?;
    let cgroup = top.add(ID)?;
    let (policy, socket) = (folder.as_ref().join("policy.yaml"), folder.as_ref().join("hook.sock"));
    std::fs::write(&policy, POLICY)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let arguments = [
        ["--backend", backend.as_str()],
        ["--policy", &text(&policy)],
        ["--hook-socket", &text(&socket)],
        ["--cgroup-root", &text(top.path())],
        ["--runtime", "none"],
        ["--kubernetes", "never"],
    ];
    let trace = Trace::start_program(exporter, &arguments.concat())?;
    trace.wait_for_log("watching by", 1)?;
    let puppet = Puppet::start(guest, base, &cgroup.join("cgroup.procs"))?;
    let state = json!({"ociVersion": "1.0.2", "id": ID, "status": "created", "pid": puppet.pid(), "bundle": "/"});
    interrupt::wait_for("answer of the exporter", AGAIN, || {
        Ok(inotrail_oci_hook::tell(&socket, Cursor::new(state.to_string())).ok())
    })?;
    let mut scene = Scene { puppet, trace, reported: BTreeSet::new() };
    scene.play()?;
    scene.check()?;
    Ok(format!("{} paths told, no other", scene.reported.len()))
}

impl Scene {
    fn play(&mut self) -> Result<()> {
        use Order::{Bind, Link, Mkdir, Read, Rename, Symlink, Write};
        for folder in ["/etc", "/tmp", "/srv", "/srv/sub"] {
            self.puppet.order(Mkdir(folder))?;
        }
        // Not watched, all of them.
        for file in ["/etc/other", "/tmp/secre", "/tmp/secretary", "/etc/new", "/srv/made"] {
            self.puppet.order(Write(file))?;
        }
        self.told(Write("/etc/secret"), "/etc/secret", "create")?;
        self.told(Read("/etc/secret"), "/etc/secret", "open")?;
        self.told(Read("/srv/made"), "/srv/made", "open")?;
        self.puppet.order(Link("/etc/secret", "/tmp/linked"))?;
        self.told(Read("/tmp/linked"), "/tmp/linked", "open")?;
        self.puppet.order(Bind("/etc/secret", "/tmp/mounted"))?;
        self.told(Read("/tmp/mounted"), "/tmp/mounted", "open")?;
        self.puppet.order(Symlink("/etc/secret", "/tmp/symbolic"))?;
        self.told(Read("/tmp/symbolic"), "/etc/secret", "open")?;
        // Replaced: the new one is watched, and what the old one is called is not.
        self.puppet.order(Link("/etc/secret", "/tmp/old"))?;
        self.puppet.order(Rename("/etc/new", "/etc/secret"))?;
        self.told(Read("/etc/secret"), "/etc/secret", "open")?;
        self.puppet.order(Link("/etc/secret", "/tmp/again"))?;
        self.told(Read("/tmp/again"), "/tmp/again", "open")?;
        self.puppet.order(Read("/tmp/old"))?;
        // Made later, by another name.
        self.puppet.order(Write("/tmp/before"))?;
        self.puppet.order(Rename("/tmp/before", "/etc/later"))?;
        self.told(Read("/etc/later"), "/etc/later", "open")?;
        for file in ["/etc/other", "/tmp/secre", "/tmp/secretary"] {
            self.puppet.order(Read(file))?;
        }
        // What was done before is told before.
        self.told(Read("/srv/made"), "/srv/made", "open")
    }

    /// Has the puppet access a file until that is told; writing makes a file once.
    fn told(&mut self, order: Order<'_>, path: &str, operation: &str) -> Result<()> {
        let Self { puppet, trace, reported } = self;
        let is_it = |event: &&Attributes| {
            text(event, "file.path") == path && text(event, "inotrail.file.operation") == operation
        };
        let count = || trace.look(|events| events.iter().filter(is_it).count());
        let (before, mut made) = (count(), false);
        interrupt::wait_for("record of a watched file", AGAIN, || {
            if !made || !matches!(order, Order::Write(_)) {
                puppet.order(order)?;
                made = true;
            }
            // Shown some milliseconds later.
            Ok((count() > before).then_some(()))
        })
        .with_context(|| format!("{order:?}"))?;
        reported.insert(path.to_owned());
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let paths = |events: &[Attributes]| -> BTreeSet<_> {
            events.iter().map(|event| text(event, "file.path").to_owned()).collect()
        };
        let told = self.trace.look(paths);
        ensure!(told == self.reported, "told of {told:?}, and not of {:?}", self.reported);
        Ok(())
    }
}

fn text<'a>(event: &'a Attributes, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}
