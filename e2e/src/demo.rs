//! The demo: a container touches files, and inotrail says which container it was.

use anyhow::Result;

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
        let containerd = crate::containerd::Containerd::start(None)?;
        let c = containerd.run(&crate::containerd::Spec::script("demo", "web-7d4b9", "web", "sleep 300"))?;
        let o = c.exec(1000, &["/bin/cat", "/etc/passwd"])?;
        eprintln!("{} {}", c.id, String::from_utf8_lossy(&o.stdout));
        crate::interrupt::wait();
        Ok(())
    }
}
