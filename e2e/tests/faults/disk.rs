//! The spool's disk fails.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use e2e::interrupt;
use e2e::load::Opens;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{Bench, LIMIT, random};

/// A small file system on a folder.
struct Small(PathBuf);

impl Small {
    fn mount(on: &Path) -> Self {
        mount("small", on, "tmpfs", MountFlags::empty(), Some(c"size=1m")).unwrap();
        Self(on.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

/// What does not fit on the disk waits in memory, and what comes when there is room again goes to the disk again.
#[test]
fn full() {
    let mut bench = Bench::new("full");
    let small = Small::mount(&bench.state());
    bench.receiver.down();
    let exporter = bench.exporter(&[]);
    let filler = small.0.join("filler");
    fs::write(&filler, vec![1; 900 << 10]).unwrap();
    bench.make(Opens::new(4, 4_000));
    interrupt::wait_for("a full disk", LIMIT, || {
        Ok(exporter.daemon.log().contains("the disk of the spool fails").then_some(()))
    })
    .unwrap();
    fs::remove_file(&filler).unwrap();
    bench.make(Opens::new(4, 1_000));
    interrupt::wait_for("the disk", LIMIT, || Ok(exporter.daemon.log().contains("works again").then_some(()))).unwrap();
    bench.receiver.up().unwrap();
    let received = bench.close(exporter, "complete");
    assert_eq!((received.lost(), received.again), (0, 0), "{received:?}");
}

/// Bits of what was left for the next start are flipped, but for what tells of losses and of the end.
#[test]
fn flips_bits() {
    const FLIPS: u64 = 12;
    let mut bench = Bench::new("flips");
    bench.receiver.down();
    let mut exporter = bench.exporter(&["--batch-records", "100"]);
    bench.make(Opens::new(4, 2_000));
    interrupt::wait_for("everything on disk", LIMIT, || {
        Ok((exporter.metric("inotrail_events_total")? >= bench.made).then_some(()))
    })
    .unwrap();
    exporter.daemon.stop();
    let mut state = u64::from(std::process::id());
    let segments: Vec<_> = segments(&bench.state()).collect();
    for segment in &segments {
        let file = fs::File::options().read(true).write(true).open(segment).unwrap();
        let length = file.metadata().unwrap().len();
        for _ in 0..FLIPS {
            let at = random(&mut state, length);
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            byte[0] ^= 1 << random(&mut state, 8);
            file.write_all_at(&byte, at).unwrap();
        }
    }
    bench.receiver.up().unwrap();
    let exporter = bench.exporter(&[]);
    let received = bench.close(exporter, "complete");
    assert!(!segments.is_empty() && received.lost() > 0, "{segments:?} {received:?}");
}

fn segments(state: &Path) -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir(state.join("spool/access")).unwrap().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
}
