//! Files that somebody may change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::pending;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::sync::mpsc;

/// What programs do when they write files, and what the kubelet does: it puts a link to the new version in the old one's
/// place.
const CHANGES: WatchFlags =
    WatchFlags::CLOSE_WRITE.union(WatchFlags::MOVE).union(WatchFlags::CREATE).union(WatchFlags::DELETE);

/// Folders of files, watched.
#[derive(Debug)]
pub(super) struct Watch {
    /// Nothing: the kernel has none to give.
    inotify: Option<Arc<OwnedFd>>,
    /// The kernel's numbers of the folders.
    folders: BTreeSet<i32>,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        let (sender, changes) = mpsc::channel(1);
        let inotify = start(sender).inspect_err(|error| {
            tracing::warn!(%error, "files of the configuration are not watched, but looked at now and then");
        });
        Self { inotify: inotify.ok(), folders: BTreeSet::new(), changes }
    }

    /// Watches the folders of these files, and of the files that they are links to, and no others. One that is not there is
    /// left out.
    pub(super) fn set(&mut self, files: &BTreeSet<PathBuf>) {
        let Some(inotify) = &self.inotify else { return };
        let ends = files.iter().filter_map(|file| file.canonicalize().ok());
        let folders: BTreeSet<_> = files.iter().cloned().chain(ends).map(|file| folder(&file).to_owned()).collect();
        let watched = folders.iter().filter_map(|folder| inotify::add_watch(inotify, folder, CHANGES).ok()).collect();
        for gone in self.folders.difference(&watched) {
            // The kernel forgets by itself a folder that is gone.
            let _forgotten = inotify::remove_watch(inotify, *gone);
        }
        self.folders = watched;
    }

    /// Returns when something has changed there, these files or others.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.changes.close();
        // The thread is told of the last one, and ends.
        self.set(&BTreeSet::new());
    }
}

/// Starts a thread that tells of each change until nobody listens: tokio's descriptors need `unsafe`.
fn start(changes: mpsc::Sender<()>) -> io::Result<Arc<OwnedFd>> {
    let inotify = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
    let shared = Arc::clone(&inotify);
    let tell = move || {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&*shared, &mut buffer);
        loop {
            match reader.next() {
                // A change that is not read yet stands for this one too.
                Ok(event) if !event.events().contains(ReadFlags::IGNORED) => drop(changes.try_send(())),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "files of the configuration are not watched any more");
                    return;
                }
            }
            if changes.is_closed() {
                return;
            }
        }
    };
    thread::Builder::new().name("configuration".to_owned()).spawn(tell)?;
    Ok(inotify)
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// By file: a number for what is in it, or for why it cannot be read.
pub(super) type Contents = BTreeMap<PathBuf, u64>;

/// Looks into files.
pub(super) fn contents(files: &BTreeSet<PathBuf>) -> Contents {
    let content = |file: &PathBuf| {
        let mut hasher = DefaultHasher::new();
        fs::read(file).map_err(|error| error.kind()).hash(&mut hasher);
        (file.clone(), hasher.finish())
    };
    files.iter().map(content).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn folders_of_files_and_of_what_they_are_links_to() {
        let [near, far, other] = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
        let (file, end) = (near.path().join("file"), far.path().join("end"));
        fs::write(&end, "one").expect("write");
        symlink(&end, &file).expect("a link");
        let files: BTreeSet<_> = [file.clone(), other.path().join("absent/file")].into();
        let mut watch = Watch::new();
        watch.set(&files);
        let before = contents(&files);
        assert_eq!(contents(&files), before);
        fs::write(&end, "two").expect("write");
        timeout(Duration::from_secs(60), watch.changed()).await.expect("told of the end");
        let after = contents(&files);
        assert_eq!(files.iter().filter(|file| before[*file] != after[*file]).collect::<Vec<_>>(), [&file]);

        // What is set anew is all that is watched, and with the last one the thread ends.
        watch.set(&[other.path().join("file")].into());
        assert_eq!(watch.folders.len(), 1);
        while watch.changes.try_recv().is_ok() {}
        fs::write(other.path().join("file"), "").expect("write");
        timeout(Duration::from_secs(60), watch.changed()).await.expect("told of the other");
        let inotify = watch.inotify.as_ref().map(Arc::downgrade).expect("inotify");
        drop(watch);
        let ended = async {
            while inotify.upgrade().is_some() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(60), ended).await.expect("the thread ends");
    }
}
