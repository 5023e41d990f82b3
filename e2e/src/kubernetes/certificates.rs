//! Who speaks to an API server, and as whom: certificates of an authority of our own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use serde_json::{Value, json};

/// An authority that all servers and their clients here trust.
pub struct Authority {
    /// The file of its own certificate.
    pub certificate: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A user of the API, or a server, by files in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one that keeps its files in `folder`.
    ///
    /// # Errors
    /// The folder cannot be written; so do the others here.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let mut params = CertificateParams::new([])?;
        params.distinguished_name = name("inotrail-test", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let certificate = folder.join("authority.crt");
        fs::write(&certificate, issuer.pem())?;
        Ok(Self { certificate, issuer, folder: folder.to_owned() })
    }

    /// Makes a certificate for a user of a group, and for a server with these names and addresses, in files of this name.
    ///
    /// # Errors
    /// See [`Self::new`].
    pub fn issue(&self, file: &str, user: &str, group: Option<&str>, servers: &[&str]) -> Result<Identity> {
        let servers: Vec<_> = servers.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(servers)?;
        params.distinguished_name = name(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            certificate: self.folder.join(format!("{file}.crt")),
            key: self.folder.join(format!("{file}.key")),
        };
        fs::write(&identity.certificate, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }

    /// Makes a user of a group, and the kubeconfig of this user: `file` names both.
    ///
    /// # Errors
    /// See [`Self::new`].
    pub fn kubeconfig(&self, server: &str, file: &str, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let identity = self.issue(file, user, group, &[])?;
        let path = self.folder.join(format!("{file}.kubeconfig"));
        fs::write(&path, serde_json::to_vec_pretty(&configuration(server, &self.certificate, &identity))?)?;
        Ok(path)
    }
}

fn name(user: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, user);
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name
}

fn configuration(server: &str, authority: &Path, identity: &Identity) -> Value {
    let user = json!({"client-certificate": identity.certificate, "client-key": identity.key});
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
    })
}
