//! Remote ends that answer on the wire as they are told.

pub(crate) mod collector;
