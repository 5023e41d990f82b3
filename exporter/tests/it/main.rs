//! The exporter's stages together. What is remote is a real server on the wire.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
mod default_policies;
mod encode;
mod export;
mod export_file;
mod export_http;
mod export_tcp;
mod fakes;
mod layers;
mod oracle;
mod policy;
mod privileges;
mod probe;
mod readme;
mod reload;
mod requests;
mod telemetry;
mod trace;
mod verify;
