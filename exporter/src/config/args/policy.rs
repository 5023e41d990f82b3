//! `inotrail policy`.

use std::path::PathBuf;

use clap::Subcommand;

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say where policies are wrong, as FILE:LINE:COLUMN: what. Exits with 1 where one is.
    Check {
        /// YAML files, and folders of such.
        #[arg(required = true, value_name = "PATH")]
        files: Vec<PathBuf>,
    },
    /// Say how policies are asked: what the kernel decides, what is left to user space, and what a path costs there.
    Explain {
        /// YAML files, and folders of such.
        #[arg(required = true, value_name = "PATH")]
        files: Vec<PathBuf>,
    },
    /// Hold recorded events against policies, and say what each rule is about. Exits with 1 where something else was expected.
    Test(PolicyTestArgs),
}

/// Flags of `policy test`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Test")]
pub struct PolicyTestArgs {
    /// YAML files of policies, and folders of such; may be repeated.
    #[arg(long, required = true, value_name = "PATH")]
    pub policy: Vec<PathBuf>,
    /// What `trace --output json` has printed; - for stdin.
    #[arg(long, value_name = "FILE")]
    pub events: PathBuf,
    /// YAML file that says what is expected, and which labels pods and namespaces have.
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
}
