//! What a connection trusts: roots, and on top, where wanted, one pinned certificate.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;

/// Certificate authorities to trust.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// Mozilla's list, compiled in: the host's own store is not read.
    Public,
    /// Only these, PEM, one or more.
    Ca(&'a [u8]),
}

/// Why a TLS configuration was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsConfigError {
    /// The PEM holds no certificate, or one that cannot be read.
    #[error("PEM holds no usable CA certificate")]
    Pem,
    /// Neither a DNS name nor an IP address.
    #[error("server name is neither a DNS name nor an IP address")]
    ServerName,
    /// The configuration keeps its secrets in rustls, so no record layer of ours can work.
    #[error("TLS configuration does not let its secrets out")]
    Secrets,
    /// rustls refused the combination.
    #[error("TLS configuration is refused")]
    Rustls,
}

/// A client configuration: TLS 1.3 and 1.2, certificates always verified against `roots`, and with
/// `pin_sha256` the end-entity certificate (DER) must have that SHA-256 besides.
///
/// TLS_AES_128_GCM_SHA256 is offered first: it is the one suite every TLS 1.3 implementation must have
/// (RFC 8446 9.1), and a record costs a tenth less than with the 256-bit key rustls would put in front.
/// A venue that insists on another one gets it.
///
/// Cost: parses the roots; make one and share it. Errors: [`TlsConfigError::Pem`], `Rustls`.
pub fn client_config(
    roots: Roots<'_>,
    pin_sha256: Option<[u8; 32]>,
) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let mut provider = rustls::crypto::ring::default_provider();
    let preferred = CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != preferred);
    let provider = Arc::new(provider);
    let webpki = WebPkiServerVerifier::builder_with_provider(
        Arc::new(root_store(roots)?),
        Arc::clone(&provider),
    )
    .build()
    .map_err(|_| TlsConfigError::Rustls)?;
    let verifier = Arc::new(Pinned {
        webpki,
        pin: pin_sha256,
    });
    finish(provider, verifier)
}

fn finish(
    provider: Arc<CryptoProvider>,
    verifier: Arc<Pinned>,
) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| TlsConfigError::Rustls)?
        // "Dangerous" is any verifier but the default; ours only adds a condition to the default.
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    // For the record layer: see `records`. No key log, no export besides.
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

fn root_store(roots: Roots<'_>) -> Result<RootCertStore, TlsConfigError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Public => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Ca(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| TlsConfigError::Pem)?;
                store.add(certificate).map_err(|_| TlsConfigError::Pem)?;
            }
        }
    }
    if store.is_empty() {
        return Err(TlsConfigError::Pem);
    }
    Ok(store)
}

/// SHA-256 of a certificate's DER.
pub(super) fn pin(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().try_into().ok()
}

/// The usual verification, then the pin.
#[derive(Debug)]
struct Pinned {
    webpki: Arc<WebPkiServerVerifier>,
    pin: Option<[u8; 32]>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.webpki.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        if self.pin.is_some() && pin(end_entity) != self.pin {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
