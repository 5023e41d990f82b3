//! A process that holds a few capabilities and nothing else, and starts the sensor.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::{
    container::cgroup::Hierarchy,
    event::{AccessMode, Backend},
    sensor::{self, Options, Record, Sensor, kernel::Kernel, privileges},
};
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
        set_capabilities, set_no_new_privs,
    },
};

use crate::accesses::RING_BYTES;

/// The record is written before the open returns.
const DEADLINE: Duration = Duration::from_secs(10);

/// Start the sensor with a few capabilities only
#[derive(Clone, Debug, clap::Args)]
pub struct Limited {
    /// `see` an access by the backend, or `check`
    what: String,
    /// The backend; the best where none is named
    backend: Option<String>,
    /// Capabilities to hold
    #[arg(long, value_delimiter = ',')]
    hold: Vec<String>,
    /// Type information
    #[arg(long, default_value = "/sys/kernel/btf/vmlinux")]
    btf: PathBuf,
}

/// The capabilities of these names (`CAP_BPF`).
///
/// # Errors
/// Where there is none of such a name.
pub fn names(names: &[String]) -> Result<CapabilitySet> {
    let named = |name: &String| {
        name.strip_prefix("CAP_").and_then(CapabilitySet::from_name).with_context(|| format!("no capability {name}"))
    };
    names.iter().filter(|name| !name.is_empty()).try_fold(CapabilitySet::empty(), |set, name| Ok(set | named(name)?))
}

impl Limited {
    /// Gives up all other capabilities, starts the sensor, gives up what it no longer needs, and sees an access.
    ///
    /// # Errors
    /// Where it does not.
    #[expect(clippy::print_stdout, reason = "the report is the output")]
    pub fn run(&self) -> Result<()> {
        let backends = [Backend::Fexit, Backend::Kprobe, Backend::RawTracepoint];
        let backend = self.backend.as_ref().map(|name| {
            let found = backends.into_iter().find(|backend| backend.as_str() == name);
            found.with_context(|| format!("no backend {name}"))
        });
        let options = Options {
            backend: backend.transpose()?,
            btf: self.btf.clone(),
            include_self: true,
            ..Options::new(Hierarchy::detect()?, RING_BYTES)
        };
        hold(names(&self.hold)?).context("give up capabilities")?;
        match self.what.as_str() {
            "see" => see(&options),
            "check" => {
                let report = sensor::check(&options, String::new(), Path::new("/sys/fs/bpf/inotrail"));
                for row in &report.backends {
                    println!("{}: {} {} {}", row.backend.as_str(), row.loads, row.attaches, row.reason);
                }
                println!("chosen: {}: {}", report.chosen.map_or("none", Backend::as_str), report.why);
                Ok(())
            }
            other => bail!("limited {other} is not known"),
        }
    }
}

/// Holds these and no others, in no set, and cannot gain any.
fn hold(held: CapabilitySet) -> Result<()> {
    set_no_new_privs(true)?;
    for capability in CapabilitySet::all().iter().filter(|capability| !held.contains(*capability)) {
        match remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    clear_ambient_capability_set()?;
    let sets = CapabilitySets { effective: held, permitted: held, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

fn see(options: &Options) -> Result<()> {
    let file = env::temp_dir().join(format!("inotrail-limited-{}", process::id()));
    fs::write(&file, "")?;
    let mut sensor = Sensor::start(options)?;
    let keep = privileges::to_change_maps(&Kernel::detect());
    privileges::drop_all_but(keep)?;
    let left = capabilities(None)?.permitted;
    ensure!(keep.contains(left), "{left:?} is left, and only {keep:?} is needed");
    drop(fs::File::open(&file)?);
    let deadline = Instant::now() + DEADLINE;
    let mut seen = 0;
    while seen == 0 && Instant::now() < deadline {
        sensor.drain(|record| {
            if let Ok(Record::Access(access)) = record
                && access.path == file.as_os_str().as_encoded_bytes()
                && access.access_mode() == Some(AccessMode::Read)
            {
                seen += 1;
            }
        });
    }
    fs::remove_file(&file)?;
    ensure!(seen == 1, "an open was seen {seen} times");
    Ok(())
}
