//! The program `inotrail-oci-hook SOCKET`: reads a container's state and tells the exporter.

use std::env;
use std::io::{self, Write};
use std::path::Path;

/// A container must not fail because nobody watches it: this says so, at most, and ends with 0.
fn main() {
    let socket = env::args_os().nth(1).unwrap_or_default();
    if let Err(error) = inotrail_oci_hook::tell(Path::new(&socket), io::stdin().lock()) {
        let _closed = writeln!(io::stderr(), "inotrail: no exporter was told of the container: {error}");
    }
}
