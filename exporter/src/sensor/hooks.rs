//! The attached programs, and what may change while they run: kprobe takes over from fexit when the kernel skips that.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aya::Ebpf;
use inotrail_ebpf::role;

use super::backend::{self, Error, Misses};
use super::hook::{Attached, Hook, KPROBE_PINS};
use super::kernel::Kernel;
use super::memory::{ControlMap, HandoverMap};
use super::pins::Pins;
use super::takeover::{First, take_over};
use super::{misses, mutation_hooks, whoami};
use crate::event::Backend;

/// The attached programs. Cloning shares them; no thread that reads events ever waits for one that changes them.
#[derive(Clone)]
pub struct Hooks {
    set: Arc<Mutex<Set>>,
    /// Written once by a swap, read for every summary.
    is_kprobe: Arc<AtomicBool>,
    backend: Backend,
}

/// What attaching left, all under one lock.
pub(super) struct Set {
    pub(super) attached: Vec<Attached>,
    /// The loaded object; nothing where nothing is to be attached from it any more.
    pub(super) object: Option<Ebpf>,
    /// Programs that are loaded and take over when the attached ones miss calls.
    pub(super) standby: Vec<Hook>,
    pub(super) control: Arc<ControlMap>,
    pub(super) handover: Arc<HandoverMap>,
    pub(super) pins: Option<Pins>,
    pub(super) instance: u32,
    pub(super) kernel: Kernel,
    /// Calls missed by programs that are detached by now.
    pub(super) missed_before: u64,
    /// Of the missed calls of the programs that an earlier run left, those that it has told.
    pub(super) told_before: u64,
}

/// What a swap did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Calls that fexit had missed by then.
    pub missed: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u128,
}

impl Hooks {
    pub(super) fn new(backend: Backend, set: Set) -> Self {
        Self {
            set: Arc::new(Mutex::new(set)),
            is_kprobe: Arc::new(AtomicBool::new(backend == Backend::Kprobe)),
            backend,
        }
    }

    /// The backend that runs now.
    #[must_use]
    pub fn backend(&self) -> Backend {
        if self.is_kprobe.load(Ordering::Relaxed) { Backend::Kprobe } else { self.backend }
    }

    /// How often kprobe has taken over from fexit, in earlier runs with the same pins too.
    #[must_use]
    pub fn swaps(&self) -> u64 {
        self.lock().handover.get().swaps
    }

    /// Whether a program stands by for the one that runs.
    #[must_use]
    pub fn has_standby(&self) -> bool {
        !self.lock().standby.is_empty()
    }

    /// Calls that the kernel skipped, by program; nothing for a program whose kernel does not count them.
    #[must_use]
    pub fn missed(&self) -> Vec<(&'static str, Option<u64>)> {
        let set = self.lock();
        set.attached.iter().map(|attached| (attached.hook.program, misses::of(&attached.program))).collect()
    }

    /// Missed calls of the programs that report accesses, those of programs that were swapped out included, and those that no
    /// earlier run has told; nothing where the kernel skips calls and does not count them.
    #[must_use]
    pub fn missed_accesses(&self) -> Option<u64> {
        if self.misses() == Misses::NotCountable {
            return None;
        }
        let set = self.lock();
        Some((set.missed_before + misses::sum(&set.attached)).saturating_sub(set.told_before))
    }

    /// The same, to be told now: the next run does not tell them again.
    #[must_use]
    pub fn tell_missed(&self) -> Option<u64> {
        let missed = self.missed_accesses();
        let set = self.lock();
        set.handover.set_missed(misses::sum(&set.attached));
        missed
    }

    /// Whether the kernel may skip calls of the programs that run now.
    #[must_use]
    pub fn misses(&self) -> Misses {
        backend::misses(self.backend(), &self.lock().kernel)
    }

    /// Lets kprobe take over from fexit if fexit has missed a call.
    ///
    /// # Errors
    /// As [`Self::swap`].
    pub fn swap_if_missed(&self) -> Result<Option<Swapped>, Error> {
        let missed = misses::sum(&self.lock().attached);
        if missed > 0 { self.swap() } else { Ok(None) }
    }

