//! The programs of mutations: which run. Each stands alone: one that is missing disables no other.

use aya::Ebpf;

use super::backend::Error;
use super::hook::{Attached, Hook};
use super::mutations::{self, Mutation};
use super::report::MutationReport;
use super::types::Types;
use crate::event::{Backend, Operation};

/// The programs of one backend, and what became of each.
#[derive(Debug, Default)]
pub(super) struct Mutations {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    operation: Operation,
    function: &'static str,
    /// Which runs, or why none does.
    hook: Result<Hook, String>,
}

impl Mutations {
    fn of(backend: Backend, wanted: &[Mutation], mut each: impl FnMut(Hook) -> Result<Hook, String>) -> Self {
        let hook = |mutation: &Mutation| match (backend, &mutation.unsupported) {
            (Backend::RawTracepoint, _) => Err("not supported by raw-tracepoint".to_owned()),
            (_, Some(reason)) => Err(reason.clone()),
            (Backend::Fexit, None) => Ok(Hook::fexit(mutation.fexit, mutation.function)),
            (Backend::Kprobe, None) => Ok(Hook::kprobe(mutation.kprobe, mutation.function)),
        };
        let row = |mutation: &Mutation| Row {
            operation: mutation.operation,
            function: mutation.function,
            hook: hook(mutation).and_then(&mut each),
        };
        Self { rows: wanted.iter().map(row).collect() }
    }

    /// Lets the verifier see the programs. What the kernel refuses is told by [`Self::report`].
    pub(super) fn load(object: &mut Ebpf, backend: Backend, wanted: &[Mutation], types: &mut Types) -> Self {
        Self::of(backend, wanted, |hook| hook.load(object, types).map(|()| hook).map_err(|error| error.to_string()))
    }

    /// Those that an earlier run has attached.
    pub(super) fn attached(attached: &[Attached], backend: Backend, wanted: &[Mutation]) -> Self {
        Self::of(backend, wanted, |hook| {
            let is_there = attached.iter().any(|attached| attached.hook == hook);
            if is_there { Ok(hook) } else { Err("an earlier run could not attach it".to_owned()) }
        })
    }

    /// Attaches them. What the kernel refuses is told by [`Self::report`].
    pub(super) fn attach(&mut self, object: &mut Ebpf) -> Vec<Attached> {
        let mut list = Vec::new();
        for row in &mut self.rows {
            let Ok(hook) = row.hook else { continue };
            match hook.attach(object) {
                Ok(attached) => list.push(attached),
                Err(error) => row.hook = Err(error.to_string()),
            }
        }
        list
    }

    /// Those that the kernel took.
    pub(super) fn hooks(&self) -> impl Iterator<Item = Hook> {
        self.rows.iter().filter_map(|row| row.hook.as_ref().ok().copied())
    }

    /// What is seen of each operation, by which function.
    pub(super) fn report(&self) -> Vec<MutationReport> {
        let row = |row: &Row| MutationReport {
            operation: row.operation.as_str(),
            function: row.function,
            works: row.hook.is_ok(),
            reason: row.hook.as_ref().err().cloned().unwrap_or_default(),
        };
        self.rows.iter().map(row).collect()
    }
}

/// What came of attaching one of several programs: nothing where it is a mutation's and fails, because the others go on.
pub(super) fn may_fail(wanted: Hook, result: Result<Attached, Error>) -> Option<Result<Attached, Error>> {
    match result {
        Err(error) if mutations::place(wanted.program).is_some() => {
            tracing::warn!(program = wanted.program, %error, "a mutation is not reported any more");
            None
        }
        result => Some(result),
    }
}
