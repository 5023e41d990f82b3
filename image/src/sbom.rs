//! The bill of materials: `CycloneDX` 1.5 of the crates that are linked into the programs, and of nothing that only builds them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use toml::Table;

use crate::platform::Platform;
use crate::program::{answer, cargo, rustc};
use crate::workspace;

/// A crate by name and version.
type Id = (String, String);

/// What `cargo tree` says of a crate.
#[derive(Debug, Default)]
struct Linked {
    license: String,
    needs: BTreeSet<Id>,
}

/// Of the exporter for a platform, with the hook and the eBPF programs that are inside of it. Without a time and without a serial
/// number, which would make two of one program differ.
///
/// # Errors
/// cargo does not tell, or Cargo.lock is not to be read.
pub fn sbom(platform: Platform) -> Result<Vec<u8>> {
    let target = platform.target();
    let mut linked = BTreeMap::new();
    let exporter = tree("inotrail", &target, &mut linked)?;
    for (package, target) in [("inotrail-oci-hook", &*target), ("inotrail-ebpf", "bpfel-unknown-none")] {
        let inside = tree(package, target, &mut linked)?;
        linked.entry(exporter.clone()).or_default().needs.insert(inside);
    }
    let checksums = checksums()?;
    let main = linked.remove(&exporter).context("cargo does not know the exporter")?;
    let standard = standard_library()?;
    let mut dependencies = vec![needs(&exporter, &main, Some(&standard))];
    let mut components = vec![standard];
    for (id, linked) in &linked {
        components.push(component("library", id, &linked.license, checksums.get(id)));
        dependencies.push(needs(id, linked, None));
    }
    let bom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": component("application", &exporter, &main.license, None),
            "properties": [{"name": "target", "value": target}],
        },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_vec_pretty(&bom)?)
}

/// Adds what is linked into a package, as cargo resolves it for a target. Returns the package.
fn tree(package: &str, target: &str, linked: &mut BTreeMap<Id, Linked>) -> Result<Id> {
    let mut cargo = Command::new(cargo());
    cargo.current_dir(workspace()).args(["tree", "--locked", "--package", package, "--target", target]);
    cargo.args(["--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", " {p}\t{l}"]);
    let text = answer(&mut cargo)?;
    parse(&text, linked).with_context(|| format!("cargo tree of {package}"))
}

/// Reads lines of a depth, a name, a version and, behind a tab, a licence. A crate's own lines follow it the first time alone.
fn parse(text: &str, linked: &mut BTreeMap<Id, Linked>) -> Option<Id> {
    let mut above: Vec<Id> = Vec::new();
    for line in text.lines() {
        let (package, license) = line.split_once('\t')?;
        let mut words = package.split(' ');
        let depth: usize = words.next()?.parse().ok()?;
        let id = (words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned());
        above.truncate(depth);
        if let Some(user) = above.last() {
            linked.get_mut(user)?.needs.insert(id.clone());
        }
        // The older way to write a choice.
        linked.entry(id.clone()).or_default().license = license.trim_end_matches(" (*)").replace('/', " OR ");
        above.push(id);
    }
    above.into_iter().next()
}

/// What Cargo.lock holds against the crates that it fetches.
fn checksums() -> Result<BTreeMap<Id, String>> {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).context("read Cargo.lock")?;
    let lock: Table = lock.parse().context("Cargo.lock")?;
    let packages =
        lock.get("package").and_then(|packages| packages.as_array()).context("Cargo.lock has no packages")?;
    let checksum = |package: &toml::Value| {
        let text = |key| Some(package.get(key)?.as_str()?.to_owned());
        Some(((text("name")?, text("version")?), text("checksum")?))
    };
    Ok(packages.iter().filter_map(checksum).collect())
}

/// Rust's own libraries, and musl, which comes with them.
fn standard_library() -> Result<Value> {
    let text = rustc(&["--version"])?;
    let version = text.split(' ').nth(1).context("rustc tells no version")?;
    Ok(json!({
        "type": "library", "bom-ref": format!("pkg:generic/rust-std@{version}"), "name": "rust-std", "version": version,
        "description": "Rust's standard library, with musl", "purl": format!("pkg:generic/rust-std@{version}"),
        "licenses": [{"expression": "(MIT OR Apache-2.0) AND MIT"}],
    }))
}

fn component(kind: &str, id: &Id, license: &str, checksum: Option<&String>) -> Value {
    let mut component = json!({
        "type": kind, "bom-ref": reference(id), "name": id.0, "version": id.1, "purl": reference(id),
        "licenses": [{"expression": license}],
    });
    if let Some(checksum) = checksum {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

fn needs(id: &Id, linked: &Linked, more: Option<&Value>) -> Value {
    let references = linked.needs.iter().map(|id| json!(reference(id)));
    let more = more.map(|component| component["bom-ref"].clone());
    json!({"ref": reference(id), "dependsOn": references.chain(more).collect::<Vec<_>>()})
}

fn reference((name, version): &Id) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_tree() {
        let text = "0 a v1.0.0 (/where/a)\tApache-2.0\n1 b v2.0.0+x\tMIT/Apache-2.0\n2 c v3.0.0\tMIT\n\
                    1 c v3.0.0\tMIT\n1 d v4.0.0\tMIT\n2 b v2.0.0+x\tMIT/Apache-2.0 (*)\n";
        let id = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let mut linked = BTreeMap::new();
        assert_eq!(parse(text, &mut linked), Some(id("a", "1.0.0")));
        let needs = |name: &str, version: &str| {
            let needs = linked[&id(name, version)].needs.iter().map(|(name, _)| name.as_str());
            needs.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(needs("a", "1.0.0"), "b c d");
        assert_eq!(needs("b", "2.0.0+x"), "c");
        assert_eq!(needs("c", "3.0.0"), "");
        assert_eq!(needs("d", "4.0.0"), "b");
        assert_eq!(linked[&id("b", "2.0.0+x")].license, "MIT OR Apache-2.0");
        assert_eq!(reference(&id("b", "2.0.0+x")), "pkg:cargo/b@2.0.0%2Bx");
        assert_eq!(parse("no depth\tMIT\n", &mut linked), None);
    }
}
