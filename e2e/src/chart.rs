//! The chart in `helm/`: what Helm makes of it, and of its examples.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::tools;

/// The Kubernetes that examples are rendered for.
pub const KUBERNETES: &str = "1.36.0";
/// Of every example: name of the release, and its namespace.
const RELEASE: &str = "inotrail";
/// What is another one each time, and what stands for it.
const PASSWORD: (&str, &str) = ("  admin-password: ", "MADE-BY-HELM");

/// Helm, without anything of the user's.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    home: TempDir,
}

impl Helm {
    /// # Errors
    /// It cannot be built.
    pub fn new() -> Result<Self> {
        Ok(Self { program: tools::helm()?.join("helm"), home: tempfile::tempdir()? })
    }

    /// Version 3.
    ///
    /// # Errors
    /// See [`Self::new`].
    pub fn old() -> Result<Self> {
        Ok(Self { program: tools::helm_3()?.join("helm"), home: tempfile::tempdir()? })
    }

    /// Runs it, whatever comes of it.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.home.path());
        }
        command.env_remove("KUBECONFIG").args(arguments).output().context("run helm")
    }

    /// What a chart (a folder or a package) makes of values, for a version of Kubernetes.
    ///
    /// # Errors
    /// Helm refuses them, and says why.
    pub fn template(&self, chart: &Path, values: &Path, kubernetes: &str) -> Result<String> {
        let (chart, values) = (chart.to_string_lossy(), values.to_string_lossy());
        let output = self.run(&[
            "template",
            RELEASE,
            &chart,
            "--namespace",
            RELEASE,
            "--values",
            &values,
            "--kube-version",
            kubernetes,
        ])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "helm template with {values}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// What a chart makes, as it is kept beside an example: without what is random, and dashboards by name alone.
#[must_use]
pub fn golden(text: &str) -> String {
    let mut is_dashboard = false;
    let mut kept = String::new();
    for line in text.lines() {
        is_dashboard &= line.starts_with("    ");
        if !is_dashboard {
            kept += &fixed(line);
        }
        is_dashboard |= line.starts_with("  inotrail-") && line.ends_with(".json: |");
    }
    kept
}

/// A line without what is random.
fn fixed(line: &str) -> String {
    let (name, instead) = PASSWORD;
    if line.starts_with(name) { format!("{name}{instead}\n") } else { format!("{}\n", line.trim_end()) }
}

/// The chart's folder.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm")
}

/// Folders of the examples, by name, each with `values.yaml` and what it makes, `rendered.yaml`.
///
/// # Errors
/// They cannot be listed.
pub fn examples() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder().join("examples")).context("list the chart's examples")?;
    let mut folders = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    folders.sort();
    Ok(folders)
}

/// What helm-docs makes of the chart's values.
///
/// # Errors
/// A value has no comment.
pub fn readme() -> Result<String> {
    let mut docs = Command::new(tools::helm_docs()?.join("helm-docs"));
    docs.arg("--chart-search-root").arg(folder()).arg("--dry-run");
    // By default it sorts names; the order of values.yaml says what belongs together.
    let output =
        docs.args(["--sort-values-order", "file", "--log-level", "warning"]).output().context("run helm-docs")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "helm-docs: {said}");
    let text = String::from_utf8(output.stdout)?;
    let undocumented = text.lines().find(|line| line.starts_with("| ") && line.ends_with("|  |"));
    ensure!(undocumented.is_none(), "values.yaml: a comment with `# --` is missing: {undocumented:?}");
    Ok(format!("{}\n", text.trim()))
}

/// Writes what examples make, and the README, anew.
///
/// # Errors
/// One cannot be made.
pub fn write() -> Result<()> {
    let helm = Helm::new()?;
    for example in examples()? {
        let text = helm.template(&folder(), &example.join("values.yaml"), KUBERNETES)?;
        fs::write(example.join("rendered.yaml"), golden(&text))?;
    }
    Ok(fs::write(folder().join("README.md"), readme()?)?)
}
