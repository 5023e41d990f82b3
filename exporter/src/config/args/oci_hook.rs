//! `inotrail oci-hook`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::super::{default, parse};

/// Coming and going of the hook.
#[derive(Debug, Subcommand)]
pub enum OciHookCommand {
    /// Put the hook's program on the node, and tell podman and CRI-O to run it for each new container.
    Install(InstallArgs),
    /// Take the hook away, and then the program.
    Uninstall(UninstallArgs),
}

/// Flags of `oci-hook install`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Hook")]
pub struct InstallArgs {
    /// Where it goes.
    #[command(flatten)]
    pub place: HookPlace,
    /// The exporter's --hook-socket.
    #[arg(long, value_name = "PATH", default_value = default::HOOK_SOCKET)]
    pub socket: PathBuf,
}

/// Flags of `oci-hook uninstall`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Hook")]
pub struct UninstallArgs {
    /// Where it is.
    #[command(flatten)]
    pub place: HookPlace,
    /// How long the program stays when no further container gets the hook: one that has it fails without the program.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = default::HOOK_GRACE)]
    pub grace: Duration,
}

/// Where the hook is.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Hook")]
pub struct HookPlace {
    /// Where the node's root is mounted, for paths that follow.
    #[arg(long, value_name = "DIR", default_value = default::HOST_ROOT)]
    pub root: PathBuf,
    /// Folder in which the runtime looks for hooks.
    #[arg(long, value_name = "DIR", default_value = default::HOOKS_DIR)]
    pub hooks_dir: PathBuf,
    /// Folder for the program; the node must allow execution there.
    #[arg(long, value_name = "DIR", default_value = default::BIN_DIR)]
    pub bin_dir: PathBuf,
}
