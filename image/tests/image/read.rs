//! Reading an archive back.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use inotrail_image::layout::digest;
use serde_json::Value;
use tar::Archive;

/// A file of a layer.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) mode: u32,
    /// User and group.
    pub(crate) owner: (u64, u64),
    /// Seconds since 1970.
    pub(crate) time: u64,
    digest: String,
}

#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) config: Value,
    /// In the order of their paths.
    pub(crate) files: Vec<File>,
}

/// An archive's only image.
pub(crate) fn archive(path: &Path) -> Image {
    let files = unpack(path);
    let named = json(&files["index.json"])["manifests"].as_array().unwrap().clone();
    assert_eq!(named.len(), 1, "{named:?}");
    let manifest = json(blob(&files, &named[0]));
    let layers = manifest["layers"].as_array().unwrap();
    let mut read: Vec<_> = layers.iter().flat_map(|layer| layer_files(blob(&files, layer))).collect();
    read.sort_by(|one, other| one.path.cmp(&other.path));
    Image { config: json(blob(&files, &manifest["config"])), files: read }
}

/// The images that an archive's only index has.
pub(crate) fn index(path: &Path) -> Vec<Value> {
    let files = unpack(path);
    let index = json(blob(&files, &json(&files["index.json"])["manifests"][0]));
    index["manifests"].as_array().unwrap().clone()
}

fn unpack(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = Archive::new(fs::File::open(path).unwrap());
    let read = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
    });
    read.collect()
}

/// What a descriptor describes.
fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let name = descriptor["digest"].as_str().unwrap();
    let bytes = &files[&format!("blobs/{}", name.replace(':', "/"))];
    assert_eq!((digest(bytes), Some(bytes.len() as u64)), (name.to_owned(), descriptor["size"].as_u64()));
    bytes
}

fn layer_files(layer: &[u8]) -> Vec<File> {
    let mut tar = Vec::new();
    if layer.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(layer).read_to_end(&mut tar).unwrap();
    } else {
        tar.extend_from_slice(layer);
    }
    let mut archive = Archive::new(&tar[..]);
    let read = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let header = entry.header();
        let kind = header.entry_type();
        assert!(kind.is_dir() || kind.is_file(), "{kind:?}");
        File {
            path: entry.path().unwrap().to_string_lossy().into_owned(),
            mode: header.mode().unwrap() & 0o7777,
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            time: header.mtime().unwrap(),
            digest: digest(&bytes),
        }
    });
    read.collect()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}
