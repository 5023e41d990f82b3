//! What goes to a destination, and as whose.

use clap::Parser;
use http::HeaderName;

use super::ExportArgs;
use crate::config::choice::{Kind, Severity};
use crate::config::default;
use crate::config::parse::{self, Tenancy};

/// What is exported, and as whose.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is exported")]
pub struct RouteArgs {
    /// Only records of this kind; may be repeated, or a list with commas.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub export_kind: Vec<Kind>,
    /// Only records of pods in this namespace: a glob, with a ! before it one to leave out; may be repeated, or a list with commas.
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    pub export_namespace: Vec<String>,
    /// Only records of rules that are as severe.
    #[arg(long, value_name = "SEVERITY", default_value = default::EXPORT_SEVERITY)]
    pub export_severity: Severity,
    /// Send each record as its tenant's: "namespace" is the pod's, "label:KEY" the value of a label of the pod, "name:TENANT"
    /// always the same.
    #[arg(long, value_name = "WHOSE", value_parser = parse::tenant)]
    pub tenant: Option<Tenancy>,
    /// Header with the tenant's name.
    #[arg(long, value_name = "NAME", default_value = default::TENANT_HEADER)]
    pub tenant_header: HeaderName,
    /// Tenant of what has none.
    #[arg(long, value_name = "TENANT", value_parser = parse::tenant_name, default_value = default::TENANT_DEFAULT)]
    pub tenant_default: String,
}

/// One of several destinations, as a configuration file has it.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
pub struct DestinationArgs {
    /// How it is reached.
    #[command(flatten)]
    pub export: ExportArgs,
    /// What goes there.
    #[command(flatten)]
    pub route: RouteArgs,
}
