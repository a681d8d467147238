//! The bench venue's own certificate authority, made anew in every run: real certificates, really verified.

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::sync::Arc;

/// The authority (PEM) and a TLS 1.3 server that bears its certificate for `localhost`.
///
/// No session tickets: they would be records of their own, sent when the server likes. The suite is
/// AES-128-GCM, the one venues choose with clients that have AES in hardware, for every client alike.
pub fn certificates() -> anyhow::Result<(String, Arc<ServerConfig>)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let site = CertificateParams::new(vec!["localhost".to_owned()])?;
    let site = site.signed_by(&key, &ca)?;
    let chain = vec![site.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .ok()
        .context("the key just made")?;
    let mut provider = rustls::crypto::ring::default_provider();
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites = vec![suite];
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    Ok((ca.pem(), Arc::new(config)))
}
