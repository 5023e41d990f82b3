//! What kind of machine it is: the sensor's own words, in one line on the console.

use anyhow::Result;
use inotrail::{
    container::cgroup::Hierarchy,
    event::Backend,
    sensor::{
        Options, Sensor,
        backend::{degraded, not_seen, order},
        btf::Btf,
        kernel::Kernel,
        layout,
    },
};
use serde::{Deserialize, Serialize};

use super::{console_lines, verdict};
use crate::accesses::RING_BYTES;

/// What kind of machine it is, and what the sensor says about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `uname -r`
    pub release: String,
    /// `uname -m`
    pub arch: String,
    /// Preemption model as the sensor detects it.
    pub preemption: String,
    /// The backend that `auto` takes; none where no backend works.
    pub chosen: Option<String>,
    /// What the chosen backend cannot see here.
    pub not_seen: Vec<String>,
    /// Every backend, in the order in which they are tried.
    pub backends: Vec<BackendFacts>,
}

/// What the sensor says about one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendFacts {
    /// Its name.
    pub backend: String,
    /// Why it does not work; nothing where it does.
    pub refused: Option<String>,
    /// Whether the kernel counts the calls that it skips.
    pub counts_misses: bool,
    /// Why it may lose accesses here; nothing where it does not.
    pub degraded: Option<String>,
}

impl Facts {
    /// Asks the sensor: starts it as `auto` does, and then each backend alone.
    ///
    /// # Errors
    /// Where the kernel's types cannot be read or no cgroup file system is mounted.
    pub fn ask() -> Result<Self> {
        let kernel = Kernel::detect();
        let options = options()?;
        let btf = Btf::load(&options.btf)?;
        let (_, features) = layout::resolve(&btf, options.hierarchy.controller, options.hierarchy.id)?;
        drop(btf);
        let chosen = Sensor::start(&options).map(|sensor| sensor.backend()).ok();
        let backends = order(&kernel).map(|backend| BackendFacts::ask(backend, &options, &kernel));
        Ok(Self {
            preemption: kernel.preemption.as_str().to_owned(),
            release: kernel.release,
            arch: kernel.architecture,
            chosen: chosen.map(|backend| backend.as_str().to_owned()),
            not_seen: chosen
                .map_or_else(Vec::new, |backend| not_seen(backend, &features))
                .into_iter()
                .map(str::to_owned)
                .collect(),
            backends: backends.into(),
        })
    }

    /// Says them on the console.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub fn say(&self) -> Result<()> {
        verdict::say(console_lines::FACTS, self)
    }

    /// What they say about a backend.
    #[must_use]
    pub fn of(&self, backend: Backend) -> Option<&BackendFacts> {
        self.backends.iter().find(|facts| facts.backend == backend.as_str())
    }
}

impl BackendFacts {
    fn ask(backend: Backend, options: &Options, kernel: &Kernel) -> Self {
        let sensor = match Sensor::attach(backend, options) {
            Ok(Ok(sensor)) => Ok(sensor),
            Ok(Err(refused)) => Err(refused.to_string()),
            Err(error) => Err(error.to_string()),
        };
        Self {
            backend: backend.as_str().to_owned(),
            counts_misses: sensor.as_ref().is_ok_and(|sensor| sensor.hooks().missed_accesses().is_some()),
            refused: sensor.err(),
            degraded: degraded(backend, kernel).map(str::to_owned),
        }
    }
}

fn options() -> Result<Options> {
    Ok(Options::new(Hierarchy::detect()?, RING_BYTES))
}
