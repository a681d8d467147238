//! A real TLS server in memory with its own certificate authority.
#![allow(dead_code, reason = "each test binary uses its part")]

use dp_proto::tls::{Roots, TlsClient, client_config};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{CipherSuite, ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::io::{Read, Write};
use std::sync::Arc;

/// The name in the server's certificate.
pub const NAME: &str = "venue.test";

/// The three suites of TLS 1.3 that are in use.
pub const SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// An authority and one certificate of it.
pub struct Site {
    pub ca_pem: String,
    pub cert: CertificateDer<'static>,
    /// Certificate and key, for a server that reads a file.
    pub cert_and_key_pem: String,
    key: Vec<u8>,
}

impl Site {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let cert = leaf.signed_by(&key, &issuer).unwrap();
        Self {
            ca_pem: ca.pem(),
            cert: cert.der().clone(),
            cert_and_key_pem: cert.pem() + &key.serialize_pem(),
            key: key.serialize_der(),
        }
    }

    pub fn pin(&self) -> [u8; 32] {
        let digest = ::ring::digest::digest(&::ring::digest::SHA256, &self.cert);
        digest.as_ref().try_into().unwrap()
    }

    pub fn server(&self, version: &'static SupportedProtocolVersion) -> ServerConnection {
        self.server_in_fragments(version, None)
    }

    /// A server whose records are at most `fragment` bytes, so that it splits its messages.
    pub fn server_in_fragments(
        &self,
        version: &'static SupportedProtocolVersion,
        fragment: Option<usize>,
    ) -> ServerConnection {
        let mut config = self.config(ring::default_provider(), version);
        config.max_fragment_size = fragment;
        ServerConnection::new(Arc::new(config)).unwrap()
    }

    /// A server's configuration with one version and the provider's suites.
    pub fn config(
        &self,
        provider: CryptoProvider,
        version: &'static SupportedProtocolVersion,
    ) -> ServerConfig {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.cert.clone()], key)
            .unwrap();
        // For tests that go on with the server's keys themselves.
        config.enable_secret_extraction = true;
        config
    }

    pub fn client(&self) -> TlsClient {
        let config = client_config(Roots::Ca(self.ca_pem.as_bytes()), Some(self.pin())).unwrap();
        TlsClient::new(config, NAME).unwrap()
    }
}

/// Gives the server bytes; returns what it read and what it answers.
pub fn serve(server: &mut ServerConnection, mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut plain = Vec::new();
    let mut chunk = [0; 4096];
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        if server.process_new_packets().is_err() {
            break;
        }
        while let Ok(len @ 1..) = server.reader().read(&mut chunk) {
            plain.extend_from_slice(&chunk[..len]);
        }
    }
    (plain, flush(server))
}

/// What the server has to send.
pub fn flush(server: &mut ServerConnection) -> Vec<u8> {
    let mut cipher = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut cipher).unwrap();
    }
    cipher
}

/// Seals at the server.
pub fn server_says(server: &mut ServerConnection, plain: &[u8]) -> Vec<u8> {
    server.writer().write_all(plain).unwrap();
    flush(server)
}

/// Both sides shake hands, tickets included.
pub fn open(
    site: &Site,
    version: &'static SupportedProtocolVersion,
) -> (TlsClient, ServerConnection) {
    shake(site.client(), site.server(version))
}

/// The same in TLS 1.3 with the one suite the server has.
pub fn open_with(site: &Site, suite: CipherSuite) -> (TlsClient, ServerConnection) {
    let provider = only(ring::default_provider(), suite);
    let config = site.config(provider, &rustls::version::TLS13);
    let server = ServerConnection::new(Arc::new(config)).unwrap();
    let (client, server) = shake(site.client(), server);
    let agreed = server.negotiated_cipher_suite();
    assert_eq!(agreed.map(|agreed| agreed.suite()), Some(suite));
    (client, server)
}

/// A provider with one suite left.
pub fn only(mut provider: CryptoProvider, suite: CipherSuite) -> CryptoProvider {
    provider
        .cipher_suites
        .retain(|other| other.suite() == suite);
    provider
}

/// Both sides shake hands.
pub fn shake(mut client: TlsClient, mut server: ServerConnection) -> (TlsClient, ServerConnection) {
    let mut to_server = Vec::new();
    client.start(&mut to_server).unwrap();
    while !to_server.is_empty() {
        let (_, mut to_client) = serve(&mut server, &to_server);
        to_server.clear();
        client
            .on_bytes(&mut to_client, &mut |_| (), &mut to_server)
            .unwrap();
    }
    assert!(client.is_open() && !server.is_handshaking());
    (client, server)
}
