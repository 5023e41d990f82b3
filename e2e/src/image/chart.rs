//! Images of the programs that the chart runs, under the names that the chart gives them.

use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use inotrail_image::layout::{Entry, Layer, Layout};
use inotrail_image::platform::Platform;
use serde_json::{Value, json};

use super::busybox;
use crate::initramfs::libraries;
use crate::vm::programs::strip;
use crate::{chart, exporter, tools};

/// A program of the chart, and its image.
struct Program {
    /// Where `values.yaml` has the image's name.
    values: &'static str,
    source: PathBuf,
    /// Where the image has the program.
    place: &'static str,
    entry: &'static [&'static str],
}

/// Writes the images of exporter, Collector, Loki and of the program that does nothing to `path`.
///
/// # Errors
/// A program is not built and cannot be, or the archive cannot be written.
pub fn write(path: &Path) -> Result<()> {
    let (collector, loki) = (tools::collector()?.join("otelcol-inotrail"), tools::loki()?.join("loki"));
    let stack = [
        Program { values: "/collector/image", source: collector, place: "otelcol", entry: &["/otelcol"] },
        Program { values: "/loki/image", source: loki, place: "loki", entry: &["/loki"] },
    ];
    write_images(path, every_node(exporter::binary()?)?.into_iter().chain(stack))
}

/// Writes those alone that run on every node, without what debuggers read: for a node whose files are in memory.
///
/// # Errors
/// See [`write`].
pub fn write_exporter(path: &Path) -> Result<()> {
    let stripped = path.with_extension("stripped");
    strip(ARCH, &exporter::binary()?, &stripped)?;
    write_images(path, every_node(stripped.clone())?)?;
    fs::remove_file(&stripped).with_context(|| format!("remove {}", stripped.display()))
}

fn every_node(exporter: PathBuf) -> Result<[Program; 2]> {
    Ok([
        Program { values: "/image", source: exporter, place: "usr/bin/inotrail", entry: &["inotrail"] },
        Program { values: "/cleanup/image", source: busybox()?, place: "bin/sleep", entry: &["/bin/sleep", "1000000"] },
    ])
}

fn write_images(path: &Path, programs: impl IntoIterator<Item = Program>) -> Result<()> {
    let mut layout = Layout::default();
    for Program { values, source, place, entry } in programs {
        let name = name(values)?;
        let (_, tag) = name.rsplit_once(':').context("an image without a tag")?;
        let mut config = Platform::own().json();
        config["config"] = json!({"Entrypoint": entry, "Env": ["PATH=/usr/bin:/bin"]});
        let image = layout.image(config, &layer(&source, place)?, &Value::Null)?;
        layout.name(image, &name, tag);
    }
    layout.write(path)
}

/// A program, by the path that it is to have, and the shared libraries that it needs: the exporter that was built beside
/// this program has some.
fn layer(program: &Path, place: &str) -> Result<Layer> {
    let file = |source: &Path, path: &str| -> Result<Entry> {
        let content = fs::read(source).with_context(|| format!("read {}", source.display()))?;
        Ok(Entry::file(path.trim_start_matches('/'), 0o755, content))
    };
    let mut entries = vec![file(program, place)?];
    for library in libraries(program)?.into_iter().collect::<BTreeSet<_>>() {
        entries.push(file(&library, &library.to_string_lossy())?);
    }
    Layer::new(&entries)
}

/// The name that the chart gives an image whose values are there.
fn name(values: &str) -> Result<String> {
    let read = |file: &str| -> Result<Value> {
        let path: PathBuf = chart::folder().join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        serde_saphyr::from_str(&text).with_context(|| format!("read {}", path.display()))
    };
    let (all, about) = (read("values.yaml")?, read("Chart.yaml")?);
    let image = all.pointer(values).with_context(|| format!("no {values} in values.yaml"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tag = Some(text(&image["tag"])).filter(|tag| !tag.is_empty()).unwrap_or_else(|| text(&about["appVersion"]));
    Ok(format!("{}/{}:{tag}", text(&image["registry"]), text(&image["repository"])))
}
