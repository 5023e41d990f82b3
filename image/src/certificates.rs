//! Whom the exporter believes where no `--ca-file` is given: the authorities that Mozilla trusts.

use pem::{EncodeConfig, LineEnding, Pem, encode_many_config};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Where Debian has them, and every program looks.
pub const PATH: &str = "etc/ssl/certs/ca-certificates.crt";

/// All of them as PEM.
#[must_use]
pub fn pem() -> String {
    let certificates: Vec<_> =
        TLS_SERVER_ROOT_CERTS.iter().map(|certificate| Pem::new("CERTIFICATE", certificate.as_ref())).collect();
    encode_many_config(&certificates, EncodeConfig::new().set_line_ending(LineEnding::LF))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the crate that the exporter reads them with.
    #[test]
    fn exporter_reads_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("certificates");
        std::fs::write(&path, pem()).expect("a file");
        let read = rustls_native_certs::load_certs_from_paths(Some(&path), None);
        assert!(read.errors.is_empty(), "{:?}", read.errors);
        assert_eq!(read.certs.len(), TLS_SERVER_ROOT_CERTS.len());
        assert!(read.certs.len() > 100);
    }
}
