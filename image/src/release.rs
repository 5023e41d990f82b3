//! The exporter's image, as a release has it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::content::PROGRAM;
use crate::layout::{Entry, Layer, Layout};
use crate::platform::Platform;

/// What it is called where nothing else is said: the chart's default.
pub const NAME: &str = "ghcr.io/inotrail/inotrail";
/// Its version, and its tag.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a release is made from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The git revision, or `unknown`.
    pub revision: String,
    /// When that was made, in seconds since 1970: `SOURCE_DATE_EPOCH`, else the commit's time. Without either the images have none.
    pub epoch: Option<i64>,
}

/// An archive that was written.
#[derive(Debug)]
pub struct Archive {
    /// Where.
    pub path: PathBuf,
    /// The digest to name it by: of the image, or of the choice of images.
    pub digest: String,
    /// Bytes that a node fetches for one image.
    pub fetched: usize,
}

/// Writes an archive for each platform, whose content is given, and where there are several, one with the choice of all.
///
/// # Errors
/// One cannot be written.
pub fn write(images: &[(Platform, Vec<Entry>)], source: &Source, folder: &Path) -> Result<Vec<Archive>> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let labels = labels(source)?;
    let name = format!("{NAME}:{VERSION}");
    let (mut written, mut all, mut choice) = (Vec::new(), Layout::default(), Vec::new());
    for (platform, entries) in images {
        let layer = Layer::new(entries)?.compress()?;
        let mut one = Layout::default();
        let mut image = Value::Null;
        for layout in [&mut one, &mut all] {
            image = layout.image(config(*platform, &labels), &layer, &labels)?;
            image["platform"] = platform.json();
        }
        let fetched = layer.size();
        one.name(image.clone(), &name, VERSION);
        let path = archive(folder, *platform);
        one.write(&path)?;
        written.push(Archive { path, digest: text(&image["digest"]), fetched });
        choice.push(image);
    }
    if choice.len() > 1 {
        let index = all.index(&choice, &labels)?;
        all.name(index.clone(), &name, VERSION);
        let path = folder.join("inotrail.tar");
        all.write(&path)?;
        let fetched = written.iter().map(|archive| archive.fetched).max().unwrap_or_default();
        written.push(Archive { path, digest: text(&index["digest"]), fetched });
    }
    Ok(written)
}

/// The program of the image for a platform, out of the archive that [`write`] has written into a folder.
///
/// # Errors
/// There is no such archive, or no program in it.
pub fn program(folder: &Path, platform: Platform) -> Result<Vec<u8>> {
    let path = archive(folder, platform);
    let blobs = File::open(&path).with_context(|| format!("read {}: run `make image`", path.display()))?;
    let mut blobs = tar::Archive::new(blobs);
    for blob in blobs.entries()? {
        // The others are JSON.
        let mut layer = tar::Archive::new(GzDecoder::new(blob?));
        for mut entry in layer.entries()?.map_while(Result::ok) {
            if entry.path()? == Path::new(PROGRAM) {
                let mut program = Vec::new();
                entry.read_to_end(&mut program).with_context(|| format!("{PROGRAM} in {}", path.display()))?;
                return Ok(program);
            }
        }
    }
    bail!("there is no {PROGRAM} in {}", path.display())
}

fn archive(folder: &Path, platform: Platform) -> PathBuf {
    folder.join(format!("inotrail-{}.tar", platform.as_str()))
}

/// Root, because the kernel hands capabilities to it; the chart says which. `PATH` is for those who run the program by its name.
fn config(platform: Platform, labels: &Value) -> Value {
    let mut config = platform.json();
    config["config"] =
        json!({"User": "0:0", "Env": ["PATH=/"], "Entrypoint": ["/inotrail"], "WorkingDir": "/", "Labels": labels});
    if let Some(created) = labels.get("org.opencontainers.image.created") {
        config["created"] = created.clone();
    }
    config
}

/// "Pre-Defined Annotation Keys" of the image specification. The Dockerfile has the same.
fn labels(source: &Source) -> Result<Value> {
    let mut labels = json!({
        "org.opencontainers.image.title": "inotrail",
        "org.opencontainers.image.description": "An audit trail of which pod touched which file: eBPF in, OpenTelemetry logs out",
        "org.opencontainers.image.url": env!("CARGO_PKG_REPOSITORY"),
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": VERSION,
        "org.opencontainers.image.revision": source.revision,
    });
    if let Some(epoch) = source.epoch {
        let created = jiff::Timestamp::from_second(epoch).context("SOURCE_DATE_EPOCH")?;
        labels["org.opencontainers.image.created"] = json!(created.to_string());
    }
    Ok(labels)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
