//! What the chart is checked with, from Go modules: Helm, its linters, and the schemas of Kubernetes' API.

mod schemas;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Tool, bin, cached, go};

const HELM: Tool = Tool {
    name: "helm",
    module: "helm.sh/helm/v4",
    packages: &["cmd/helm"],
    tags: "",
    // Without it, it calls itself v4.3.
    stamp: Some("helm.sh/helm/v4/internal/version.version"),
    cgo: false,
    takes: "2 minutes",
};

/// The last one before: clusters are full of it.
const HELM_3: Tool = Tool {
    name: "helm-3",
    module: "helm.sh/helm/v3",
    packages: &["cmd/helm"],
    tags: "",
    stamp: Some("helm.sh/helm/v3/internal/version.version"),
    cgo: false,
    takes: "2 minutes",
};

const KUBECONFORM: Tool = Tool {
    name: "kubeconform",
    module: "github.com/yannh/kubeconform",
    packages: &["cmd/kubeconform"],
    tags: "",
    stamp: None,
    cgo: false,
    takes: "10 seconds",
};

const HELM_UNITTEST: Tool = Tool {
    name: "helm-unittest",
    module: "github.com/helm-unittest/helm-unittest",
    packages: &["cmd/helm-unittest"],
    tags: "",
    stamp: None,
    cgo: false,
    takes: "2 minutes",
};

const HELM_DOCS: Tool = Tool {
    name: "helm-docs",
    module: "github.com/norwoodj/helm-docs",
    packages: &["cmd/helm-docs"],
    tags: "",
    stamp: None,
    cgo: false,
    takes: "30 seconds",
};

/// The versions of Kubernetes that the chart is for. Their modules have the descriptions of their APIs.
const KUBERNETES: [&str; 3] = ["1.34.4", "1.35.4", "1.36.3"];

/// `helm`: the folder that holds it.
///
/// # Errors
/// See [`super::loki`]; so do the others here.
pub fn helm() -> Result<PathBuf> {
    HELM.folder()
}

/// `helm` of version 3: the folder that holds it.
///
/// # Errors
/// See [`super::loki`].
pub fn helm_3() -> Result<PathBuf> {
    HELM_3.folder()
}

/// `kubeconform`: the folder that holds it.
///
/// # Errors
/// See [`super::loki`].
pub fn kubeconform() -> Result<PathBuf> {
    KUBECONFORM.folder()
}

/// `helm-unittest`: the folder that holds it.
///
/// # Errors
/// See [`super::loki`].
pub fn helm_unittest() -> Result<PathBuf> {
    HELM_UNITTEST.folder()
}

/// `helm-docs`: the folder that holds it.
///
/// # Errors
/// See [`super::loki`].
pub fn helm_docs() -> Result<PathBuf> {
    HELM_DOCS.folder()
}

/// A folder for each of [`KUBERNETES`], named after its minor version (`1.36`), with a JSON schema for each kind: the folder
/// of all of them.
///
/// # Errors
/// The modules cannot be had, or say something else than is expected.
pub fn kubernetes_schemas() -> Result<PathBuf> {
    let inputs = format!("{KUBERNETES:?}{}", include_str!("charts/schemas.rs"));
    cached("schemas", "kubernetes", &inputs, "from Kubernetes' Go modules", |scratch| {
        for version in KUBERNETES {
            let (minor, _) = version.rsplit_once('.').context("a version has a patch")?;
            let folder = bin(scratch).join(minor);
            fs::create_dir(&folder)?;
            schemas::write(&api(version)?, &folder)?;
        }
        Ok(())
    })
}

/// What a version's API server says of its API (`OpenAPI` 2), as its module has it.
fn api(version: &str) -> Result<Value> {
    let mut download = go(false);
    download.args(["mod", "download", "-json", &format!("k8s.io/kubernetes@v{version}")]);
    // In a module, go would want to write down its hash.
    download.env("GOFLAGS", "-mod=mod").current_dir(std::env::temp_dir());
    let output = Command::output(&mut download).context("run go: `make setup` says what is missing")?;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    ensure!(output.status.success(), "{download:?}: {}", answer["Error"]);
    let folder = answer["Dir"].as_str().context("go mod download names no folder")?;
    let path = PathBuf::from(folder).join("api/openapi-spec/swagger.json");
    let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}
