//! The platforms that there is an image for.

use serde_json::{Value, json};

/// A processor architecture, as images name it; the operating system is Linux.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Platform {
    /// `x86_64`.
    Amd64,
    /// `aarch64`.
    Arm64,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// That of this program.
    ///
    /// # Panics
    /// On another architecture, for which nothing here is made.
    #[must_use]
    pub fn own() -> Self {
        let own = Self::ALL.into_iter().find(|platform| platform.architecture() == std::env::consts::ARCH);
        own.expect("inotrail runs on x86_64 and aarch64")
    }

    /// As the image specification, and Go, name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As Rust names it.
    #[must_use]
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The compiler's target: with musl, which can look names up from a static program. glibc would load the node's libraries.
    #[must_use]
    pub fn target(self) -> String {
        format!("{}-unknown-linux-musl", self.architecture())
    }

    /// As an image index has it.
    #[must_use]
    pub fn json(self) -> Value {
        json!({"architecture": self.as_str(), "os": "linux"})
    }
}
