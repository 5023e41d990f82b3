//! The README's quick start, line by line, by somebody who has nothing but a cluster.
//!
//! What this cluster must have besides: its nodes have the images already, under the names that the README gives them (a shell
//! with programs stands for busybox, and is one), and `helm install` gets values as well: Grafana's image cannot be had, and nodes
//! that share a kernel have a cgroup each.

use std::fs;
use std::path::Path;

use e2e::cluster::Release;
use e2e::image;

const SECTION: &str = "\n## Install with Helm\n";
/// Images by the names that the README gives them.
const IMAGES: [(&str, &str); 2] = [
    (image::NAME, "docker.io/library/busybox:1.37"),
    (
        concat!("ghcr.io/inotrail/inotrail:", env!("CARGO_PKG_VERSION")),
        concat!("registry.example/inotrail:", env!("CARGO_PKG_VERSION")),
    ),
];

/// Installs the chart, and finds what a pod reads, as the README shows it.
pub(super) fn shows_what_the_readme_shows(release: &Release<'_>) {
    for node in &release.cluster.nodes {
        for (name, other) in IMAGES {
            node.containerd.ctr(&["images", "tag", name, other]).unwrap();
        }
    }
    let said = release.script(&block("sh", 0)).unwrap();
    let lines: Vec<_> = said.lines().map(without_numbers).collect();
    for line in block("text", 0).lines() {
        assert!(lines.contains(&without_numbers(line)), "no {line} in\n{said}");
    }
    eprintln!("{said}");
}

/// Uninstalls it as the README says.
pub(super) fn ends(release: &Release<'_>) {
    eprintln!("{}", release.script(&block("sh", 1)).unwrap());
}

/// A block of the section, by its language and number.
fn block(language: &str, number: usize) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, section) = text.split_once(SECTION).unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let start = format!("\n```{language}\n");
    let mut blocks = section.split(&start).skip(1);
    let (block, _) = blocks.nth(number).unwrap().split_once("\n```").unwrap();
    block.to_owned()
}

/// Other times, processes and nodes are as good.
fn without_numbers(line: &str) -> String {
    line.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("0")
}
