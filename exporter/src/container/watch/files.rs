//! Has files looked for that rules name by their whole paths, so that they are known under any other name too.

use tokio::time::Instant;

use super::super::path::as_path;
use super::super::watched::{FileQueue, Looked};
use super::{FILES_AGAIN, Watch};

impl Watch {
    /// Looks for what is new, and for everything again from time to time.
    pub(super) fn look_for_files(&mut self) {
        let Self { files: Some(files), table, hierarchy, .. } = self else { return };
        table.take_unwatched().into_iter().for_each(|cgroup| files.want(cgroup));
        if self.files_at <= Instant::now() {
            self.files_at = Instant::now() + FILES_AGAIN;
            table.watching().into_iter().for_each(|cgroup| files.want(cgroup));
            table.count_unresolved();
        }
        files.start(Instant::now().into_std(), |cgroup| {
            table.files_wanted(cgroup, |path| hierarchy.directory(as_path(path)))
        });
        let gone = table.take_gone();
        if let Some(filter) = self.filter.as_mut().filter(|_| !gone.is_empty()) {
            // Taking away needs no room.
            let _done = filter.watch(&[], &gone);
        }
    }

    pub(super) fn looked(&mut self, looked: Looked) {
        for (cgroup, found) in looked {
            let Some((new, gone)) = self.table.watched(cgroup, found) else { continue };
            let Some(filter) = &mut self.filter else { continue };
            if let Err(error) = filter.watch(&new, &gone) {
                self.filter_is_full(&error);
                self.table.record_everything(cgroup);
            }
        }
    }
}

/// What the next look brings.
pub(super) async fn next_files(files: &mut Option<FileQueue>) -> Looked {
    match files {
        Some(files) => files.next().await,
        None => std::future::pending().await,
    }
}
