//! A throwaway certificate authority, made anew at each start.

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The authority; `ca.pem` is what clients have to trust.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    path: PathBuf,
}

impl Ca {
    /// Makes one and writes `ca.pem` into `dir`.
    pub fn create(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Spinlane simulator test CA");
        let cert = params.self_signed(&key)?;
        let path = dir.join("ca.pem");
        super::write_whole(&path, &cert.pem())
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            path,
        })
    }

    /// Where `ca.pem` is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A TLS 1.2 and 1.3 server for `localhost`, `127.0.0.1` and the address listened on.
    pub fn acceptor(&self, listen: IpAddr) -> anyhow::Result<TlsAcceptor> {
        let mut names = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        let listen = listen.to_string();
        if !names.contains(&listen) {
            names.push(listen);
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
