//! A container's state as a hook gets it, and what its annotations say of the container.

use std::collections::HashMap;

use serde::Deserialize;

use super::super::table::Metadata;
use super::super::{Image, Origin, Pod, SANDBOX};

/// OCI runtime specification, runtime.md "State"; what is not of use here is skipped.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) id: String,
    /// Of the container's first process, where the runtime gives it; as the host numbers it at `createRuntime`.
    #[serde(default)]
    pub(super) pid: u32,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

impl State {
    /// `monitor`: what conmon calls the container.
    pub(super) fn metadata(self, monitor: Option<&str>) -> Metadata {
        let Self { id, annotations, .. } = self;
        let get = |key: &str| annotations.get(key).filter(|value| !value.is_empty());
        let (name, pod, image, runtime) = if get("io.kubernetes.cri-o.ContainerType").is_some() {
            let (name, pod) = crio(&annotations);
            let image = get("io.kubernetes.cri-o.ImageName").or_else(|| get("io.kubernetes.cri-o.Image"));
            (name, pod, image, "cri-o")
        } else if get("io.kubernetes.cri.container-type").is_some() {
            let (name, pod) = containerd(&annotations);
            (name, pod, get("io.kubernetes.cri.image-name"), "containerd")
        } else {
            let libpod = get("io.container.manager").is_some_and(|manager| manager == "libpod");
            (None, None, None, if libpod || monitor.is_some() { "podman" } else { "" })
        };
        let name = name.or_else(|| monitor.map(str::to_owned)).unwrap_or_else(|| id.clone());
        let image = image.and_then(|reference| Image::parse(reference));
        Metadata { origin: Origin::Container { id, name, runtime, resolved: true }, pod, image }
    }
}

/// CRI-O has the kubelet's labels as JSON inside of an annotation.
fn crio(annotations: &HashMap<String, String>) -> (Option<String>, Option<Pod>) {
    let labels = annotations.get("io.kubernetes.cri-o.Labels");
    let labels = labels.and_then(|json| serde_json::from_str::<HashMap<String, String>>(json).ok());
    let mut labels = labels.unwrap_or_default();
    let name = labels.remove("io.kubernetes.container.name");
    let sandbox = annotations.get("io.kubernetes.cri-o.ContainerType").is_some_and(|kind| kind == "sandbox");
    (if sandbox { Some(SANDBOX.to_owned()) } else { name }, Pod::of_labels(&mut labels))
}

fn containerd(annotations: &HashMap<String, String>) -> (Option<String>, Option<Pod>) {
    let get = |key: &str| annotations.get(&format!("io.kubernetes.cri.{key}")).cloned();
    let sandbox = get("container-type").is_some_and(|kind| kind == "sandbox");
    let pod = get("sandbox-namespace").zip(get("sandbox-name"));
    let pod = pod.map(|(namespace, name)| Pod {
        namespace,
        name,
        uid: get("sandbox-uid").unwrap_or_default(),
        details: None,
    });
    (if sandbox { Some(SANDBOX.to_owned()) } else { get("container-name") }, pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(annotations: &serde_json::Value, monitor: Option<&str>, name: &str, runtime: &str, rest: (&str, &str)) {
        let json = serde_json::json!({"ociVersion": "1.2.0", "id": "id", "pid": 7, "annotations": annotations});
        let state: State = serde_json::from_value(json).unwrap();
        assert_eq!(state.pid, 7);
        let Metadata { origin, pod, image } = state.metadata(monitor);
        let Origin::Container { id, name: found, runtime: by, resolved: true } = origin else { panic!("{origin:?}") };
        assert_eq!((&*id, &*found, by), ("id", name, runtime));
        let pod = pod.map(|pod| format!("{}/{}/{}", pod.namespace, pod.name, pod.uid)).unwrap_or_default();
        assert_eq!((&*pod, &*image.map(|image| image.name).unwrap_or_default()), rest);
    }

    #[test]
    fn containers_of_every_runtime() {
        let labels = r#"{"io.kubernetes.container.name":"app","io.kubernetes.pod.name":"p","io.kubernetes.pod.namespace":"n","io.kubernetes.pod.uid":"u"}"#;
        let mut crio = serde_json::json!({
            "io.kubernetes.cri-o.ContainerType": "container",
            "io.kubernetes.cri-o.Labels": labels,
            "io.kubernetes.cri-o.ImageName": "quay.io/a/b:1",
        });
        check(&crio, Some("k8s_app_p_n_u_0"), "app", "cri-o", ("n/p/u", "quay.io/a/b"));
        crio["io.kubernetes.cri-o.ContainerType"] = "sandbox".into();
        check(&crio, None, "POD", "cri-o", ("n/p/u", "quay.io/a/b"));
        crio["io.kubernetes.cri-o.Labels"] = "no JSON".into();
        crio["io.kubernetes.cri-o.ContainerType"] = "container".into();
        check(&crio, Some("k8s_app"), "k8s_app", "cri-o", ("", "quay.io/a/b"));
        let containerd = serde_json::json!({
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.container-name": "app",
            "io.kubernetes.cri.sandbox-name": "p",
            "io.kubernetes.cri.sandbox-namespace": "n",
            "io.kubernetes.cri.image-name": "a/b:1",
        });
        check(&containerd, None, "app", "containerd", ("n/p/", "a/b"));
        check(&serde_json::json!({"io.container.manager": "libpod"}), Some("web"), "web", "podman", ("", ""));
        check(&serde_json::json!({}), None, "id", "", ("", ""));
    }

    #[test]
    fn what_is_no_state() {
        let check = |json: &str| assert!(serde_json::from_str::<State>(json).is_err(), "{json}");
        check("");
        check("{}");
        check(r#"{"id": 7}"#);
        check(r#"{"id": "a", "pid": -1}"#);
        check(r#"{"id": "a", "annotations": {"a": 1}}"#);
        let least: State = serde_json::from_str(r#"{"id": "a", "status": "creating"}"#).unwrap();
        assert_eq!((least.pid, least.annotations.len()), (0, 0));
    }
}
