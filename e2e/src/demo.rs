//! The demo: a container touches files, and inotrail says which container it was.

mod search;
mod watch;

use anyhow::Result;

use crate::containerd::{Container, Containerd, Spec};
use crate::image;

/// Show the accesses of a container as they happen.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// With a Collector and Loki: show what Loki finds by path
    #[arg(long)]
    stack: bool,
}

impl Args {
    /// Runs the demo.
    ///
    /// # Errors
    /// Something does not start, or an access is not reported in time.
    pub fn run(self) -> Result<()> {
        if self.stack { search::run() } else { watch::run() }
    }
}

/// Namespace, pod and container, as inotrail writes them.
const NAME: &str = "demo/web-7d4b9/web";

/// On SIGUSR1 these are the accesses, each in a way that a person would try.
const SCRIPT: &str = "
accesses() {
  /bin/cat /etc/passwd > /dev/null
  echo hello > /tmp/greeting
  echo again >> /tmp/greeting
  /bin/cat /etc/shadow
  /bin/date
  rm /tmp/greeting
}
trap accesses USR1
sleep 100000 &
while :; do wait $!; done
";

/// What the script does, and what inotrail calls it: operation and mode, result, path.
const ACCESSES: [(&str, [&str; 3]); 5] = [
    ("reads /etc/passwd", ["open r", "ok", "/etc/passwd"]),
    ("creates /tmp/greeting", ["create w", "ok", "/tmp/greeting"]),
    ("appends to it", ["open w", "ok", "/tmp/greeting"]),
    ("is refused /etc/shadow", ["open r", "EACCES", "/etc/shadow"]),
    ("executes /bin/date", ["execute", "ok", "/bin/date"]),
];

fn start(containerd: &Containerd) -> Result<Container<'_>> {
    containerd.run(&Spec::script("demo", "web-7d4b9", "web", image::USER, SCRIPT))
}
