//! Images of the programs that the chart runs, under the names that the chart gives them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tar::Builder;

use super::archive::{self, Blob, Image};
use super::{append, busybox};
use crate::initramfs::libraries;
use crate::{chart, exporter, tools};

/// Writes the images of exporter, Collector, Loki and of the program that does nothing to `path`.
///
/// # Errors
/// A program is not built and cannot be, or the archive cannot be written.
pub fn write(path: &Path) -> Result<()> {
    let collector = tools::collector()?.join("otelcol-inotrail");
    let loki = tools::loki()?.join("loki");
    let images = [
        (name("/image")?, exporter_layer()?, "inotrail"),
        (name("/collector/image")?, layer(&[(&collector, "/otelcol")])?, "/otelcol"),
        (name("/loki/image")?, layer(&[(&loki, "/loki")])?, "/loki"),
        (name("/cleanup/image")?, layer(&[(&busybox()?, "/bin/sleep")])?, "/bin/sleep"),
    ];
    let images = images.each_ref().map(|(name, layer, program)| {
        let entry = if *program == "/bin/sleep" { vec![*program, "1000000"] } else { vec![*program] };
        Image { name, config: json!({"Entrypoint": entry, "Env": ["PATH=/usr/bin:/bin"]}), layer }
    });
    archive::write(path, &images).map(drop)
}

/// The exporter that was built beside this program. It is linked dynamically, and so its libraries are there too.
fn exporter_layer() -> Result<Blob> {
    layer(&[(&exporter::binary()?, "/usr/bin/inotrail")])
}

/// Programs, by the paths that they are to have, and the shared libraries that they need.
fn layer(programs: &[(&Path, &str)]) -> Result<Blob> {
    let mut archive = Builder::new(Vec::new());
    let mut libraries_of_all = BTreeSet::new();
    let mut add = |source: &Path, path: &Path| {
        let content = fs::read(source).with_context(|| format!("read {}", source.display()))?;
        append(&mut archive, &path.to_string_lossy()[1..], 0o755, &content)
    };
    for (source, path) in programs {
        add(source, path.as_ref())?;
        libraries_of_all.extend(libraries(source)?);
    }
    for library in &libraries_of_all {
        add(library, library)?;
    }
    Ok(Blob::layer(archive.into_inner()?))
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
