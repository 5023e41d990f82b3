//! What waits where, and who is to get it.

use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderName, Uri};

use super::args::{DestinationArgs, ExportArgs, QueueArgs, RouteArgs};
use super::choice::{self, Kind, Protocol};
use super::default::ENDPOINTS;
use super::parse::Tenancy;
use super::{Destination, Endpoint, Error, Export, Shipping, Tls, file, lines};
use crate::batch::Limits;
use crate::journal::JournalConfig;
use crate::policy::globs::{Globs, Star};
use crate::policy::rule::Severity;
use crate::route::{Kinds, Route, Tenant};

/// The destination that flags describe.
const DEFAULT: &str = "default";
/// Where receivers take logs (OTLP 1.10, "OTLP/HTTP Request").
const LOGS_PATH: &str = "/v1/logs";
/// The spools' place in the folder of `--state`.
const SPOOL: &str = "spool";

pub(super) fn shipping(
    export: ExportArgs,
    route: RouteArgs,
    queue: &QueueArgs,
    state: Option<PathBuf>,
    config: Option<&Path>,
) -> Result<Shipping, Error> {
    let mut named = config.map(file::destinations).transpose()?.unwrap_or_default();
    if named.is_empty() {
        named.push((DEFAULT.to_owned(), DestinationArgs { export, route }));
    }
    let destinations = named.into_iter().map(|(name, args)| destination(name, args));
    let destinations = destinations.collect::<Result<Vec<_>, _>>()?;
    lines::check_all(&destinations)?;
    Ok(Shipping {
        batch: Limits {
            records: count(queue.batch_records),
            bytes: queue.batch_bytes,
            age: queue.batch_age,
            interval: queue.batch_interval,
        },
        journal: JournalConfig {
            folder: state.map(|state| state.join(SPOOL)),
            memory: queue.queue_size,
            disk: queue.spool_size,
            // Each destination has its own; nobody wants what is older than any of them takes.
            age: destinations.iter().map(|destination| destination.export.max_age).max().unwrap_or_default(),
        },
        destinations,
    })
}

fn destination(name: String, args: DestinationArgs) -> Result<Destination, Error> {
    let header = args.route.tenant.as_ref().map(|_| args.route.tenant_header.clone());
    Ok(Destination { name, route: route(args.route)?, export: export(args.export, header)? })
}

fn route(args: RouteArgs) -> Result<Route, Error> {
    let words = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        args.export_kind, args.export_namespace, args.export_severity, args.tenant, args.tenant_default
    );
    let has = |kind| args.export_kind.is_empty() || args.export_kind.contains(&kind);
    let globs = args.export_namespace.iter().map(String::as_str);
    let namespaces = Globs::parse(globs, Star::Text)
        .map_err(|(_, error)| Error::Values { flag: "--export-namespace", what: error.to_string() })?;
    let others = args.tenant_default;
    let tenant = args.tenant.map(|tenancy| match tenancy {
        Tenancy::Namespace => Tenant::Namespace(others),
        Tenancy::Label(key) => Tenant::Label(key, others),
        Tenancy::Constant(name) => Tenant::Constant(name),
    });
    Ok(Route {
        kinds: Kinds { accesses: has(Kind::Access), violations: has(Kind::Violation), losses: has(Kind::Loss) },
        namespaces,
        severity: args.export_severity.into(),
        tenant,
        words,
    })
}

