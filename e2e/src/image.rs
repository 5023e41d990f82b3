//! A container image made of Debian's static busybox, without an engine: an OCI image layout in a tar archive.

mod chart;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use inotrail_image::layout::{Entry, Kind, Layer, Layout};
use inotrail_image::platform::Platform;
use serde_json::{Value, json};

use crate::kernels::cache;

pub use chart::{write as write_chart, write_exporter};

/// The image's name.
pub const NAME: &str = "docker.io/inotrail/demo:1";

/// The same with a program that waits: for the container that holds a pod's namespaces.
pub const PAUSE: &str = "docker.io/inotrail/pause:1";

/// User and group that is not root.
pub const USER: u32 = 1000;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/tmp:/bin/sh\n";

/// A file or directory of the image, and its mode; a directory's path ends in `/`.
const FILES: [(&str, u32, &str); 8] = [
    ("bin/", 0o755, ""),
    ("etc/", 0o755, ""),
    ("etc/passwd", 0o644, PASSWD),
    ("etc/group", 0o644, "root:x:0:\nweb:x:1000:\n"),
    ("etc/shadow", 0o600, "root:*:20000:0:99999:7:::\nweb:*:20000:0:99999:7:::\n"),
    ("root/", 0o700, ""),
    ("srv/", 0o755, ""),
    ("tmp/", 0o1777, ""),
];

/// Writes [`NAME`] and [`PAUSE`] to `path`. Returns the digest of [`NAME`]: `sha256:…`.
///
/// # Errors
/// There is no static busybox, or the archive cannot be written.
pub fn write(path: &Path) -> Result<String> {
    let layer = Layer::new(&entries(&busybox()?)?)?;
    let mut layout = Layout::default();
    let mut image = |name: &str, command: &[&str]| {
        let mut config = Platform::own().json();
        config["config"] = json!({"Cmd": command, "Env": ["PATH=/bin"]});
        let image = layout.image(config, &layer, &Value::Null)?;
        layout.name(image.clone(), name, "1");
        anyhow::Ok(image)
    };
    let named = image(NAME, &["/bin/sh"])?;
    image(PAUSE, &["/bin/sleep", "1000000"])?;
    layout.write(path)?;
    Ok(named["digest"].as_str().unwrap_or_default().to_owned())
}

fn entries(busybox: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (name, mode, content) in FILES {
        entries.push(match name.strip_suffix('/') {
            Some(path) => Entry { mode, ..Entry::folder(path) },
            None => Entry::file(name, mode, content),
        });
    }
    let program = fs::read(busybox).with_context(|| format!("read {}", busybox.display()))?;
    entries.push(Entry::file("bin/busybox", 0o755, program));
    let applets = Command::new(busybox).arg("--list").output().context("list the applets of busybox")?;
    for applet in String::from_utf8(applets.stdout)?.lines().filter(|applet| *applet != "busybox") {
        // Hard links: the kernel names the executable by the link it was found by, so a program is `/bin/cat`.
        let kind = Kind::Link("bin/busybox".to_owned());
        entries.push(Entry { path: format!("bin/{applet}"), mode: 0o755, kind });
    }
    Ok(entries)
}

/// Debian's static busybox: the installed one, or where that would have replaced another one, `make setup`'s own copy.
pub(crate) fn busybox() -> Result<PathBuf> {
    let copy = cache()?.join("busybox-static/bin/busybox");
    let installed = PathBuf::from("/bin/busybox");
    [copy, installed].into_iter().find(|path| path.exists()).context("no static busybox: run `make setup`")
}
