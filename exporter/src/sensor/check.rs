//! Tries every backend and tells what came of it: `inotrail check`.

use std::path::Path;

use super::backend::{self, degraded, misses, not_seen, order};
use super::btf::Btf;
use super::kernel::{self, Kernel};
use super::report::{BackendReport, MutationReport, Report};
use super::{AttemptError, Error, Options, Sensor, layout, previous, privileges};
use crate::event::Backend;

/// Loads, attaches, tests and detaches each backend in turn. `cgroups` describes the hierarchy that was chosen, `pins` is
/// where an exporter may have programs pinned.
#[must_use]
pub fn check(options: &Options, cgroups: String, pins: &Path) -> Report {
    let kernel = Kernel::detect();
    let missing = privileges::missing(&kernel);
    let mut report = Report {
        kernel: kernel.release.clone(),
        arch: kernel.architecture.clone(),
        preemption: kernel.preemption.as_str().to_owned(),
        missing_capabilities: missing.iter().map(|one| one.capability.to_owned()).collect(),
        cgroups,
        pinned: previous::pinned(pins),
        ..Report::default()
    };
    let layout = Btf::load(&options.btf).map_err(|error| error.to_string()).and_then(|btf| {
        layout::resolve(&btf, options.hierarchy.controller, options.hierarchy.id).map_err(|error| error.to_string())
    });
    report.btf = match &layout {
        Ok(_) => options.btf.display().to_string(),
        Err(reason) => reason.clone(),
    };
    let features = match layout {
        Ok(_) if !missing.is_empty() => Err(Error::Capability(missing).to_string()),
        Ok(_) if kernel::is_confidential() => Err(Error::Lockdown.to_string()),
        Ok((_, features)) => Ok(features),
        Err(reason) => Err(reason),
    };
    let features = match features {
        Ok(features) => features,
        Err(reason) => {
            report.why = reason;
            return report;
        }
    };
    let backends = order(&kernel);
    for backend in backends {
        let (mutations, row) = try_one(backend, options, &kernel);
        if let (None, Some(mutations)) = (report.chosen, mutations)
            && options.backend.is_none_or(|only| only == backend)
        {
            report.chosen = Some(backend);
            report.mutations = mutations;
        }
        report.backends.push(row);
    }
    report.why = why(report.chosen, options.backend, &kernel);
    if let Some(chosen) = report.chosen {
        report.not_seen = not_seen(chosen, &features).into_iter().map(str::to_owned).collect();
    }
    report
}

/// What became of its hooks of mutations, where it works, and how far it came.
fn try_one(backend: Backend, options: &Options, kernel: &Kernel) -> (Option<Vec<MutationReport>>, BackendReport) {
    let misses = misses(backend, kernel).as_str();
    let row = |loads, attaches, reason| BackendReport { backend, loads, attaches, misses, reason };
    let failure = match Sensor::attach(backend, options) {
        Ok(Ok(sensor)) => {
            let degraded = degraded(backend, kernel).map(|why| format!("degraded: {why}"));
            let cost =
                (backend == Backend::RawTracepoint).then(|| "every system call on the node pays for it".to_owned());
            let reason = [degraded, cost].into_iter().flatten().collect::<Vec<_>>().join("; ");
            return (Some(sensor.mutations().to_vec()), row(true, true, reason));
        }
        Ok(Err(failure)) => failure,
        Err(error) => return (None, row(false, false, error.to_string())),
    };
    let reason = failure.to_string();
    let row = match failure {
        AttemptError::Program(backend::Error::Attach { .. }) => row(true, false, reason),
        AttemptError::SelfTest(_) => row(true, true, reason),
        _ => row(false, false, reason),
    };
    (None, row)
}

fn why(chosen: Option<Backend>, only: Option<Backend>, kernel: &Kernel) -> String {
    match (chosen, only) {
        (Some(_), Some(_)) => "asked for by --backend".to_owned(),
        (Some(chosen), None) => format!(
            "the first that works in the order of what is lost, then of cost, on a kernel with preemption {}{}",
            kernel.preemption.as_str(),
            if degraded(chosen, kernel).is_some() { "; degraded" } else { "" },
        ),
        (None, Some(only)) => format!("{} was asked for by --backend and does not work here", only.as_str()),
        (None, None) => "no backend works on this kernel".to_owned(),
    }
}