fn export(args: ExportArgs, tenant_header: Option<HeaderName>) -> Result<Export, Error> {
    let lines = lines::lines(&args)?;
    let (endpoint, in_flight) = match args.endpoint {
        // One after the other: they have one end.
        Some(endpoint @ (Endpoint::File(_) | Endpoint::Stdout)) => (endpoint, 1),
        Some(Endpoint::Receiver(uri)) => (receiver(Some(uri), args.protocol, args.insecure)?, count(args.in_flight)),
        None => (receiver(None, args.protocol, args.insecure)?, count(args.in_flight)),
    };
    let is_https = matches!(&endpoint, Endpoint::Receiver(uri) if uri.scheme_str() == Some("https"));
    if !is_https && (args.ca_file.is_some() || args.client_cert.is_some()) {
        return Err(Error::Usage(
            "--ca-file and --client-cert are of no use without TLS: write --endpoint https://...",
        ));
    }
    let identity = match (args.client_cert, args.client_key) {
        (Some(certificate), Some(key)) => Some((pem("--client-cert", certificate)?, pem("--client-key", key)?)),
        _ => None,
    };
    let ca = args.ca_file.map(|path| pem("--ca-file", path)).transpose()?;
    Ok(Export {
        endpoint,
        lines,
        protocol: args.protocol,
        token_file: args.bearer_token_file,
        headers: args.header,
        compression: args.compression,
        timeout: args.timeout,
        tls: Tls { ca, identity },
        max_age: args.max_age,
        in_flight,
        tenant_header,
    })
}

/// The whole address, with a scheme, and for HTTP with a path.
fn receiver(given: Option<Uri>, protocol: Protocol, insecure: bool) -> Result<Endpoint, Error> {
    let Some(given) = given else {
        return Ok(Endpoint::Receiver(Uri::from_static(ENDPOINTS[protocol as usize])));
    };
    let mut parts = given.into_parts();
    let path = parts.path_and_query.as_ref().map(PathAndQuery::as_str).filter(|path| !matches!(*path, "" | "/"));
    let path = match (protocol, path) {
        (Protocol::Grpc, Some(_)) => {
            return Err(Error::Usage(
                "OTLP over gRPC takes no path: leave it out of --endpoint, or say --protocol http/protobuf",
            ));
        }
        (Protocol::Grpc, None) => PathAndQuery::from_static("/"),
        (Protocol::HttpProtobuf, None) => PathAndQuery::from_static(LOGS_PATH),
        (Protocol::HttpProtobuf, Some(_)) => parts.path_and_query.unwrap_or(PathAndQuery::from_static(LOGS_PATH)),
    };
    parts.path_and_query = Some(path);
    parts.scheme = match (parts.scheme, protocol) {
        (None, Protocol::Grpc) => Some(if insecure { Scheme::HTTP } else { Scheme::HTTPS }),
        (None, Protocol::HttpProtobuf) => {
            return Err(Error::Usage("--protocol http/protobuf needs http:// or https:// in --endpoint"));
        }
        (scheme, _) => scheme,
    };
    let whole = Uri::from_parts(parts).map(Endpoint::Receiver);
    whole.map_err(|error| Error::Values { flag: "--endpoint", what: error.to_string() })
}

pub(super) fn pem(flag: &'static str, path: PathBuf) -> Result<Vec<u8>, Error> {
    let advice = "name a readable PEM file";
    std::fs::read(&path).map_err(|cause| Error::File { flag, path, cause, advice })
}

fn count(number: NonZero<u32>) -> usize {
    number.get() as usize
}

impl From<choice::Severity> for Severity {
    fn from(choice: choice::Severity) -> Self {
        match choice {
            choice::Severity::Low => Self::Low,
            choice::Severity::Medium => Self::Medium,
            choice::Severity::High => Self::High,
            choice::Severity::Critical => Self::Critical,
        }
    }
}

impl Shipping {
    /// Whether what is on disk can be held against what was taken: all of that goes one way, and a disk is on it.
    #[must_use]
    pub fn is_accountable(&self) -> bool {
        let words = |destination: &Destination| destination.route.words.clone();
        self.journal.folder.is_some() && self.destinations.windows(2).all(|pair| words(&pair[0]) == words(&pair[1]))
    }
}

impl fmt::Display for Shipping {
    /// `default http://127.0.0.1:4317/`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Destination { name, export, .. }) in self.destinations.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {}", export.endpoint)?;
        }
        Ok(())
    }
}
