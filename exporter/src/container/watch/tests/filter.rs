//! What the kernel is told to record.

use super::super::super::{FileId, FilterUsage, KernelFilter, Pod, PodDetails, Recorded};
use super::*;

const B: &str = "b123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What the kernel was told.
#[derive(Clone, Debug, Default)]
struct Told(Arc<std::sync::Mutex<Vec<(u64, bool)>>>);

impl KernelFilter for Told {
    fn record(&mut self, cgroup: u64, _: &Path, what: &Recorded) -> std::io::Result<()> {
        self.0.lock().unwrap().push((cgroup, *what != Recorded::Nothing));
        Ok(())
    }

    fn watch(&mut self, _: &[FileId], _: &[FileId]) -> std::io::Result<()> {
        Ok(())
    }

    fn usage(&self) -> FilterUsage {
        FilterUsage::default()
    }
}

#[tokio::test]
async fn the_kernel_does_not_record_what_is_excluded() {
    let (tree, told) = (Tree::new("excluded"), Told::default());
    let containers = Containers::default();
    let mut watch = tree.watch(&containers).filtering(Some(Box::new(told.clone())));
    watch.expects_announcements = true;
    let made = [(A, true), (B, false)].map(|(id, is_excluded)| {
        let cgroup = tree.add(&format!("docker/{id}"));
        watch.apply(Change::Made(cgroup, format!("/docker/{id}").as_bytes().into()));
        let origin = Origin::Container { id: id.into(), name: "loki".into(), runtime: "", resolved: true };
        let details = Some(Arc::new(PodDetails { is_excluded, ..PodDetails::default() }));
        let metadata = Metadata { origin, pod: Some(Pod { uid: id.into(), details, ..Pod::default() }), image: None };
        watch.announced(Announced { source: Source::Hook, id: id.into(), metadata, cgroup: None });
        cgroup
    });
    watch.settle();
    assert_eq!(*told.0.lock().unwrap(), [(made[0], false)]);
    assert_eq!(watch.metrics.containers_excluded.get(), 1);
    // Policies for everybody are not for it.
    let text = "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {name: p}\nspec: {rules: [{name: r, paths: [/a]}]}\n";
    let (policies, _) = crate::policy::document::read(text);
    watch.table.judge_by(Arc::new(PolicySet::new(policies.into_iter().map(Arc::new))));
    watch.settle();
    assert_eq!(told.0.lock().unwrap()[1..], [(made[1], true)]);
    let snapshot = containers.snapshot();
    assert_eq!(made.map(|cgroup| snapshot.get(cgroup).unwrap().is_excluded()), [true, false]);
}

#[tokio::test]
async fn the_kernel_records_containers_that_rules_are_about() {
    let (tree, told) = (Tree::new("recorded"), Told::default());
    let containers = Containers::default();
    let mut watch = tree.watch(&containers).filtering(Some(Box::new(told.clone())));
    let policy = |name: &str| {
        let head = "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {name: p}\n";
        let spec = format!("spec: {{containers: [{name}], rules: [{{name: r, paths: [/a]}}]}}\n");
        let (policies, _) = crate::policy::document::read(&format!("{head}{spec}"));
        Arc::new(PolicySet::new(policies.into_iter().map(Arc::new)))
    };
    let expect = |watch: &mut Watch, expected: &[(u64, bool)]| {
        watch.settle();
        assert_eq!(std::mem::take(&mut *told.0.lock().unwrap()), expected);
    };
    let host = tree.add("system.slice");
    watch.apply(Change::Made(host, b"/system.slice"[..].into()));
    watch.expects_announcements = true;
    let (one, child) = (tree.add(&format!("docker/{A}")), tree.add(&format!("docker/{A}/child")));
    watch.apply(Change::Made(one, format!("/docker/{A}").as_bytes().into()));
    let origin = Origin::Container { id: A.into(), name: "web".into(), runtime: "", resolved: true };
    let metadata = Metadata { origin, pod: None, image: None };
    // Without policies the kernel is told nothing.
    watch.announced(Announced { source: Source::Hook, id: A.into(), metadata, cgroup: None });
    expect(&mut watch, &[]);
    watch.table.judge_by(policy("db"));
    expect(&mut watch, &[(one, false)]);
    // It begins as its parent is in the kernel, whatever was said meanwhile.
    watch.apply(Change::Made(child, format!("/docker/{A}/child").as_bytes().into()));
    expect(&mut watch, &[(child, false)]);
    watch.table.judge_by(policy("w*"));
    watch.settle();
    let mut both = std::mem::take(&mut *told.0.lock().unwrap());
    both.sort_unstable();
    let mut expected = [(one, true), (child, true)];
    expected.sort_unstable();
    assert_eq!(both, expected);
    watch.table.judge_by(policy("web"));
    expect(&mut watch, &[]);
}
