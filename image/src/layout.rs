//! Layers, and archives of images: the OCI image layout in a tar file (image specification 1.1).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// Of an image for one platform.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Of a choice of images.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A file of an image. Its owner is root, its time 1970: neither says anything.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where, without a `/` before it.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// What.
    pub kind: Kind,
}

/// What a file of an image is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file, and what is in it.
    File(Vec<u8>),
    /// Another name of the file at this path, which comes before.
    Link(String),
}

impl Entry {
    /// A folder that root may change.
    #[must_use]
    pub fn folder(path: impl Into<String>) -> Self {
        Self { path: path.into(), mode: 0o755, kind: Kind::Folder }
    }

    /// A regular file.
    #[must_use]
    pub fn file(path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode, kind: Kind::File(bytes.into()) }
    }
}

/// An image's files, in a tar archive.
#[derive(Debug)]
pub struct Layer {
    tar: Vec<u8>,
    /// The same compressed, where images have it so.
    gzip: Option<Vec<u8>>,
}

impl Layer {
    /// Of the files in the given order.
    ///
    /// # Errors
    /// A path is no path of a layer.
    pub fn new(entries: &[Entry]) -> Result<Self> {
        Ok(Self { tar: tar(entries)?, gzip: None })
    }

    /// Compresses it with gzip.
    ///
    /// # Errors
    /// None but of compression.
    pub fn compress(mut self) -> Result<Self> {
        // Neither a name nor a time in its header.
        let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
        encoder.write_all(&self.tar)?;
        self.gzip = Some(encoder.finish()?);
        Ok(self)
    }

    /// Bytes that a node fetches.
    #[must_use]
    pub fn size(&self) -> usize {
        self.gzip.as_ref().unwrap_or(&self.tar).len()
    }
}

fn tar(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for Entry { path, mode, kind } in entries {
        let mut header = Header::new_gnu();
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        match kind {
            Kind::Folder => {
                header.set_entry_type(EntryType::Directory);
                archive.append_data(&mut header, format!("{path}/"), &[][..])
            }
            Kind::File(bytes) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, path, &bytes[..])
            }
            Kind::Link(other) => {
                header.set_entry_type(EntryType::Link);
                archive.append_link(&mut header, path, other)
            }
        }
        .with_context(|| format!("{path} in a layer"))?;
    }
    Ok(archive.into_inner()?)
}

/// Bytes by their digests, and those that somebody asks for by name.
#[derive(Debug, Default)]
pub struct Layout {
    blobs: BTreeMap<String, Vec<u8>>,
    named: Vec<Value>,
}

impl Layout {
    /// Adds bytes. Returns the descriptor, by which others refer to them.
    pub fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.blobs.insert(digest, bytes);
        descriptor
    }

    fn layer(&mut self, layer: &Layer) -> Value {
        match &layer.gzip {
            Some(gzip) => self.blob(LAYER_GZIP, gzip.clone()),
            None => self.blob(LAYER, layer.tar.clone()),
        }
    }

    /// Adds an image of one layer: its configuration, which is told what the layer is, and a manifest with annotations. Returns
    /// the manifest's descriptor.
    ///
    /// # Errors
    /// None but of JSON.
    pub fn image(&mut self, mut config: Value, layer: &Layer, annotations: &Value) -> Result<Value> {
        config["rootfs"] = json!({"type": "layers", "diff_ids": [digest(&layer.tar)]});
        let config = self.blob(CONFIG, serde_json::to_vec(&config)?);
        let layers = [self.layer(layer)];
        let mut manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        if annotations.is_object() {
            manifest["annotations"] = annotations.clone();
        }
        Ok(self.blob(MANIFEST, serde_json::to_vec(&manifest)?))
    }

    /// Adds a choice of images, whose descriptors have platforms. Returns its descriptor.
    ///
    /// # Errors
    /// None but of JSON.
    pub fn index(&mut self, images: &[Value], annotations: &Value) -> Result<Value> {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": images, "annotations": annotations});
        Ok(self.blob(INDEX, serde_json::to_vec(&index)?))
    }

    /// Names what a descriptor describes: as containerd's import calls it, and the name that is the archive's own.
    pub fn name(&mut self, mut descriptor: Value, name: &str, reference: &str) {
        descriptor["annotations"] =
            json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": reference});
        self.named.push(descriptor);
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let index = serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.named}))?;
        let mut entries = vec![
            Entry::file("oci-layout", 0o644, &br#"{"imageLayoutVersion":"1.0.0"}"#[..]),
            Entry::file("index.json", 0o644, index),
        ];
        entries.extend(["blobs", "blobs/sha256"].map(Entry::folder));
        let blobs = self.blobs.iter();
        entries.extend(
            blobs.map(|(digest, bytes)| {
                Entry::file(format!("blobs/{}", digest.replace(':', "/")), 0o644, bytes.clone())
            }),
        );
        let write = || {
            let mut file = File::create(path)?;
            file.write_all(&tar(&entries)?)?;
            anyhow::Ok(file.sync_all()?)
        };
        write().with_context(|| format!("write {}", path.display()))
    }
}

/// `sha256:` and 64 lower-case digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
