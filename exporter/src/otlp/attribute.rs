//! Names of attributes: those of the semantic conventions, and our own under `inotrail.`.

pub use opentelemetry_semantic_conventions::SCHEMA_URL;
pub use opentelemetry_semantic_conventions::attribute::{
    CONTAINER_ID, CONTAINER_IMAGE_NAME, CONTAINER_IMAGE_REPO_DIGESTS, CONTAINER_IMAGE_TAGS, CONTAINER_NAME,
    CONTAINER_RUNTIME_NAME, ERROR_TYPE, FILE_INODE, FILE_PATH, HOST_NAME, K8S_CLUSTER_NAME, K8S_CONTAINER_NAME,
    K8S_CRONJOB_NAME, K8S_DAEMONSET_NAME, K8S_DEPLOYMENT_NAME, K8S_JOB_NAME, K8S_NAMESPACE_NAME, K8S_NODE_NAME,
    K8S_PERSISTENTVOLUMECLAIM_NAME, K8S_POD_NAME, K8S_POD_UID, K8S_REPLICASET_NAME, K8S_STATEFULSET_NAME,
    K8S_VOLUME_NAME, K8S_VOLUME_TYPE, OS_TYPE, OTEL_EVENT_NAME, PROCESS_COMMAND_ARGS, PROCESS_CREATION_TIME,
    PROCESS_EXECUTABLE_PATH, PROCESS_PARENT_PID, PROCESS_PID, PROCESS_REAL_USER_ID, PROCESS_USER_ID, PROCESS_VPID,
    SECURITY_RULE_NAME, SECURITY_RULE_RULESET_NAME, SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE,
    SERVICE_VERSION, THREAD_ID, THREAD_NAME,
};

