//! Objects of a cluster, as a user makes them and waits for them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams, PostParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use serde_json::{Value, json};

use super::Cluster;
use crate::interrupt;

/// A pod is scheduled, its images are there, its volumes are mounted, and its programs start, in an emulated machine too.
const LIMIT: Duration = Duration::from_secs(300);

impl Cluster {
    /// Waits for an answer of the API server.
    pub fn call<T>(&self, call: impl Future<Output = T>) -> T {
        self.api.runtime.block_on(call)
    }

    /// Makes an object of any kind, in its own namespace or in `default`.
    ///
    /// # Errors
    /// The API server refuses; so do the others here.
    pub fn create(&self, object: Value) -> Result<DynamicObject> {
        let api = self.kind(&object)?;
        let object: DynamicObject = serde_json::from_value(object)?;
        let name = object.metadata.name.clone().unwrap_or_default();
        self.call(api.create(&PostParams::default(), &object)).with_context(|| format!("create {name}"))
    }

    /// Makes a namespace, and waits until pods may be made in it.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn create_namespace(&self, name: &str) -> Result<()> {
        self.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.api.client.clone(), name);
        let account = || Ok(self.call(accounts.get_opt("default"))?);
        interrupt::wait_for("service account of the namespace", LIMIT, account).map(drop)
    }

    /// Changes an object by a merge patch; `object` names it and says what is new.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn change(&self, object: &Value) -> Result<DynamicObject> {
        let (api, name) = (self.kind(object)?, object["metadata"]["name"].as_str().unwrap_or_default());
        let patch = self.call(api.patch(name, &PatchParams::default(), &Patch::Merge(object)));
        patch.with_context(|| format!("change {name}"))
    }

    /// Says something in the status of an object that `object` names, as one of those who may (server-side apply).
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn apply_status(&self, object: &Value, manager: &str, status: &Value) -> Result<DynamicObject> {
        let (api, name) = (self.kind(object)?, object["metadata"]["name"].as_str().unwrap_or_default());
        let patch = json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "status": status});
        let params = PatchParams::apply(manager);
        self.call(api.patch_status(name, &params, &Patch::Apply(&patch))).with_context(|| format!("tell of {name}"))
    }

    /// Asks for an object that `object` names.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn get(&self, object: &Value) -> Result<DynamicObject> {
        let (api, name) = (self.kind(object)?, object["metadata"]["name"].as_str().unwrap_or_default());
        self.call(api.get(name)).with_context(|| format!("get {name}"))
    }

    /// Deletes an object that `object` names, and what belongs to it: a job's pods would stay else.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn delete(&self, object: &Value) -> Result<()> {
        let (api, name) = (self.kind(object)?, object["metadata"]["name"].as_str().unwrap_or_default());
        self.call(api.delete(name, &DeleteParams::background())).with_context(|| format!("delete {name}"))?;
        Ok(())
    }

    /// The pods of a namespace.
    #[must_use]
    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.api.client.clone(), namespace)
    }

    /// Deletes a pod; its containers have the time to end by themselves that it grants them.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn delete_pod(&self, namespace: &str, name: &str) -> Result<()> {
        let deleted = self.call(self.pods(namespace).delete(name, &DeleteParams::default()));
        deleted.with_context(|| format!("delete {name}")).map(drop)
    }

    /// Deletes all pods with these labels at once.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn delete_pods(&self, namespace: &str, labels: &str) -> Result<()> {
        let of_labels = ListParams::default().labels(labels);
        self.call(self.pods(namespace).delete_collection(&DeleteParams::default(), &of_labels))?;
        Ok(())
    }

    /// What a container has written, as its kubelet tells.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn logs(&self, namespace: &str, pod: &str, container: &str) -> Result<String> {
        let of = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        self.call(self.pods(namespace).logs(pod, &of)).with_context(|| format!("logs of {pod}"))
    }

    /// Adds an ephemeral container to a running pod.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn add_ephemeral(&self, namespace: &str, pod: &str, container: &Value) -> Result<()> {
        let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [container]}}));
        self.call(self.pods(namespace).patch_ephemeral_containers(pod, &PatchParams::default(), &patch))?;
        Ok(())
    }

    /// Waits until a pod is there and is `what`.
    ///
    /// # Errors
    /// That does not come to be; with the pod's status.
    pub fn wait_for_pod(&self, namespace: &str, name: &str, what: &str, is: impl Fn(&Pod) -> bool) -> Result<Pod> {
        let pods = self.pods(namespace);
        let waited = interrupt::wait_for(&format!("pod {name} that is {what}"), LIMIT, || {
            Ok(self.call(pods.get_opt(name))?.filter(&is))
        });
        waited.with_context(|| match self.call(pods.get_opt(name)) {
            Ok(Some(pod)) => format!("{name}: {}", json!(pod.status)),
            Ok(None) => format!("there is no {name}"),
            Err(error) => error.to_string(),
        })
    }

    /// Waits until a pod is ready.
    ///
    /// # Errors
    /// See [`Self::wait_for_pod`].
    pub fn ready_pod(&self, namespace: &str, name: &str) -> Result<Pod> {
        self.wait_for_pod(namespace, name, "ready", is_ready_pod)
    }

    /// Waits until so many pods with these labels are ready and no other is there, not even one that ends.
    ///
    /// # Errors
    /// That does not come to be.
    pub fn ready_pods(&self, namespace: &str, labels: &str, count: usize) -> Result<Vec<Pod>> {
        let (pods, of_labels) = (self.pods(namespace), ListParams::default().labels(labels));
        interrupt::wait_for(&format!("{count} ready pods with {labels}"), LIMIT, || {
            let pods = self.call(pods.list(&of_labels))?.items;
            Ok((pods.len() == count && pods.iter().all(is_ready_pod)).then_some(pods))
        })
    }

    fn kind(&self, object: &Value) -> Result<Api<DynamicObject>> {
        let types: TypeMeta = serde_json::from_value(object.clone()).context("an object without its kind")?;
        let kind = GroupVersionKind::try_from(types)?;
        let (resource, abilities) = self.call(pinned_kind(&self.api.client, &kind))?;
        let client = self.api.client.clone();
        Ok(match abilities.scope {
            Scope::Cluster => Api::all_with(client, &resource),
            Scope::Namespaced => {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
                Api::namespaced_with(client, namespace, &resource)
            }
        })
    }
}

/// Whether all containers of a pod are ready, and it is not being deleted.
#[must_use]
pub fn is_ready_pod(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Names and ids of a pod's containers of every sort, as far as its kubelet has reported them.
#[must_use]
pub fn containers(pod: &Pod) -> Vec<(String, String)> {
    let status = pod.status.iter();
    let all = status.flat_map(|status| {
        let sorts = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
        sorts.into_iter().flatten().flatten()
    });
    let id = |id: &String| id.rsplit('/').next().unwrap_or_default().to_owned();
    all.filter_map(|status| Some((status.name.clone(), id(status.container_id.as_ref()?)))).collect()
}
