//! `inotrail-image`: the exporter's image as archives, or as a folder.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use inotrail_image::layout::Entry;
use inotrail_image::platform::Platform;
use inotrail_image::release::{self, Source};
use inotrail_image::{content, program, sbom, version, workspace};

#[derive(Debug, Parser)]
#[command(about = "Builds the exporter's image without an engine")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write an OCI archive for each platform, and one of all; print their digests
    Archive {
        /// Platforms [default: all]
        #[arg(long = "platform", value_enum)]
        platforms: Vec<Platform>,
        /// Where to
        #[arg(long, default_value = "target/image")]
        to: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Build what `archive` has written once more, of a copy of the source elsewhere, and compare
    Check {
        /// Where it was written to
        #[arg(long, default_value = "target/image")]
        of: PathBuf,
        /// Where the copy is built: a folder that there is not yet; it stays [default: one that goes]
        #[arg(long)]
        place: Option<PathBuf>,
    },
    /// Print the version; or set it in all files that name it, and in the list of changes, which gets today's date (UTC)
    Version {
        /// The new one: a release's
        new: Option<String>,
    },
    /// Write the bill of materials
    Sbom {
        /// The platform [default: this one]
        #[arg(long, value_enum)]
        platform: Option<Platform>,
    },
    /// Write the image's files into a folder, for an engine that copies it: the Dockerfile
    Root {
        /// The platform [default: this one]
        #[arg(long, value_enum)]
        platform: Option<Platform>,
        /// Where to: an empty or missing folder
        #[arg(long)]
        to: PathBuf,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, Args)]
struct How {
    /// The git revision that the programs tell [default: the checkout's]
    #[arg(long, env = "REVISION")]
    revision: Option<String>,
    /// The profile of Cargo.toml that the programs are built with
    #[arg(long, default_value = program::PROFILE)]
    profile: String,
}

impl How {
    fn source(&self) -> Result<Source> {
        let given = self.revision.clone().filter(|revision| !revision.is_empty());
        let git =
            |arguments: &[&str]| program::answer(Command::new("git").current_dir(workspace()).args(arguments)).ok();
        let revision = given.or_else(|| git(&["rev-parse", "HEAD"])).unwrap_or_else(|| "unknown".to_owned());
        let epoch = env::var("SOURCE_DATE_EPOCH").ok().filter(|epoch| !epoch.is_empty());
        let epoch = epoch.or_else(|| git(&["log", "-1", "--format=%ct"]));
        let epoch = epoch.map(|epoch| epoch.parse().context("SOURCE_DATE_EPOCH is seconds since 1970")).transpose()?;
        Ok(Source { revision, epoch })
    }

    fn entries(&self, platform: Platform, revision: &str) -> Result<Vec<Entry>> {
        content::entries(program::build(platform, &self.profile, revision)?, sbom::sbom(platform)?)
    }
}

#[expect(clippy::print_stdout, reason = "the answer of this program")]
fn main() -> Result<()> {
    match Cli::parse().what {
        What::Archive { platforms, to, how } => {
            let source = how.source()?;
            let platforms = if platforms.is_empty() { Platform::ALL.to_vec() } else { platforms };
            let images = platforms.into_iter().map(|platform| Ok((platform, how.entries(platform, &source.revision)?)));
            for archive in release::write(&images.collect::<Result<Vec<_>>>()?, &source, &to)? {
                let mib = archive.fetched as f64 / f64::from(1 << 20);
                println!("{} {} {mib:.1} MiB", archive.digest, archive.path.display());
            }
        }
        What::Check { of, place } => {
            let temporary = tempfile::tempdir().context("make a folder")?;
            let place = place.unwrap_or_else(|| temporary.path().join("elsewhere"));
            for (digest, name) in inotrail_image::check::check(&of, &place)? {
                println!("{digest} {name}: the same again");
            }
        }
        What::Version { new: None } => println!("{}", release::VERSION),
        What::Version { new: Some(new) } => {
            let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
            version::set(workspace(), &new, &day)?;
        }
        What::Sbom { platform } => {
            println!("{}", String::from_utf8(sbom::sbom(platform.unwrap_or_else(Platform::own))?)?);
        }
        What::Root { platform, to, how } => {
            let source = how.source()?;
            let entries = how.entries(platform.unwrap_or_else(Platform::own), &source.revision)?;
            content::unpack(&entries, &to)?;
        }
    }
    Ok(())
}