/// Resource, bool: true where no source knew the container's name in time; else absent.
pub const RESOURCE_UNRESOLVED: &str = "inotrail.resource.unresolved";
/// string: the second path of a rename or a link, and the text of a symbolic link; absent where there is none.
pub const FILE_TARGET_PATH: &str = "inotrail.file.target_path";
/// string: `open`, `create`, `execute`, `delete`... ([`crate::event::Operation`]).
pub const FILE_OPERATION: &str = "inotrail.file.operation";
/// string: `read`, `write`, `read_write`, `execute` ([`crate::event::AccessMode`]); absent where unknown.
pub const FILE_ACCESS_MODE: &str = "inotrail.file.access_mode";
/// string: `success`, `failure` (`error.type` says which), `unknown` (the backend cannot see it).
pub const FILE_OUTCOME: &str = "inotrail.file.outcome";
/// int: the caller's open flags as open(2) takes them; absent where the backend does not see them.
pub const FILE_OPEN_FLAGS: &str = "inotrail.file.open_flags";
/// string: `major:minor` of the device that `file.inode` is a number of; absent with it.
pub const FILE_DEVICE: &str = "inotrail.file.device";
/// string: what the caller asked for; absent where it is `file.path`, or unknown.
pub const FILE_REQUESTED_PATH: &str = "inotrail.file.requested_path";
/// string: `confirmed`, `unconfirmed`, `requested`, `descriptor_gone`: how sure the path is.
pub const FILE_CONFIDENCE: &str = "inotrail.file.confidence";
/// string: names joined by commas ([`crate::event::Access::flags`], and [`ESCAPED`]); absent where there is none.
pub const FILE_FLAGS: &str = "inotrail.file.flags";
/// string: what the file is made of: `Secret`, `ConfigMap`, `ServiceAccount` (its token), `Pod` (its own fields),
/// `ClusterTrustBundle`; `Image`: it is in the container's root. Absent where it is neither.
pub const VOLUME_OBJECT_KIND: &str = "inotrail.volume.object.kind";
/// string: its name; absent for an image, which the Resource names.
pub const VOLUME_OBJECT_NAME: &str = "inotrail.volume.object.name";
/// string: which key of it, whatever the file is called; absent where it is no single one.
pub const VOLUME_OBJECT_KEY: &str = "inotrail.volume.object.key";
/// string: whose the file is where that is not who acted: `host`, `container` (in its root), `pod` (in its volume), `volume`
/// (several pods of the node have it mounted, who acted maybe among them).
pub const OWNER_KIND: &str = "inotrail.owner.kind";
/// string: the owner's `k8s.namespace.name`.
pub const OWNER_NAMESPACE_NAME: &str = "inotrail.owner.k8s.namespace.name";
/// string: the owner's `k8s.pod.name`; absent where several pods have the volume.
pub const OWNER_POD_NAME: &str = "inotrail.owner.k8s.pod.name";
/// string: the owner's `k8s.pod.uid`; absent with its name.
pub const OWNER_POD_UID: &str = "inotrail.owner.k8s.pod.uid";
/// string: the owner's `container.id`, where it is one container.
pub const OWNER_CONTAINER_ID: &str = "inotrail.owner.container.id";
/// string: its name, in Kubernetes that of the pod's specification; absent where unknown.
pub const OWNER_CONTAINER_NAME: &str = "inotrail.owner.container.name";
/// string: who forked the process, and who forked that one, nearest first, as they were then: `7:/bin/sh // 1:/sbin/init`.
/// Paths never hold `//`. Absent where nothing is known.
pub const PROCESS_ANCESTORS: &str = "inotrail.process.ancestors";
/// string: [`SESSION_EXEC`]; absent on all other processes.
pub const PROCESS_SESSION: &str = "inotrail.process.session";
/// bool: true where `process.command_args` is the start of a longer list; absent else.
pub const PROCESS_ARGUMENTS_TRUNCATED: &str = "inotrail.process.arguments_truncated";
/// string: `fexit`, `kprobe`, `raw-tracepoint` ([`crate::event::Backend`]).
pub const BACKEND: &str = "inotrail.backend";
/// string: `record`, or `violation` where one of the rules that are about it says so; absent without policies.
pub const POLICY_ACTION: &str = "inotrail.policy.action";
/// string: all policies with a rule that is about it, joined by commas (`shop/tokens`); past 1 KiB their number (`+7`). Absent
/// without policies.
pub const POLICY_NAMES: &str = "inotrail.policy.names";
/// Start of names; string: what the rule that gives the event its severity says besides, by its own keys
/// (`inotrail.policy.label.team`). Absent without policies, and where the rule has no labels.
pub const POLICY_LABEL: &str = "inotrail.policy.label.";
/// int, at least 1: how many accesses the record stands for.
pub const AGGREGATION_COUNT: &str = "inotrail.aggregation.count";
/// int, at least 1: where they equal one that was told, at most how many processes made them: one more for each time that it was
/// another process than just before.
pub const AGGREGATION_PROCESSES: &str = "inotrail.aggregation.processes";
/// string, ISO 8601: where accesses were only counted, the end of the time in which; the record's time is its start.
pub const AGGREGATION_LAST_TIME: &str = "inotrail.aggregation.last_time";
/// string: why accesses were lost ([`crate::metrics::Dropped`]).
pub const LOSS_REASON: &str = "inotrail.loss.reason";
/// string: where ([`crate::metrics::Dropped::stage`]).
pub const LOSS_STAGE: &str = "inotrail.loss.stage";
/// int: lost accesses; absent where they cannot be counted.
pub const LOSS_COUNT: &str = "inotrail.loss.count";
/// int: the same since this run of the exporter started.
pub const LOSS_TOTAL: &str = "inotrail.loss.total";
/// int: how many numbered records are gone with them, in the same time
pub const LOSS_EVENTS: &str = "inotrail.loss.events";
/// string: the run that had taken them; absent where that is this one
pub const LOSS_STREAM_ID: &str = "inotrail.loss.stream.id";
/// string: the destination that they did not reach; absent where there is one only, and where they reached none
pub const DESTINATION_NAME: &str = "inotrail.destination.name";
/// bool: the count may be too high; absent with it.
pub const LOSS_UPPER_BOUND: &str = "inotrail.loss.upper_bound";
/// string, ISO 8601: from when on.
pub const LOSS_START_TIME: &str = "inotrail.loss.start_time";
/// string, ISO 8601: until when; absent where it is not over.
pub const LOSS_END_TIME: &str = "inotrail.loss.end_time";
/// int: records that a run has numbered, losses and the last one left out.
pub const EXPORTER_EVENTS: &str = "inotrail.exporter.events";
/// int: records of losses of a run.
pub const EXPORTER_LOSSES: &str = "inotrail.exporter.losses";
/// string: names one run of one exporter.
pub const STREAM_ID: &str = "inotrail.stream.id";
/// int, from 1: number of the record in the series of (stream, container, event name).
pub const STREAM_SEQUENCE: &str = "inotrail.stream.sequence";

/// Session: a process that came into a running container from outside (`kubectl exec`), or one that such a one forked.
pub const SESSION_EXEC: &str = "exec";

/// Flag: a path, an argument or the thread's name is not UTF-8, and all of them are written so that it can be had back: what is not
/// UTF-8 as `\xNN`, a backslash as `\\`.
pub const ESCAPED: &str = "escaped";
