//! New programs that report accesses: attached to nothing, or in place of those that an earlier run left.

use aya::Ebpf;
use inotrail_ebpf::{Control, role, turn};

use super::hook::{Attached, Hook};
use super::hooks::detach;
use super::memory::ControlMap;
use super::mutation_hooks::Mutations;
use super::pins::Pins;
use super::previous::Previous;
use super::takeover::{First, boot_ns, take_over};
use super::{AttemptError, Gap, backend, misses};
use crate::event::Backend;

/// Programs that are about to report accesses.
pub(super) struct Incoming<'a> {
    pub(super) backend: Backend,
    pub(super) role: u32,
    pub(super) accesses: Vec<Hook>,
    pub(super) mutations: &'a mut Mutations,
}

/// What came of it.
pub(super) struct Placed {
    pub(super) attached: Vec<Attached>,
    /// The time in which nothing was attached, if there was any.
    pub(super) gap: Option<Gap>,
    /// Calls that the earlier run's programs missed and that it has not told.
    pub(super) missed: u64,
}

impl Incoming<'_> {
    /// Attaches them, in place of what an earlier run left.
    pub(super) fn attach(
        self,
        object: &mut Ebpf,
        control: &ControlMap,
        default_scope: u32,
        previous: Option<&mut Previous>,
        pins: Option<&Pins>,
    ) -> Result<Placed, AttemptError> {
        let exec_is_access = u32::from(self.backend == Backend::RawTracepoint);
        let mut attach = || -> Result<Vec<_>, backend::Error> {
            let attached: Vec<_> = self.accesses.iter().map(|hook| hook.attach(object)).collect::<Result<_, _>>()?;
            Ok(attached.into_iter().chain(self.mutations.attach(object)).collect())
        };
        let Some(previous) = previous else {
            control.set(Control { default_scope, exec_is_access, turn: turn(self.role, 0), ..Control::default() });
            return Ok(Placed { attached: attach()?, gap: None, missed: 0 });
        };
        let old = previous.backend();
        let (hooked, tables): (Vec<_>, Vec<_>) =
            std::mem::take(&mut previous.attached).into_iter().partition(|attached| attached.hook.reports_accesses());
        // Both sets of tables' programs ran side by side: their records may come twice.
        detach(tables, pins);
        let Some(first) = old.and_then(|old| first(old, self.backend)) else {
            let start_ns = if hooked.is_empty() { previous.handover.drained_ns } else { boot_ns() };
            let missed = misses::sum(&hooked).saturating_sub(previous.handover.missed);
            detach(hooked, pins);
            control.set(Control {
                default_scope,
                exec_is_access,
                self_tgid: 0,
                turn: turn(self.role, 0),
                ..control.get()
            });
            let attached = attach()?;
            return Ok(Placed { attached, gap: Some(Gap { start_ns, end_ns: boot_ns() }), missed });
        };
        control.set(Control { default_scope, self_tgid: 0, ..control.get() });
        let was = role(previous.handover.instance, old == Some(Backend::Kprobe));
        let (mut hooked, mut missed) = (Some(hooked), 0);
        let taken = take_over(control, (was, self.role), first, attach, || {
            let hooked = hooked.take().unwrap_or_default();
            missed = misses::sum(&hooked).saturating_sub(previous.handover.missed);
            detach(hooked, pins);
        });
        previous.attached = hooked.unwrap_or_default();
        Ok(Placed { attached: taken?, gap: None, missed })
    }
}

/// Which program runs first while both are attached; nothing where the two do not see the same calls.
fn first(old: Backend, new: Backend) -> Option<First> {
    match (old, new) {
        (Backend::RawTracepoint, Backend::RawTracepoint) | (Backend::Kprobe, Backend::Fexit) => Some(First::Old),
        (Backend::RawTracepoint, _) | (_, Backend::RawTracepoint) => None,
        _ => Some(First::New),
    }
}
