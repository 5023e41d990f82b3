//! The exporter's stages together. What is remote is a real server on the wire.

mod encode;
mod oracle;
