//! A pod's volumes, as its specification has them.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIVolumeFile, KeyToPath, Pod as ApiPod, PodSpec, SecretProjection,
    Volume as ApiVolume, VolumeMount, VolumeProjection,
};

use super::super::volume::{PodVolumes, Volume, VolumeSource};

pub(super) fn volumes(api: &ApiPod) -> PodVolumes {
    let Some(spec) = &api.spec else { return PodVolumes::default() };
    let pod = Names {
        pod: api.metadata.name.as_deref().unwrap_or_default(),
        account: spec.service_account_name.as_deref().unwrap_or("default"),
    };
    let volumes: Vec<_> = spec.volumes.iter().flatten().map(|volume| Arc::new(pod.volume(volume))).collect();
    let mounts = mounts(spec).filter_map(|(container, mount)| {
        let index = volumes.iter().position(|volume| volume.name == mount.name)?;
        Some((container.to_owned(), mount.mount_path.clone(), index))
    });
    let mounts = mounts.collect();
    PodVolumes { volumes, mounts }
}

/// Every container's wishes, with its name.
fn mounts(spec: &PodSpec) -> impl Iterator<Item = (&str, &VolumeMount)> {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let containers = containers.map(|container| (&*container.name, &container.volume_mounts));
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let ephemeral = ephemeral.map(|container| (&*container.name, &container.volume_mounts));
    containers.chain(ephemeral).flat_map(|(name, mounts)| mounts.iter().flatten().map(move |mount| (name, mount)))
}

/// What a volume may refer to without saying it.
struct Names<'a> {
    pod: &'a str,
    account: &'a str,
}

impl Names<'_> {
    fn volume(&self, volume: &ApiVolume) -> Volume {
        let name = volume.name.clone();
        let claim = match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => claim.claim_name.clone(),
            // The controller makes a claim of this name (pkg/controller/volume/ephemeral).
            (None, Some(_)) => format!("{}-{name}", self.pod),
            (None, None) => String::new(),
        };
        Volume { name, kind: kind(volume), claim, sources: self.sources(volume) }
    }

    fn sources(&self, volume: &ApiVolume) -> Vec<VolumeSource> {
        if let Some(projected) = &volume.projected {
            return projected.sources.iter().flatten().filter_map(|source| self.projection(source)).collect();
        }
        if let Some(secret) = &volume.secret {
            return secret.secret_name.iter().map(|name| keys("Secret", name, secret.items.as_deref())).collect();
        }
        if let Some(map) = &volume.config_map {
            return vec![keys("ConfigMap", &map.name, map.items.as_deref())];
        }
        let downward = volume.downward_api.iter();
        downward.map(|downward| self.fields(downward.items.as_deref().unwrap_or_default())).collect()
    }

    fn projection(&self, source: &VolumeProjection) -> Option<VolumeSource> {
        if let Some(token) = &source.service_account_token {
            return Some(single("ServiceAccount", self.account, &token.path, "token"));
        }
        if let Some(SecretProjection { name, items, .. }) = &source.secret {
            return Some(keys("Secret", name, items.as_deref()));
        }
        if let Some(ConfigMapProjection { name, items, .. }) = &source.config_map {
            return Some(keys("ConfigMap", name, items.as_deref()));
        }
        if let Some(downward) = &source.downward_api {
            return Some(self.fields(downward.items.as_deref().unwrap_or_default()));
        }
        let bundle = source.cluster_trust_bundle.as_ref()?;
        let name = bundle.name.as_ref().or(bundle.signer_name.as_ref())?;
        Some(single("ClusterTrustBundle", name, &bundle.path, ""))
    }

    /// The pod's own fields.
    fn fields(&self, files: &[DownwardAPIVolumeFile]) -> VolumeSource {
        let field = |file: &DownwardAPIVolumeFile| {
            let field = file.field_ref.as_ref().map(|field| &field.field_path);
            let field = field.or(file.resource_field_ref.as_ref().map(|field| &field.resource));
            (file.path.clone(), field.cloned().unwrap_or_default())
        };
        VolumeSource { kind: "Pod", name: self.pod.to_owned(), items: files.iter().map(field).collect() }
    }
}

fn keys(kind: &'static str, name: &str, items: Option<&[KeyToPath]>) -> VolumeSource {
    let items = items.unwrap_or_default().iter().map(|item| (item.path.clone(), item.key.clone()));
    VolumeSource { kind, name: name.to_owned(), items: items.collect() }
}

fn single(kind: &'static str, name: &str, path: &str, key: &str) -> VolumeSource {
    VolumeSource { kind, name: name.to_owned(), items: vec![(path.to_owned(), key.to_owned())] }
}

/// The only field beside the name that is set says what the volume is.
fn kind(volume: &ApiVolume) -> Box<str> {
    let fields = serde_json::to_value(volume).ok();
    let set = fields.as_ref().and_then(|fields| fields.as_object()?.keys().find(|field| *field != "name"));
    // Without any it is an empty directory.
    set.map_or("emptyDir", |field| field).into()
}

#[cfg(test)]
mod tests;
