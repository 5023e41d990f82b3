//! The first file system of a node's machine: programs, and the node's files where they are on this system.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{MANIFESTS, STEPS, Step};
use crate::containerd::CNI;
use crate::initramfs::Initramfs;
use crate::kernels::Kernel;
use crate::kubernetes::ApiServer;
use crate::vm::boot;
use crate::vm::programs::strip;
use crate::{exporter, image, tools};

/// Its network device, containers' file systems, pods' network, and what kube-proxy's rules are made of.
const MODULES: [&str; 12] = [
    "virtio_net",
    "overlay",
    "bridge",
    "veth",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_fib_ipv4",
    "nft_masq",
    "nft_nat",
    "nft_numgen",
    "nft_reject_ipv4",
];
/// What kubelet, containerd and kube-proxy run besides.
const SYSTEM: [&str; 3] = ["/usr/bin/mount", "/usr/bin/umount", "/usr/sbin/nft"];

/// Writes it into the node's folder.
pub(super) fn write(folder: &Path, kernel: &Kernel, api: &ApiServer, steps: &[Step]) -> Result<PathBuf> {
    let path = folder.join("initramfs");
    let mut archive = Initramfs::create(&path)?;
    let manifests = folder.join(MANIFESTS);
    for empty in ["/var/lib", "/var/log", "/tmp", &manifests.to_string_lossy()] {
        archive.folder(empty)?;
    }
    boot::add_modules(&mut archive, kernel, &MODULES)?;
    for (source, target) in programs(folder)? {
        archive.program(&source, &target)?;
    }
    archive.file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")?;
    archive.file("/etc/hosts", b"127.0.0.1 localhost\n")?;
    archive.file(STEPS, &serde_json::to_vec(steps)?)?;
    for file in [files(folder)?, files(&folder.join("cni/conf"))?, files(&api.users())?].concat() {
        if file != path {
            archive.file(&file.to_string_lossy(), &fs::read(&file)?)?;
        }
    }
    archive.finish()?;
    Ok(path)
}

/// Programs, and where they go.
fn programs(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let (containerd, runc, kubernetes) = (tools::containerd()?, tools::runc()?, tools::kubernetes()?);
    let mut programs = vec![(image::busybox()?, "/bin/busybox".to_owned())];
    let stripped = folder.join("stripped");
    fs::create_dir_all(&stripped).with_context(|| format!("create {}", stripped.display()))?;
    for (source, target) in [(exporter::built("node")?, "/init"), (exporter::binary()?, "/bin/inotrail")] {
        let copy = stripped.join(source.file_name().unwrap_or_default());
        strip(ARCH, &source, &copy)?;
        programs.push((copy, target.to_owned()));
    }
    for name in ["containerd", "ctr", "containerd-shim-runc-v2"] {
        programs.push((containerd.join(name), format!("/bin/{name}")));
    }
    programs.push((runc.join("runc"), "/bin/runc".to_owned()));
    for name in ["kubelet", "kube-proxy"] {
        programs.push((kubernetes.join(name), format!("/bin/{name}")));
    }
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    programs.extend(SYSTEM.map(|path| (PathBuf::from(path), format!("/bin/{}", name(path)))));
    let plugins = ["bridge", "host-local", "loopback"].map(|name| Path::new(CNI).join(name));
    programs.extend(plugins.map(|plugin| (plugin.clone(), plugin.to_string_lossy().into_owned())));
    Ok(programs)
}

/// The files of a folder, without those of folders in it.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.is_file());
    Ok(files)
}
