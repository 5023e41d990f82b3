//! inotrail's node exporter: one OTLP log record per file access, whose Resource is the container that acted.
//!
//! ```text
//! kernel programs -> ring buffer -> sensor (decode) -> pipeline (container, process, filter) -> sink
//!                                                                        sink of `run`: batch -> ship -> Collector
//!                                                                        sink of `trace`: table or JSON lines
//! ```
//!
//! The sensor thread does everything up to a full batch by function calls on its own data and on snapshots that other
//! tasks replace; it never waits on a network. What it cannot keep is a [`metrics::Dropped`] with a reason.

pub mod admin;
pub mod app;
pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod container;
pub mod decoy;
pub mod errno;
pub mod escape;
pub mod event;
pub mod filter;
mod ids;
pub mod journal;
pub mod lane;
pub mod loss;
pub mod metrics;
pub mod otlp;
pub mod pipeline;
pub mod policy;
pub mod policy_source;
pub mod process;
pub mod route;
pub mod sensor;
pub mod ship;
pub mod sink;
pub mod spool;
pub mod stopped;
pub mod telemetry;
pub mod verify;
pub mod version;
