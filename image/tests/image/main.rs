//! The exporter's image: built as a release is, but with the profile `dev` unless `INOTRAIL_IMAGE_PROFILE` says another. Needs root
//! and podman.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod engine;
mod read;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use engine::Engine;
use inotrail_image::layout::{Entry, Kind};
use inotrail_image::platform::Platform;
use inotrail_image::release::{self, Source};
use inotrail_image::{content, program, sbom};
use read::{File, Image};

const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
/// 2026-01-01.
const EPOCH: i64 = 1_767_225_600;

/// One build serves all: what it made is the argument of each part.
#[test]
fn image() {
    let profile = std::env::var("INOTRAIL_IMAGE_PROFILE").unwrap_or_else(|_| "dev".to_owned());
    let platform = Platform::own();
    let program = program::build(platform, &profile, REVISION).unwrap();
    let entries = content::entries(program, sbom::sbom(platform).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = same_again(platform, &entries, folder.path());
    let ours = read::archive(&archive);
    has_exactly(&ours);
    let root = folder.path().join("image");
    content::unpack(&entries, &root).unwrap();
    runs(&root);
    names_no_place(&root);
    let engine = Engine::start(folder.path());
    engine.pull(&archive);
    same_by_dockerfile(&engine, &ours, folder.path());
}

/// Two writings differ in nothing; those for two platforms hold both.
fn same_again(platform: Platform, entries: &[Entry], folder: &Path) -> std::path::PathBuf {
    let source = Source { revision: REVISION.to_owned(), epoch: Some(EPOCH) };
    let images = Platform::ALL.map(|platform| (platform, entries.to_vec()));
    let [one, other] = ["one", "other"].map(|name| release::write(&images, &source, &folder.join(name)).unwrap());
    assert_eq!(one.len(), 3);
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one.digest, other.digest);
        assert!(fs::read(&one.path).unwrap() == fs::read(&other.path).unwrap(), "{} differs", one.path.display());
    }
    let choice = read::index(&one[2].path);
    let platforms: Vec<_> = choice.iter().map(|image| image["platform"]["architecture"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    let digests: Vec<_> = choice.iter().map(|image| image["digest"].as_str().unwrap()).collect();
    assert_eq!(digests, [&*one[0].digest, &*one[1].digest]);
    let program = entries.iter().find(|entry| entry.path == content::PROGRAM).unwrap();
    let read = release::program(&folder.join("one"), platform).unwrap();
    assert!(matches!(&program.kind, Kind::File(bytes) if *bytes == read), "another program is in the archive");
    one.into_iter().zip(Platform::ALL).find(|(_, its)| *its == platform).unwrap().0.path
}

fn has_exactly(image: &Image) {
    let names: Vec<_> = image.files.iter().map(|file| format!("{:o} {}", file.mode, file.path)).collect();
    let expected = [
        "755 etc/",
        "755 etc/ssl/",
        "755 etc/ssl/certs/",
        "644 etc/ssl/certs/ca-certificates.crt",
        "755 inotrail",
        "755 usr/",
        "755 usr/share/",
        "755 usr/share/doc/",
        "755 usr/share/doc/inotrail/",
        "644 usr/share/doc/inotrail/LICENSE",
        "644 usr/share/doc/inotrail/NOTICE",
        "644 usr/share/doc/inotrail/inotrail.cdx.json",
    ];
    assert_eq!(names, expected);
    assert!(image.files.iter().all(|File { owner, time, .. }| (*owner, *time) == ((0, 0), 0)), "{:?}", image.files);
    assert_eq!(image.config["created"], "2026-01-01T00:00:00Z");
    assert_eq!(image.config["config"]["Labels"]["org.opencontainers.image.revision"], REVISION);
}

/// With nothing else in its root, as whoever has no right to anything.
fn runs(root: &Path) {
    assert_eq!(fs::metadata(root.join("inotrail")).unwrap().mtime(), 0);
    let run = |arguments: &[&str]| {
        let mut chroot = Command::new("chroot");
        chroot.arg("--userspec=65534:65534").arg(root).arg("/inotrail").args(arguments).env_clear();
        chroot.env("PATH", "/usr/sbin:/usr/bin").output().unwrap()
    };
    let version = run(&["--version"]);
    let text = String::from_utf8_lossy(&version.stdout);
    let start = format!("inotrail {} (revision {}, BPF object sha256:", release::VERSION, &REVISION[..12]);
    assert!(version.status.success() && text.starts_with(&start), "{text}{version:?}");
    let crd = run(&["crd"]);
    assert!(String::from_utf8_lossy(&crd.stdout).contains("fileaccesspolicies"), "{crd:?}");
}

/// Else it would be another program where the source lies elsewhere.
fn names_no_place(root: &Path) {
    let program = fs::read(root.join("inotrail")).unwrap();
    let workspace = inotrail_image::workspace().canonicalize().unwrap();
    let home = std::env::home_dir().unwrap();
    for place in [workspace.as_path(), &home.join(".cargo"), &home.join(".rustup")] {
        let name = place.to_str().unwrap().as_bytes();
        let found = memchr::memmem::find(&program, name);
        let around = found.map(|at| String::from_utf8_lossy(&program[at..program.len().min(at + 120)]).into_owned());
        assert!(around.is_none(), "{}: {around:?}", place.display());
    }
}

/// The Dockerfile's last stage, by an engine, from the folder that its first stage makes. The first stage needs a registry.
fn same_by_dockerfile(engine: &Engine, ours: &Image, folder: &Path) {
    let dockerfile = fs::read_to_string(inotrail_image::workspace().join("Dockerfile")).unwrap();
    let (first, last) = dockerfile.split_once("\nFROM scratch\n").unwrap();
    let toolchain = fs::read_to_string(inotrail_image::workspace().join("rust-toolchain.toml")).unwrap();
    let version = toolchain.split("channel = \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(first.contains(&format!("/rust:{version}-")), "the Dockerfile takes another compiler than {version}");
    let theirs = engine.build(&format!("FROM scratch\n{last}"), folder, REVISION);
    let theirs = read::archive(&theirs);
    assert_eq!(theirs.files, ours.files);
    let said = |image: &Image| {
        let mut config = image.config["config"].clone();
        let labels = config["Labels"].as_object_mut().unwrap();
        labels.retain(|name, _| !name.starts_with("io.buildah.") && !name.ends_with(".created"));
        [config, image.config["architecture"].clone(), image.config["os"].clone()]
    };
    assert_eq!(said(&theirs), said(ours));
}
