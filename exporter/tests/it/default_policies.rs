//! The policies of `helm/policies`: which of them are about what, and what none is about.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use inotrail::event::{Operation, Outcome};
use inotrail::policy::rule::{Action, Attempt};
use inotrail::policy::scope::{Labels, PodLabels, Subject};
use inotrail::policy::{PolicySet, Verdict, document};

use super::cli::inotrail;

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("helm/policies");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Who acts: nobody's namespace is the node's.
const NODE: &str = "";

struct Bench {
    set: PolicySet,
    /// Rules that were about something.
    used: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let policies = files().into_iter().flat_map(|file| document::read(&fs::read_to_string(file).unwrap()).0);
        Self { set: PolicySet::new(policies.map(Arc::new)), used: Vec::new() }
    }

    /// `asked`: what is asked for, where that is another name than `path`. `expected`: rules, the violations with a `!`.
    #[track_caller]
    fn check_all(&mut self, namespace: &str, executable: &str, attempt: Attempt<'_>, expected: &[&str]) {
        let labels = Labels::from([("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]);
        let pod = PodLabels { namespace, namespace_labels: &labels, labels: &Labels::new() };
        let subject = match namespace {
            NODE => Subject::Host,
            _ => Subject::Container { name: "app", image: "docker.io/library/app:1", pod: Some(pod) },
        };
        let mut matched = Vec::new();
        let attempt = Attempt { executable: executable.as_bytes(), ..attempt };
        let verdict = self.set.decide(&self.set.select(&subject), &attempt, &mut matched);
        let name = |index| {
            let (policy, rule) = self.set.get(index).unwrap();
            format!("{}{}/{}", if rule.action == Action::Violation { "!" } else { "" }, policy.name, rule.name)
        };
        let names: Vec<_> = matched.iter().map(|index| name(*index)).collect();
        assert_eq!(names, expected, "{namespace} {executable} {}", String::from_utf8_lossy(attempt.path));
        assert_eq!(verdict == Verdict::Ignore, expected.is_empty());
        self.used.extend(names);
    }

    #[track_caller]
    fn opens(&mut self, namespace: &str, executable: &str, path: &str, expected: &[&str]) {
        self.check_all(namespace, executable, open(path), expected);
    }

    /// Renames what it has written onto the file, as editors do.
    #[track_caller]
    fn replaces(&mut self, namespace: &str, path: &str, expected: &[&str]) {
        let new = format!("{path}.new");
        let attempt =
            Attempt { path: new.as_bytes(), target: path.as_bytes(), operation: Operation::Rename, ..open("") };
        self.check_all(namespace, "/usr/bin/vi", attempt, expected);
    }
}

fn open(path: &str) -> Attempt<'_> {
    Attempt {
        path: path.as_bytes(),
        target: b"",
        requested: b"",
        also: &[],
        operation: Operation::Open,
        outcome: Outcome::Success,
        executable: b"",
        user: 0,
    }
}

#[test]
fn policy_check_accepts_each() {
    let files = files();
    assert_eq!(files.len(), 7);
    for file in files {
        let output = inotrail(&["policy", "check", file.to_str().unwrap()], &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.starts_with("1 policies with "), "{}: {text}", file.display());
    }
}

#[test]
fn what_is_told_and_what_is_not() {
    let mut bench = Bench::new();
    for about in [tokens, secrets, accounts, ssh_keys, clouds, kubelet, runtime] {
        about(&mut bench);
    }
    for path in ["/etc/hosts", "/usr/lib/libc.so.6", "/tmp/token", "/proc/self/status", "/app/config/..2026/app.yaml"] {
        bench.opens("shop", "/app", path, &[]);
        bench.opens(NODE, "/usr/bin/cat", path, &[]);
    }
    // Each rule was about something.
    let all = bench.set.all();
    let all = all.indexes().map(|index| bench.set.get(index).unwrap());
    let unused: Vec<_> = all
        .map(|(policy, rule)| format!("{}/{}", policy.name, rule.name))
        .filter(|rule| !bench.used.iter().any(|used| used.trim_start_matches('!') == rule))
        .collect();
    assert_eq!(unused, [""; 0]);
}

fn tokens(bench: &mut Bench) {
    let version = "/run/secrets/kubernetes.io/serviceaccount/..2026_11_26_20_00_00.123/token";
    let tokens = ["service-account-tokens/read", "service-account-tokens/read-by-tool"];
    bench.opens("shop", "/app", version, &tokens[..1]);
    bench.opens("shop", "/bin/busybox", version, &tokens);
    let asked = Attempt { requested: b"/var/run/secrets/kubernetes.io/serviceaccount/token", ..open("") };
    bench.check_all("shop", "/usr/bin/cat", asked, &tokens);
    bench.opens("shop", "/app", "/var/run/secrets/tokens/vault-token", &tokens[..1]);
    bench.opens("shop", "/app", "/run/secrets/kubernetes.io/serviceaccount/..2026_11_26_20_00_00.123/ca.crt", &[]);
    bench.opens(NODE, "/app", version, &[]);
}

fn secrets(bench: &mut Bench) {
    let secrets = ["secrets/read", "secrets/read-by-tool"];
    bench.opens("shop", "/app", "/etc/secrets/db/password", &secrets[..1]);
    bench.opens("shop", "/usr/bin/base64", "/mnt/secrets-store/key", &secrets);
    bench.opens("shop", "/usr/sbin/nginx", "/etc/nginx/certs/..2026_11_26_20_00_00.123/tls.key", &secrets[..1]);
    bench.opens("shop", "/usr/sbin/nginx", "/etc/nginx/certs/..2026_11_26_20_00_00.123/tls.crt", &[]);
    let refused = Attempt { outcome: Outcome::Failure(13), ..open("/run/secrets/db") };
    bench.check_all("shop", "/app", refused, &["secrets/read", "!secrets/refused"]);
}

fn accounts(bench: &mut Bench) {
    bench.opens("shop", "/usr/bin/su", "/etc/shadow", &["accounts/shadow-read"]);
    bench.opens("shop", "/app", "/host/etc/shadow", &["accounts/shadow-read"]);
    bench.opens("shop", "/app", "/etc/passwd", &[]);
    bench.opens(NODE, "/usr/sbin/sshd", "/etc/shadow", &[]);
    bench.replaces("shop", "/etc/passwd", &["!accounts/changed"]);
    bench.replaces("shop", "/etc/sudoers.d/me", &["!accounts/changed"]);
    bench.replaces("shop", "/etc/hosts", &[]);
    bench.replaces(NODE, "/etc/passwd", &[]);
}

fn ssh_keys(bench: &mut Bench) {
    bench.opens("shop", "/git-sync", "/etc/git/.ssh/id_ed25519", &["ssh-keys/private-key-read"]);
    bench.opens(NODE, "/usr/bin/ssh", "/root/.ssh/id_rsa", &["ssh-keys/private-key-read"]);
    bench.opens(NODE, "/usr/bin/ssh", "/root/.ssh/id_rsa.pub", &[]);
    bench.opens(NODE, "/usr/bin/ssh", "/root/.ssh/known_hosts", &[]);
    bench.opens(NODE, "/usr/sbin/sshd", "/etc/ssh/ssh_host_rsa_key", &[]);
    bench.opens(NODE, "/usr/bin/cat", "/etc/ssh/ssh_host_rsa_key", &["ssh-keys/host-key-read"]);
    bench.opens(NODE, "/tmp/sshd", "/etc/ssh/ssh_host_rsa_key", &["ssh-keys/host-key-read"]);
    bench.opens(NODE, "/usr/bin/cat", "/etc/ssh/ssh_host_rsa_key.pub", &[]);
    bench.replaces("shop", "/host/root/.ssh/authorized_keys", &["!ssh-keys/logins-changed"]);
    bench.opens(NODE, "/usr/sbin/sshd", "/root/.ssh/authorized_keys", &[]);
}

fn clouds(bench: &mut Bench) {
    let azure = "/run/secrets/azure/tokens/..2026_11_26_20_00_00.123/azure-identity-token";
    bench.opens("shop", "/app", azure, &["cloud-credentials/workload-identity"]);
    bench.opens("shop", "/app", "/home/me/.aws/credentials", &["cloud-credentials/lasting"]);
    bench.opens("shop", "/app", "/home/me/.aws/config", &[]);
    bench.opens(NODE, "/usr/bin/kubectl", "/root/.kube/config", &["cloud-credentials/lasting"]);
    bench.opens(NODE, "/usr/bin/kubectl", "/root/.kube/cache/discovery/a.json", &[]);
    let legacy = "/root/.config/gcloud/legacy_credentials/me@example.com/adc.json";
    bench.opens(NODE, "/usr/bin/python3", legacy, &["cloud-credentials/lasting"]);
}

fn kubelet(bench: &mut Bench) {
    bench.opens(NODE, "/usr/bin/kubelet", "/var/lib/kubelet/pki/kubelet-client-current.pem", &[]);
    bench.opens(NODE, "/usr/bin/cat", "/var/lib/kubelet/pki/kubelet-client-current.pem", &["kubelet/credentials"]);
    bench.opens(NODE, "/usr/bin/kubectl", "/etc/kubernetes/admin.conf", &["kubelet/credentials"]);
    bench.opens("shop", "/app", "/host/etc/kubernetes/pki/ca.key", &["kubelet/credentials"]);
    bench.opens("shop", "/app", "/host/etc/kubernetes/pki/ca.crt", &[]);
    bench.opens("kube-system", "/usr/local/bin/kube-apiserver", "/etc/kubernetes/pki/ca.key", &[]);
    let secret = "/var/lib/kubelet/pods/5a1f/volumes/kubernetes.io~secret/db/..2026_11_26_20_00_00.123/password";
    bench.opens(NODE, "/usr/bin/kubelet", secret, &[]);
    bench.opens(NODE, "/usr/bin/cat", secret, &["!kubelet/secrets-of-pods"]);
    bench.opens("shop", "/app", &format!("/rootfs{secret}"), &["!kubelet/secrets-of-pods"]);
    bench.opens(NODE, "/usr/bin/cat", "/var/lib/kubelet/pods/5a1f/volumes/kubernetes.io~empty-dir/cache/a", &[]);
    bench.replaces(NODE, "/etc/kubernetes/manifests/etcd.yaml", &["kubelet/manifests-changed"]);
    bench.opens(NODE, "/usr/bin/cat", "/etc/kubernetes/manifests/etcd.yaml", &[]);
}

fn runtime(bench: &mut Bench) {
    bench.replaces(NODE, "/usr/bin/runc", &["container-runtime/programs-changed"]);
    bench.replaces("shop", "/host/usr/local/bin/containerd-shim-runc-v2", &["container-runtime/programs-changed"]);
    bench.opens(NODE, "/usr/bin/containerd", "/usr/bin/runc", &[]);
    bench.replaces(NODE, "/etc/containerd/conf.d/a.toml", &["container-runtime/configuration-changed"]);
    bench.opens(NODE, "/usr/bin/containerd", "/etc/containerd/config.toml", &[]);
    let network = ["container-runtime/network-credentials-read"];
    bench.opens(NODE, "/usr/bin/cat", "/etc/cni/net.d/calico-kubeconfig", &network);
    bench.opens("shop", "/app", "/host/etc/cni/net.d/multus.d/multus.kubeconfig", &network);
    bench.opens(NODE, "/opt/cni/bin/calico", "/etc/cni/net.d/calico-kubeconfig", &[]);
}
