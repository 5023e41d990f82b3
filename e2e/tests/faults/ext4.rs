//! A file system of a test's own, on a file, which can be made to fail as a whole.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const BYTES: u64 = 64 << 20;
/// `FS_IOC_SHUTDOWN` (linux/fs.h) with `EXT4_GOING_FLAGS_NOLOGFLUSH` (fs/ext4/ext4.h), as xfstests' `godown` does it: what is
/// not on the disk never gets there, and every call fails with `EIO` from then on.
const SHUTDOWN: &str = r#"my $how = pack("L", 2);
open(my $folder, "<", $ARGV[0]) or die "open: $!";
ioctl($folder, 0x8004587d, $how) or die "shutdown: $!";"#;

/// It is mounted as long as this lives.
pub(super) struct Ext4 {
    image: PathBuf,
    device: String,
    on: PathBuf,
}

impl Ext4 {
    /// Makes one in a file and mounts it on a folder.
    pub(super) fn mount(image: &Path, on: &Path) -> Self {
        std::fs::File::create(image).unwrap().set_len(BYTES).unwrap();
        // No writes of its own after the first mount.
        run("mke2fs", &["-q", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0", image.to_str().unwrap()]);
        let this = Self { image: image.to_owned(), device: attach(image), on: on.to_owned() };
        this.mount_device();
        this
    }

    fn mount_device(&self) {
        mount(&self.device, &self.on, "ext4", MountFlags::empty(), Some(c"errors=remount-ro")).unwrap();
    }

    /// What a power cut leaves is all that is left; every call fails from here on.
    pub(super) fn shut_down(&self) {
        run("perl", &["-e", SHUTDOWN, self.on.to_str().unwrap()]);
    }

    /// What ext4 does after an error of its disk: every write fails with `EROFS` from here on. A `remount,ro` is refused while
    /// there is a file that is open to be written to.
    pub(super) fn make_read_only(&self) {
        run("mount", &["-o", "remount,abort", self.on.to_str().unwrap()]);
    }

    /// Mounts it again, with what is on the disk. Nobody may use it.
    ///
    /// It is another disk with the same content: whoever has copied the mounts of this namespace keeps the old one alive, and
    /// with it that it is shut down.
    pub(super) fn mount_again(&mut self) {
        let image = self.image.with_extension(if self.image.extension().is_some() { "" } else { "again" });
        run("cp", &["--sparse=always", self.image.to_str().unwrap(), image.to_str().unwrap()]);
        self.detach();
        std::fs::remove_file(&self.image).unwrap();
        (self.device, self.image) = (attach(&image), image);
        self.mount_device();
    }

    fn detach(&self) {
        unmount(&self.on, UnmountFlags::DETACH).unwrap();
        // When nobody uses it any more.
        run("losetup", &["--detach", &self.device]);
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        self.detach();
    }
}

fn attach(image: &Path) -> String {
    run("losetup", &["--find", "--show", image.to_str().unwrap()])
}

/// What it prints.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
