//! The kernel side: what was loaded and attached.

pub mod report;