    /// Lets the programs that stand by take over; nothing happens where none do. It takes up to seconds: never on a thread
    /// that reads events.
    ///
    /// # Errors
    /// They do not attach; the others go on then, and no further attempt is made.
    pub fn swap(&self) -> Result<Option<Swapped>, Error> {
        let mut set = self.lock();
        if set.standby.is_empty() {
            return Ok(None);
        }
        let swapped = set.swap()?;
        self.is_kprobe.store(true, Ordering::Relaxed);
        Ok(Some(swapped))
    }

    /// Lets the programs outlive this process.
    ///
    /// # Errors
    /// The file system refuses; some programs are detached then.
    pub(super) fn pin(&self, pins: Pins) -> Result<(), Error> {
        let mut set = self.lock();
        let set = &mut *set;
        let Some(object) = &mut set.object else { return Ok(()) };
        whoami::pin(object, &pins)?;
        let attached = std::mem::take(&mut set.attached).into_iter();
        let kprobes = set.kernel.version >= KPROBE_PINS;
        set.attached = attached.map(|attached| attached.pin(&pins, object, kprobes)).collect::<Result<_, _>>()?;
        set.pins = Some(pins);
        Ok(())
    }

    /// Frees the loaded object, 2 MiB of memory, where nothing is to be attached from it any more.
    pub(super) fn settle(&self) {
        let mut set = self.lock();
        if set.standby.is_empty() {
            set.object = None;
        }
    }

    /// Detaches the programs, or leaves them to the next run where they are pinned.
    pub(super) fn leave(&self) {
        let mut set = self.lock();
        set.attached.clear();
        set.object = None;
        set.pins = None;
    }

    /// Whether the programs stay attached when this process ends.
    #[must_use]
    pub fn are_pinned(&self) -> bool {
        self.lock().attached.iter().filter(|attached| attached.hook.reports_accesses()).all(Attached::is_pinned)
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        // What a panic left is still the truth about the kernel.
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn swap(&mut self) -> Result<Swapped, Error> {
        let start = Instant::now();
        let standby = std::mem::take(&mut self.standby);
        let Some(mut object) = self.object.take() else {
            return Err(Error::Unsupported("no object is loaded".to_owned()));
        };
        let (old, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.attached).into_iter().partition(|it| it.hook.reports_accesses());
        self.attached = kept;
        // Held back until the new one runs; given back if it does not.
        let mut old = Some(old);
        let mut missed = 0;
        let roles = (role(self.instance, false), role(self.instance, true));
        let taken = take_over(
            &self.control,
            roles,
            First::New,
            || {
                let attached =
                    standby.into_iter().filter_map(|hook| mutation_hooks::may_fail(hook, hook.attach(&mut object)));
                attached.collect::<Result<Vec<_>, _>>()
            },
            || {
                let old = old.take().unwrap_or_default();
                missed = misses::sum(&old);
                detach(old, self.pins.as_ref());
            },
        );
        self.missed_before += missed;
        self.attached.extend(old.into_iter().flatten());
        let new = taken?;
        let kprobes = self.kernel.version >= KPROBE_PINS;
        for attached in new {
            self.attached.push(match &self.pins {
                Some(pins) => attached.pin(pins, &mut object, kprobes)?,
                None => attached,
            });
        }
        self.handover.set_hook(inotrail_ebpf::program::KPROBE);
        self.handover.set_missed(0);
        self.handover.count_swap();
        Ok(Swapped { missed, took_ms: start.elapsed().as_millis() })
    }
}

/// Detaches programs that nobody needs any more. One that cannot be detached goes on and is silent: it has no turn.
pub(super) fn detach(programs: Vec<Attached>, pins: Option<&Pins>) {
    for attached in programs {
        let name = attached.hook.program;
        let detached: io::Result<()> = attached.detach(pins);
        if let Err(error) = detached {
            tracing::warn!(program = name, %error, "a program that is not needed any more stays attached");
        }
    }
}
