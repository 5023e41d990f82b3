//! An OCI image layout in a tar archive, as `ctr images import` reads it.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tar::Builder;

use super::append;
use crate::digest::sha256;

/// An image of one layer.
pub(super) struct Image<'a> {
    /// Its whole name, with a tag.
    pub(super) name: &'a str,
    /// What its containers run by default.
    pub(super) config: Value,
    pub(super) layer: &'a Blob,
}

/// Some content and its digest.
pub(super) struct Blob {
    media_type: &'static str,
    bytes: Vec<u8>,
    /// `sha256:…`
    digest: String,
}

impl Blob {
    /// A tar archive.
    pub(super) fn layer(bytes: Vec<u8>) -> Self {
        Self::new("application/vnd.oci.image.layer.v1.tar", bytes)
    }

    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let digest = format!("sha256:{}", sha256(&bytes));
        Self { media_type, bytes, digest }
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// Writes images to `path`. Returns the digest of the first one.
///
/// # Errors
/// The archive cannot be written.
pub(super) fn write(path: &Path, images: &[Image<'_>]) -> Result<String> {
    let mut archive = Builder::new(File::create(path).with_context(|| format!("create {}", path.display()))?);
    append(&mut archive, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let mut references: Vec<Value> = Vec::new();
    let mut written: Vec<String> = Vec::new();
    for image in images {
        let [config, manifest] = describe(image)?;
        for blob in [image.layer, &config, &manifest] {
            // Images may share a layer.
            if !written.contains(&blob.digest) {
                append(&mut archive, &format!("blobs/{}", blob.digest.replace(':', "/")), 0o644, &blob.bytes)?;
                written.push(blob.digest.clone());
            }
        }
        let mut reference = manifest.descriptor();
        let (_, tag) = image.name.rsplit_once(':').context("an image without a tag")?;
        reference["annotations"] =
            json!({"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": tag});
        references.push(reference);
    }
    let first = references.first().and_then(|reference| reference["digest"].as_str()).unwrap_or_default().to_owned();
    let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": references}))?;
    append(&mut archive, "index.json", 0o644, &index)?;
    archive.into_inner()?.sync_all()?;
    Ok(first)
}

/// Its configuration and its manifest.
fn describe(image: &Image<'_>) -> Result<[Blob; 2]> {
    let config = json!({
        "architecture": architecture(), "os": "linux", "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": [image.layer.digest]},
    });
    let config = Blob::new("application/vnd.oci.image.config.v1+json", serde_json::to_vec(&config)?);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type,
        "config": config.descriptor(), "layers": [image.layer.descriptor()],
    });
    Ok([config, Blob::new(media_type, serde_json::to_vec(&manifest)?)])
}

/// As the image specification, and Go, name it.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}
