use kube::core::CustomResourceExt;

use super::*;

#[test]
fn schemas_are_structural() {
    for (crd, file) in
        [(FileAccessPolicy::crd(), "fileaccesspolicies"), (ClusterFileAccessPolicy::crd(), "clusterfileaccesspolicies")]
    {
        assert_eq!(crd.metadata.name.as_deref(), Some(&*format!("{file}.inotrail.dev")));
        let text = serde_json::to_string_pretty(&crd).expect("JSON");
        assert!(!text.contains("additionalProperties\": false") && !text.contains("$ref"), "{text}");
    }
}
