//! JSON schemas of Kubernetes' kinds, strict: what an API server would drop with a warning is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

const REFERENCE: &str = "#/definitions/";
/// Definitions that are numbers as well as texts, of which the API's description says that they are texts.
const BOTH: [&str; 2] =
    ["io.k8s.apimachinery.pkg.util.intstr.IntOrString", "io.k8s.apimachinery.pkg.api.resource.Quantity"];

/// Writes one file per kind, as kubeconform looks for them: `deployment-apps-v1.json`, `pod-v1.json`.
pub(super) fn write(api: &Value, folder: &Path) -> Result<()> {
    let definitions = api["definitions"].as_object().context("the API's description has no definitions")?;
    let mut written = 0;
    for (name, definition) in definitions {
        for kind in definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let [group, version, kind] = ["group", "version", "kind"].map(|key| kind[key].as_str().unwrap_or_default());
            // Groups are named without their domain.
            let group = group.split('.').next().filter(|group| !group.is_empty()).map(|group| format!("-{group}"));
            let file = format!("{}{}-{version}.json", kind.to_lowercase(), group.unwrap_or_default());
            fs::write(folder.join(file), serde_json::to_vec(&schema(name, definitions))?)?;
            written += 1;
        }
    }
    ensure!(written > 100, "the API's description has {written} kinds");
    Ok(())
}

/// A definition, with all that it is made of.
fn schema(name: &str, definitions: &Map<String, Value>) -> Value {
    let mut parts = BTreeMap::new();
    let mut open = BTreeSet::from([name.to_owned()]);
    while let Some(name) = open.pop_first() {
        let Some(definition) = definitions.get(&name) else { continue };
        references(definition, &mut |to| {
            if !parts.contains_key(to) && to != name {
                open.insert(to.to_owned());
            }
        });
        let part =
            if BOTH.contains(&name.as_str()) { json!({"type": ["string", "number"]}) } else { strict(definition) };
        parts.insert(name, part);
    }
    json!({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": format!("{REFERENCE}{name}"), "definitions": parts})
}

fn references(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().and_then(|text| text.strip_prefix(REFERENCE)) {
                    Some(name) if key == "$ref" => found(name),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// No other fields than those that are named, where some are. Without texts, which are most of the description.
fn strict(definition: &Value) -> Value {
    let mut definition = definition.clone();
    if let Some(fields) = definition.as_object_mut() {
        fields.remove("description");
        if fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
            fields.insert("additionalProperties".to_owned(), false.into());
        }
        for property in
            fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(|it| it.values_mut())
        {
            *property = strict(property);
        }
    }
    definition
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_fields_are_refused_and_parts_are_there() {
        let api = json!({
            "Pod": {"type": "object", "description": "x", "properties": {"spec": {"$ref": "#/definitions/Spec"}}},
            "Spec": {"type": "object", "properties": {"self": {"$ref": "#/definitions/Spec"}}},
            "Other": {},
        });
        let schema = schema("Pod", api.as_object().unwrap());
        assert_eq!(schema["definitions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["Pod", "Spec"]);
        assert_eq!(schema["definitions"]["Pod"]["additionalProperties"], false);
        assert_eq!(schema["definitions"]["Pod"].get("description"), None);
    }
}
