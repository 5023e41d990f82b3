//! The exporter's stages together. What is remote is a real server on the wire.

mod cli;
mod encode;
mod oracle;
mod readme;
mod trace;
