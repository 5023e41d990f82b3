//! The binary `inotrail`.

fn main() {}
