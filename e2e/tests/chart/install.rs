//! Installed into a real API server: it takes all objects, in whatever order Helm sends them, and all of them go again. There
//! are no nodes here.

use std::process::Output;

use e2e::chart::{self, Helm};
use e2e::kubernetes::ApiServer;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::discovery::Discovery;
use kube::discovery::verbs;
use serde_json::json;

use super::succeeded;

const NAMESPACE: &str = "inotrail";

struct Installed {
    helm: Helm,
    server: ApiServer,
}

impl Installed {
    fn run(&self, arguments: &[&str]) -> Output {
        let kubeconfig = self.server.kubeconfig.to_string_lossy();
        let chart = chart::folder();
        let chart = chart.to_string_lossy();
        let arguments = arguments.iter().map(|&word| if word == "CHART" { &chart } else { word });
        let arguments: Vec<_> = arguments.chain(["--namespace", NAMESPACE, "--kubeconfig", &kubeconfig]).collect();
        self.helm.run(&arguments).unwrap()
    }

    /// Whatever bears Helm's label, as `kind/name`.
    fn objects(&self) -> Vec<String> {
        let client = self.server.client.clone();
        self.server.runtime.block_on(async {
            let discovery = Discovery::new(client.clone()).run().await.unwrap();
            let mut found = Vec::new();
            for (resource, capabilities) in
                discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources)
            {
                if capabilities.supports_operation(verbs::LIST) {
                    found.extend(labelled(Api::all_with(client.clone(), &resource), &resource).await);
                }
            }
            found.sort();
            found
        })
    }

    fn enforce(&self, standard: Option<&str>) {
        let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": standard}}});
        let api = Api::<Namespace>::all(self.server.client.clone());
        let patch = async { api.patch(NAMESPACE, &PatchParams::default(), &Patch::Merge(labels)).await };
        self.server.runtime.block_on(patch).unwrap();
    }
}

async fn labelled(api: Api<DynamicObject>, resource: &ApiResource) -> Vec<String> {
    let chosen = ListParams::default().labels("app.kubernetes.io/managed-by=Helm");
    let found = api.list(&chosen).await.map(|list| list.items).unwrap_or_default();
    // What is being deleted is gone soon.
    let found =
        found.into_iter().map(|object| object.metadata).filter(|metadata| metadata.deletion_timestamp.is_none());
    found.map(|metadata| format!("{}/{}", resource.kind, metadata.name.unwrap_or_default())).collect()
}

#[test]
fn an_api_server_takes_it_and_all_of_it_goes() {
    let installed = Installed { helm: Helm::new().unwrap(), server: ApiServer::start().unwrap() };
    succeeded(&installed.run(&["install", "inotrail", "CHART", "--create-namespace", "--wait=hookOnly"]));
    let objects = installed.objects();
    for name in
        ["DaemonSet/inotrail", "StatefulSet/inotrail-loki", "CustomResourceDefinition/fileaccesspolicies.inotrail.dev"]
    {
        assert!(objects.iter().any(|object| object == name), "{name} is not in {objects:?}");
    }

    let other = ["--set", "collector.persistence.enabled=false,grafana.enabled=false,cleanup.enabled=true"];
    succeeded(&installed.run(
        &[&["upgrade", "inotrail", "CHART", "--reset-then-reuse-values", "--wait=hookOnly"], &other[..]].concat(),
    ));
    assert!(installed.objects().contains(&"Deployment/inotrail-collector".to_owned()));
    succeeded(&installed.run(&["rollback", "inotrail", "1", "--wait=hookOnly"]));
    assert_eq!(installed.objects(), objects);

    succeeded(&installed.run(&["uninstall", "inotrail"]));
    let left = installed.objects();
    assert!(left.iter().all(|object| object.starts_with("CustomResourceDefinition/")) && left.len() == 2, "{left:?}");
    // The definitions that stayed are taken over.
    let again = ["install", "inotrail", "CHART", "--set", "crds.keep=false", "--wait=hookOnly"];
    succeeded(&installed.run(&again));
    succeeded(&installed.run(&["uninstall", "inotrail"]));
    assert_eq!(installed.objects(), [""; 0]);

    installed.enforce(Some("baseline"));
    let refused = installed.run(&again);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("enforces the Pod Security Standard \"baseline\""), "{said}");
}
