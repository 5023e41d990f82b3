//! How containers get their names, and where policies about them come from.

use std::env;

use super::args::{NodeArgs, PolicyArgs, SensorArgs};
use super::choice::{Runtime, When};
use super::{Error, Names};
use crate::container::kube::KubeConfig;
use crate::container::source::{Api, RuntimeConfig};
use crate::policy_source::PolicyConfig;

pub(super) fn names(args: &SensorArgs, node: &str) -> Result<Names, Error> {
    let kube = kube(args, node)?;
    if kube.is_none() && !args.exclude_account.is_empty() {
        return Err(Error::Usage(
            "--exclude-account needs the Kubernetes API: run in a pod or name --kubeconfig, and give --node-name",
        ));
    }
    Ok(Names {
        runtime: runtime(args)?,
        kube,
        hook: args.hook_socket.clone(),
        nri: args.nri_socket.clone(),
        resolve_within: args.resolve_timeout,
    })
}

pub(super) fn names_and_policies(
    sensor: &SensorArgs,
    node: &NodeArgs,
    policy: PolicyArgs,
) -> Result<(Names, Option<PolicyConfig>), Error> {
    let mut names = names(sensor, &node.node_name)?;
    let policies = policies(policy, names.kube.as_ref())?;
    if let Some(kube) = &mut names.kube {
        kube.namespaces = policies.is_some();
    }
    Ok((names, policies))
}

/// `node`: empty where it was not named.
fn kube(args: &SensorArgs, node: &str) -> Result<Option<KubeConfig>, Error> {
    let in_cluster = env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    match args.kubernetes {
        When::Never if args.kubeconfig.is_some() => {
            Err(Error::Usage("--kubeconfig is of no use with --kubernetes never: leave one of them out"))
        }
        When::Never => Ok(None),
        When::Always if node.is_empty() => {
            Err(Error::Usage("--kubernetes always needs --node-name: whose pods to ask for"))
        }
        When::Auto if node.is_empty() && args.kubeconfig.is_some() => {
            Err(Error::Usage("--kubeconfig needs --node-name: whose pods to ask for"))
        }
        When::Auto if node.is_empty() || (!in_cluster && args.kubeconfig.is_none()) => Ok(None),
        When::Auto | When::Always => {
            let (kubeconfig, excluded) = (args.kubeconfig.clone(), args.exclude_account.clone());
            Ok(Some(KubeConfig { kubeconfig, node: node.to_owned(), namespaces: false, excluded }))
        }
    }
}

fn policies(args: PolicyArgs, kube: Option<&KubeConfig>) -> Result<Option<PolicyConfig>, Error> {
    let PolicyArgs { policy: files, kubernetes_policies, decoys, state } = args;
    if kubernetes_policies && kube.is_none() {
        return Err(Error::Usage(
            "--kubernetes-policies needs the Kubernetes API: run in a pod or name --kubeconfig, and give --node-name",
        ));
    }
    let has_policies = kubernetes_policies || !files.is_empty();
    if decoys && !has_policies {
        return Err(Error::Usage("--decoys needs policies, which have them: give --policy or --kubernetes-policies"));
    }
    let kube = kube.filter(|_| kubernetes_policies).cloned();
    Ok(has_policies.then_some(PolicyConfig { files, kube, reports: false, decoys, state }))
}

fn runtime(args: &SensorArgs) -> Result<Option<RuntimeConfig>, Error> {
    let api = match args.runtime {
        Runtime::Auto => None,
        Runtime::Containerd => Some(Api::Containerd),
        Runtime::Cri => Some(Api::Cri),
        Runtime::None => {
            return match args.runtime_socket {
                Some(_) => {
                    Err(Error::Usage("--runtime-socket is of no use with --runtime none: leave one of them out"))
                }
                None => Ok(None),
            };
        }
    };
    if let Some(socket) = args.runtime_socket.clone() {
        let api = api.unwrap_or_else(|| Api::of_socket(&socket));
        let runtime = RuntimeConfig { api, socket, required: true };
        return if runtime.is_there() { Ok(Some(runtime)) } else { Err(Error::NoSocket(runtime.socket)) };
    }
    match (RuntimeConfig::find(api), api) {
        (None, Some(api)) => Err(Error::NoRuntime(api)),
        (found, wanted) => Ok(found.map(|found| RuntimeConfig { required: wanted.is_some(), ..found })),
    }
}
