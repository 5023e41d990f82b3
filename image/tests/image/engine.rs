//! podman, with a storage of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use inotrail_image::release;

pub(crate) struct Engine(PathBuf);

impl Engine {
    /// With its storage below a folder.
    pub(crate) fn start(folder: &Path) -> Self {
        Self(folder.join("engine"))
    }

    /// Takes an archive's image, and all that it says about itself.
    pub(crate) fn pull(&self, archive: &Path) {
        let id = self.podman(&["pull", "--quiet", &format!("oci-archive:{}", archive.display())]);
        let version =
            self.podman(&["image", "inspect", "--format", "{{.Version}}{{.Config.Entrypoint}}{{.User}}", &id]);
        assert_eq!(version, "[/inotrail]0:0");
    }

    /// Builds a Dockerfile with a folder for its stage `build`. Returns the archive of the image.
    pub(crate) fn build(&self, dockerfile: &str, folder: &Path, revision: &str) -> PathBuf {
        let (file, empty, archive) = (folder.join("Dockerfile"), folder.join("empty"), folder.join("built.tar"));
        fs::write(&file, dockerfile).unwrap();
        fs::create_dir(&empty).unwrap();
        let context = format!("--build-context=build={}", folder.display());
        let revision = format!("--build-arg=REVISION={revision}");
        let (file, empty) = (file.to_string_lossy(), empty.to_string_lossy());
        let tag = format!("localhost/inotrail:{}", release::VERSION);
        self.podman(&["build", "--quiet", &context, &revision, "--tag", &tag, "--file", &file, &empty]);
        self.podman(&["save", "--quiet", "--format", "oci-archive", "--output", &archive.to_string_lossy(), &tag]);
        archive
    }

    fn podman(&self, arguments: &[&str]) -> String {
        let mut podman = Command::new("podman");
        podman.args(["--storage-driver", "vfs", "--root"]).arg(self.0.join("root"));
        podman.arg("--runroot").arg(self.0.join("run")).arg("--tmpdir").arg(self.0.join("tmp")).args(arguments);
        let output = podman.output().expect("podman: `make setup` installs it");
        assert!(output.status.success(), "{podman:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
