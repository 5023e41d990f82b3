use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;

use super::*;

/// A folder in place of a container's root, in a folder that is outside of it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = Self(std::env::temp_dir().join(format!("inotrail-decoy-{name}-{}", std::process::id())));
        fs::create_dir_all(place.root().join("etc/ssh")).unwrap();
        fs::create_dir_all(place.0.join("etc")).unwrap();
        place
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(&path[1..])
    }

    fn open(&self) -> OwnedFd {
        openat(CWD, self.root(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    fn plant(&self, path: &str) -> Result<Identity, Refused> {
        plant(self.open().as_fd(), &decoy(path))
    }

    fn remove(&self, path: &str, identity: Identity) -> Result<Removed, Refused> {
        remove(self.open().as_fd(), &decoy(path), Some(identity), 0)
    }

    /// All files in it, also outside of the root.
    fn files(&self) -> Vec<PathBuf> {
        fn add(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => add(&entry.path(), files),
                    kind if kind.is_file() => files.push(entry.path()),
                    _ => {}
                }
            }
        }
        let mut files = Vec::new();
        add(&self.0, &mut files);
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn decoy(path: &str) -> Decoy {
    let text = |text: &str| text.to_owned();
    Decoy { name: text("key"), policy: text("p"), path: text(path), content: text("secret\n"), mode: 0o640 }
}

#[test]
fn a_decoy_is_made_and_taken_out() {
    let place = Place::new("made");
    for path in ["/etc/ssh/id_rsa", "/top", "/etc/..key"] {
        let identity = place.plant(path).unwrap();
        let metadata = fs::metadata(place.path(path)).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.ino()), (0o640, identity.inode));
        assert_eq!(fs::read_to_string(place.path(path)).unwrap(), "secret\n");
        assert_eq!(place.plant(path), Err(Refused::Exists));
        assert_eq!(place.remove(path, identity), Ok(Removed::Now));
        assert_eq!(place.remove(path, identity), Ok(Removed::Before));
    }
    assert_eq!(place.files(), [] as [PathBuf; 0]);
}

#[test]
fn what_is_there_stays() {
    let place = Place::new("stays");
    let path = "/etc/passwd";
    fs::write(place.path(path), "root").unwrap();
    assert_eq!(place.plant(path), Err(Refused::Exists));
    fs::create_dir(place.path("/etc/folder")).unwrap();
    assert_eq!(place.plant("/etc/folder"), Err(Refused::Exists));
    // A link counts as what is there, wherever it leads.
    for (name, target) in [("a", "/nowhere"), ("b", "../../outside"), ("c", "/proc/1/root/tmp/x"), ("d", "passwd")] {
        symlink(target, place.path("/etc").join(name)).unwrap();
        assert_eq!(place.plant(&format!("/etc/{name}")), Err(Refused::Exists));
    }
    assert_eq!(fs::read_to_string(place.path(path)).unwrap(), "root");
    assert_eq!(place.files(), [place.path(path)]);
}

#[test]
fn folders_are_neither_made_nor_followed_outside() {
    let place = Place::new("folders");
    let check = |path: &str, expected: Refused| assert_eq!(place.plant(path), Err(expected), "{path}");
    check("/none/key", Refused::NoFolder);
    fs::write(place.path("/file"), "").unwrap();
    check("/file/key", Refused::NoFolder);
    for (name, target) in [
        ("root", "/"),
        ("up", "../../.."),
        ("here", "etc"),
        ("proc", "/proc/self/root"),
        ("loop", "loop"),
        ("dot", "."),
    ] {
        symlink(target, place.path("/").join(name)).unwrap();
        check(&format!("/{name}/key"), Refused::Link);
        check(&format!("/{name}/etc/key"), Refused::Link);
    }
    assert_eq!(place.files(), [place.path("/file")]);
}

#[test]
fn what_was_changed_is_left() {
    let place = Place::new("changed");
    let path = "/etc/key";
    let at = place.path(path);
    let check = |change: &dyn Fn()| {
        let identity = place.plant(path).unwrap();
        change();
        assert_eq!(place.remove(path, identity), Ok(Removed::Changed));
        assert!(fs::symlink_metadata(&at).is_ok());
        fs::remove_file(&at).unwrap();
    };
    check(&|| fs::write(&at, "Secret\n").unwrap());
    check(&|| fs::write(&at, "secret\n\n").unwrap());
    check(&|| fs::set_permissions(&at, fs::Permissions::from_mode(0o600)).unwrap());
    check(&|| std::os::unix::fs::chown(&at, Some(1000), None).unwrap());
    let replace = |with: &dyn Fn(&Path)| {
        let new = at.with_extension("new");
        with(&new);
        fs::rename(new, &at).unwrap();
    };
    // As good as the decoy, but another file.
    check(&|| {
        replace(&|new| {
            fs::write(new, "secret\n").unwrap();
            fs::set_permissions(new, fs::Permissions::from_mode(0o640)).unwrap();
        });
    });
    check(&|| replace(&|new| symlink("/etc/passwd", new).unwrap()));
    check(&|| replace(&|new| rustix::fs::mknodat(CWD, new, FileType::Fifo, Mode::from(0o640), 0).unwrap()));
    // What has its folder's name by now is none of ours, wherever the folder is.
    let identity = place.plant("/etc/ssh/key").unwrap();
    fs::rename(place.path("/etc/ssh"), place.path("/moved")).unwrap();
    symlink("/moved", place.path("/etc/ssh")).unwrap();
    assert_eq!(place.remove("/etc/ssh/key", identity), Ok(Removed::Changed));
    assert_eq!(place.files(), [place.path("/moved/key")]);
}

#[test]
fn what_a_killed_run_was_about_to_make_is_known_by_its_looks() {
    let place = Place::new("looks");
    let identity = place.plant("/key").unwrap();
    let find = |since| find(place.open().as_fd(), &decoy("/key"), None, since).unwrap();
    let made = fs::metadata(place.path("/key")).unwrap().ctime();
    assert_eq!([find(made), find(made + 1)], [Found::Same(identity), Found::Other]);
    fs::write(place.path("/key"), "public\n").unwrap();
    assert_eq!(find(made), Found::Other);
}
