//! Policies in files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::sleep;

use super::{Error, InForce, Source};
use crate::policy::{Policy, document};

/// Whoever changes one file often changes another one too.
const SETTLE: Duration = Duration::from_millis(50);
/// What programs do when they write files, and what the kubelet does: it puts a link to the new version in the old one's
/// place.
const CHANGES: WatchFlags =
    WatchFlags::CLOSE_WRITE.union(WatchFlags::MOVE).union(WatchFlags::CREATE).union(WatchFlags::DELETE);
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// Files of policies, watched.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<PathBuf>,
    /// By file: what was right in it when it was right last.
    policies: BTreeMap<PathBuf, Vec<Arc<Policy>>>,
    changes: mpsc::Receiver<()>,
}

impl Files {
    /// Watches the files and folders, and then reads them.
    pub(super) fn open(paths: Vec<PathBuf>) -> Result<Self, Error> {
        let start = |error: Errno| Error::files(Path::new("inotify"))(error.into());
        let inotify = inotify::init(CreateFlags::CLOEXEC).map_err(start)?;
        for path in &paths {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder = if path.is_dir() { path } else { parent };
            inotify::add_watch(&inotify, folder, CHANGES).map_err(|error| Error::files(path)(error.into()))?;
        }
        let (sender, changes) = mpsc::channel(1);
        let thread = thread::Builder::new().name("policies".to_owned()).spawn(move || tell_changes(&inotify, &sender));
        thread.map_err(Error::files(Path::new("a thread of its own")))?;
        let mut files = Self { paths, policies: BTreeMap::new(), changes };
        files.read()?;
        Ok(files)
    }

    pub(super) fn policies(&self) -> Vec<Arc<Policy>> {
        self.policies.values().flatten().cloned().collect()
    }

    /// Reads again whenever something changes, until the future is dropped.
    pub(super) async fn follow(mut self, in_force: InForce) {
        while self.changes.recv().await.is_some() {
            sleep(SETTLE).await;
            match self.read() {
                Ok(()) => in_force.replace(Source::Files, self.policies()),
                Err(error) => tracing::error!(%error, "the policies that were in force stay"),
            }
        }
    }

    fn read(&mut self) -> Result<(), Error> {
        let mut policies = BTreeMap::new();
        for path in &self.paths {
            for file in list(path).map_err(Error::files(path))? {
                let text = fs::read_to_string(&file).map_err(Error::files(&file))?;
                let before = self.policies.get(&file).map(Vec::as_slice).unwrap_or_default();
                policies.insert(file.clone(), of_file(&file, &text, before));
            }
        }
        self.policies = policies;
        Ok(())
    }
}

/// What a file says. Where something in it is wrong that was right before, what was in force stays: a slip must not end a
/// watch.
fn of_file(file: &Path, text: &str, before: &[Arc<Policy>]) -> Vec<Arc<Policy>> {
    let (mut policies, problems) = document::read(text);
    for problem in &problems {
        tracing::error!("{}:{problem}", file.display());
    }
    if !problems.is_empty() && !before.is_empty() {
        tracing::warn!(policies = before.len(), "what was in force of {} stays", file.display());
        return before.to_vec();
    }
    for policy in &mut policies {
        if let Some(known) = before.iter().find(|known| known.name == policy.name) {
            policy.counts = Arc::clone(&known.counts);
        }
    }
    policies.into_iter().map(Arc::new).collect()
}

/// The file itself, or the folder's files in the order of their names.
pub(super) fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_meant = |file: &PathBuf| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && file.is_file()
    };
    let files = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<_> = files.into_iter().filter(is_meant).collect();
    files.sort();
    Ok(files)
}

/// Tells of each change until nobody listens. A thread of its own: tokio's descriptors need `unsafe`.
fn tell_changes(inotify: &OwnedFd, changes: &mpsc::Sender<()>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(inotify, &mut buffer);
    loop {
        match reader.next() {
            // A change that is not read yet stands for this one too.
            Ok(_) if !matches!(changes.try_send(()), Err(TrySendError::Closed(()))) => {}
            Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!(%error, "files of policies are not watched any more");
                return;
            }
            Ok(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;
    use crate::policy::PolicySet;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("inotrail-policies-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) {
            let new = self.0.join(format!(".{name}.new"));
            fs::write(&new, text).unwrap();
            fs::rename(new, self.0.join(name)).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn policy(name: &str) -> String {
        format!(
            "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {{name: {name}}}\n\
             spec: {{rules: [{{name: a, paths: [/etc/*]}}]}}\n"
        )
    }

    type InForceNow = tokio::sync::watch::Receiver<Arc<PolicySet>>;

    async fn expect(set: &mut InForceNow, expected: &[&str]) {
        let names = |set: &PolicySet| set.names().map(str::to_owned).collect::<Vec<_>>();
        let found = timeout(Duration::from_secs(5), set.wait_for(|set| names(set) == expected)).await.is_ok();
        assert!(found, "{expected:?}, not {:?}", names(&set.borrow()));
    }

    #[tokio::test]
    async fn changes_are_followed() {
        let folder = Folder::new("followed");
        folder.write("b.yaml", &policy("b"));
        folder.write("not.txt", &policy("not"));
        let files = Files::open(vec![folder.0.clone()]).unwrap();
        assert_eq!(files.policies().len(), 1);
        let (in_force, mut set) = InForce::new();
        let task = tokio::spawn(files.follow(in_force));
        folder.write("a.yml", &policy("a"));
        expect(&mut set, &["a", "b"]).await;
        folder.write("b.yaml", &policy("c"));
        expect(&mut set, &["a", "c"]).await;
        // A slip: what was in force stays, and the other file's change counts.
        folder.write("b.yaml", &policy("c").replace("/etc", "etc"));
        folder.write("a.yml", &policy("d"));
        expect(&mut set, &["c", "d"]).await;
        fs::remove_file(folder.0.join("a.yml")).unwrap();
        expect(&mut set, &["c"]).await;
        task.abort();
    }

    #[tokio::test]
    async fn a_mounted_config_map_changes_as_a_whole() {
        let folder = Folder::new("config-map");
        let version = |name: &str, policies: &str| {
            fs::create_dir(folder.0.join(name)).unwrap();
            fs::write(folder.0.join(name).join("p.yaml"), policies).unwrap();
        };
        version("..1", &policy("one"));
        symlink("..1", folder.0.join("..data")).unwrap();
        symlink("..data/p.yaml", folder.0.join("p.yaml")).unwrap();
        let files = Files::open(vec![folder.0.clone()]).unwrap();
        let (in_force, mut set) = InForce::new();
        in_force.replace(Source::Files, files.policies());
        let task = tokio::spawn(files.follow(in_force));
        expect(&mut set, &["one"]).await;
        version("..2", &policy("two"));
        symlink("..2", folder.0.join("..data_tmp")).unwrap();
        fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
        expect(&mut set, &["two"]).await;
        task.abort();
    }

    #[tokio::test]
    async fn what_is_not_there() {
        let error = Files::open(vec!["/no/such/folder".into()]).unwrap_err().to_string();
        assert!(error.starts_with("cannot read policies from /no/such/folder: "), "{error}");
    }

    #[test]
    fn counts_go_on() {
        let before = of_file(Path::new("p"), &policy("a"), &[]);
        let after = of_file(Path::new("p"), &policy("a"), &before);
        assert!(Arc::ptr_eq(&before[0].counts, &after[0].counts));
    }
}
