//! The kernel's own notices of opens, each with the reader that goes with it. The kernel makes equal ones that wait into one.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use super::peers::PATIENCE;
use super::rows::{FILE, opens_with};

/// A kind of notice.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    /// Of all opens in a mount. It tells the process and the file, and not the cgroup, which may be gone when somebody asks.
    Fanotify,
    /// Of opens in one folder. It tells the name, and not who it was.
    Inotify,
}

impl Notice {
    pub(super) const ALL: [Self; 2] = [Self::Fanotify, Self::Inotify];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fanotify => "fanotify of a mount: process, no cgroup",
            Self::Inotify => "inotify of one folder: name, no process",
        }
    }

    /// Instructions of one open and close, wanted or not: neither knows containers, so that all of them are reported.
    ///
    /// # Errors
    /// The kernel lacks it, or it told of nothing.
    pub(super) fn cost(self) -> Result<f64> {
        let mut seen = 0;
        let cost = match self {
            Self::Fanotify => {
                let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_NONBLOCK | InitFlags::FAN_CLOEXEC;
                let group = Fanotify::init(flags, EventFFlags::O_RDONLY).context("start fanotify")?;
                let mark = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_MOUNT;
                group.mark(mark, MaskFlags::FAN_OPEN, None, Some("/")).context("mark the mount")?;
                opens_with(|| {
                    wait(&group);
                    seen += fanotify(&group);
                })?
            }
            Self::Inotify => {
                let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).context("start inotify")?;
                let folder = Path::new(FILE).parent().context("the file has a folder")?;
                inotify::add_watch(&queue, folder, WatchFlags::OPEN).context("watch the folder")?;
                let mut buffer = [MaybeUninit::uninit(); 4096];
                let mut reader = Reader::new(&queue, &mut buffer);
                opens_with(|| {
                    wait(&queue);
                    while let Ok(event) = reader.next() {
                        seen += u64::from(event.events().contains(ReadFlags::OPEN));
                    }
                })?
            }
        };
        ensure!(seen > 0, "{self:?} told of no open");
        Ok(cost)
    }
}

/// Until there is something, or for the reader's own end.
fn wait(queue: &impl AsFd) {
    // What a signal interrupts is tried again anyway.
    let _interrupted = poll(&mut [PollFd::new(queue, PollFlags::IN)], Some(&PATIENCE));
}

/// Events that were there. Each comes with the file, which is closed.
fn fanotify(group: &Fanotify) -> u64 {
    let mut seen = 0;
    loop {
        match group.read_events() {
            Ok(events) => seen += events.len() as u64,
            Err(Errno::EINTR) => {}
            Err(_) => return seen,
        }
    }
}
