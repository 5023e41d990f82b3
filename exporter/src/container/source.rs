//! Where container names come from.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Who named a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// containerd's own API.
    Containerd,
    /// The Container Runtime Interface.
    Cri,
    /// The Node Resource Interface: the runtime asks its plugins before it starts a container.
    Nri,
    /// An OCI hook: the runtime runs it before it starts a container.
    Hook,
    /// The Kubernetes API.
    Kubernetes,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 5] = [Self::Containerd, Self::Cri, Self::Nri, Self::Hook, Self::Kubernetes];

    /// The source as metrics and `check` name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Cri => "cri",
            Self::Nri => "nri",
            Self::Hook => "oci-hook",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// What is spoken at a runtime's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// containerd's own.
    Containerd,
    /// The Container Runtime Interface, version 1.
    Cri,
}

impl Api {
    /// The API as messages name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Cri => "the CRI runtime",
        }
    }

    /// What containers named by it are counted as.
    #[must_use]
    pub const fn source(self) -> Source {
        match self {
            Self::Containerd => Source::Containerd,
            Self::Cri => Source::Cri,
        }
    }

    /// What is spoken at a socket, by its path.
    #[must_use]
    pub fn of_socket(socket: &Path) -> Self {
        let known = SOCKETS.iter().find(|(_, path)| Path::new(path) == socket);
        let crio = || if socket.ends_with("crio.sock") { Self::Cri } else { Self::Containerd };
        known.map_or_else(crio, |(api, _)| *api)
    }
}

/// A container runtime to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// What is spoken there.
    pub api: Api,
    /// Its socket.
    pub socket: PathBuf,
    /// The user asked for it: it must be there at start.
    pub required: bool,
}

/// Well-known sockets, in the order in which they are looked for: containerd's, k3s's, k0s's, `MicroK8s`'s, CRI-O's.
const SOCKETS: [(Api, &str); 5] = [
    (Api::Containerd, "/run/containerd/containerd.sock"),
    (Api::Containerd, "/run/k3s/containerd/containerd.sock"),
    (Api::Containerd, "/run/k0s/containerd.sock"),
    (Api::Containerd, "/var/snap/microk8s/common/run/containerd.sock"),
    (Api::Cri, "/run/crio/crio.sock"),
];

impl RuntimeConfig {
    /// The first well-known socket that is there; `api` is spoken there, or whatever is usual where that is nothing.
    /// containerd speaks CRI too.
    #[must_use]
    pub fn find(api: Option<Api>) -> Option<Self> {
        Self::find_in(&SOCKETS, api)
    }

    fn find_in(sockets: &[(Api, &str)], wanted: Option<Api>) -> Option<Self> {
        let speaks = |api| match wanted {
            None => Some(api),
            Some(Api::Cri) => Some(Api::Cri),
            Some(Api::Containerd) => (api == Api::Containerd).then_some(api),
        };
        sockets.iter().find_map(|(api, path)| {
            let config = Self { api: speaks(*api)?, socket: PathBuf::from(path), required: false };
            config.is_there().then_some(config)
        })
    }

    /// Whether there is a socket.
    #[must_use]
    pub fn is_there(&self) -> bool {
        is_socket(&self.socket)
    }

    /// Whether somebody listens, where that is required.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn check(&self) -> io::Result<()> {
        if !self.required {
            return Ok(());
        }
        std::os::unix::net::UnixStream::connect(&self.socket).map(|_| ())
    }
}

pub(super) fn is_socket(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn apis_of_sockets() {
        let check = |path: &str, expected| assert_eq!(Api::of_socket(Path::new(path)), expected, "{path}");
        check("/run/k3s/containerd/containerd.sock", Api::Containerd);
        check("/run/crio/crio.sock", Api::Cri);
        check("/host/run/crio/crio.sock", Api::Cri);
        check("/somewhere/else.sock", Api::Containerd);
    }

    #[test]
    fn the_first_socket_that_is_there() {
        let folder = std::env::temp_dir().join(format!("inotrail-sockets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let paths = ["missing.sock", "file.sock", "containerd.sock", "crio.sock"].map(path);
        std::fs::write(&paths[1], "").unwrap();
        let _listeners = [&paths[2], &paths[3]].map(|path| UnixListener::bind(path).unwrap());
        let all: Vec<(Api, &str)> = paths.iter().map(|path| (Api::of_socket(Path::new(path)), &**path)).collect();
        let check = |sockets: &[(Api, &str)], wanted, expected: Option<(Api, &str)>| {
            let found = RuntimeConfig::find_in(sockets, wanted);
            assert_eq!(found.as_ref().map(|found| (found.api, found.socket.to_str().unwrap())), expected);
        };
        check(&all, None, Some((Api::Containerd, &paths[2])));
        check(&all, Some(Api::Cri), Some((Api::Cri, &paths[2])));
        check(&all[3..], None, Some((Api::Cri, &paths[3])));
        check(&all[3..], Some(Api::Containerd), None);
        check(&all[..2], None, None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
