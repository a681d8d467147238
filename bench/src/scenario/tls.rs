//! One TLS 1.3 record: opened with a depth message in it, sealed with an order in it. Ours beside rustls
//! fed with bytes in its two ways; the same server, suite (AES-128-GCM) and provider (ring) for all.

use crate::meter::{BATCH, Meter};
use anyhow::Context;
use dp_proto::tls::{Roots, TlsClient, client_config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::PrivateKeyDer;
use rustls::unbuffered::ConnectionState;
use rustls::{CipherSuite, ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::sync::Arc;

/// A depth message of 20 levels, as venues send it.
const OPEN_BYTES: usize = 750;
/// An order with its mask and header.
const SEAL_BYTES: usize = 230;
const NAME: &str = "venue.test";

pub fn run(meter: &mut Meter) -> anyhow::Result<()> {
    meter.begin("tls");
    let site = Site::new()?;
    let ours = "open 750 B";
    open(meter, ours, &mut site.ours()?)?;
    open(
        meter,
        "open 750 B, rustls unbuffered",
        &mut site.unbuffered()?,
    )?;
    meter.is_peer_of(ours);
    open(meter, "open 750 B, rustls buffered", &mut site.buffered()?)?;
    meter.is_peer_of(ours);
    let ours = "seal 230 B";
    seal(meter, ours, &mut site.ours()?)?;
    seal(
        meter,
        "seal 230 B, rustls unbuffered",
        &mut site.unbuffered()?,
    )?;
    meter.is_peer_of(ours);
    seal(meter, "seal 230 B, rustls buffered", &mut site.buffered()?)?;
    meter.is_peer_of(ours);
    Ok(())
}

/// One end of an open connection; the other is a server in memory.
trait Client {
    /// Opens the one record in `cipher`; returns the length of its plaintext, 0 when it failed.
    fn open(&mut self, cipher: &mut [u8]) -> usize;
    /// Seals one record into `out`, which is empty.
    fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>);
    /// Takes what the server sent in the handshake; answers into `out`.
    fn shake(&mut self, cipher: &mut Vec<u8>, out: &mut Vec<u8>) -> anyhow::Result<()>;
}

struct Pair<C> {
    client: C,
    server: ServerConnection,
    /// Records ready to be opened.
    records: Vec<Vec<u8>>,
    out: Vec<u8>,
}

fn open<C: Client>(meter: &mut Meter, name: &str, pair: &mut Pair<C>) -> anyhow::Result<()> {
    let text = vec![b'x'; OPEN_BYTES];
    let mut read = 0;
    meter.batch_on(
        name,
        &mut (&mut *pair, &mut read),
        |(pair, _), _| {
            for record in &mut pair.records {
                record.clear();
                // In memory: neither can fail.
                let _ = pair.server.writer().write_all(&text);
                let _ = pair.server.write_tls(record);
            }
        },
        |(pair, read), at| {
            let Pair {
                client, records, ..
            } = &mut **pair;
            **read += client.open(&mut records[at % BATCH]);
        },
    );
    anyhow::ensure!(
        read > 0 && read.is_multiple_of(OPEN_BYTES),
        "{name}: {read}"
    );
    Ok(())
}

fn seal<C: Client>(meter: &mut Meter, name: &str, pair: &mut Pair<C>) -> anyhow::Result<()> {
    let text = vec![b'o'; SEAL_BYTES];
    meter.batch(name, |_| {
        pair.out.clear();
        pair.client.seal(&text, &mut pair.out);
    });
    anyhow::ensure!(pair.out.len() == SEAL_BYTES + 22, "{name}");
    Ok(())
}

impl Client for TlsClient {
    fn open(&mut self, cipher: &mut [u8]) -> usize {
        let mut out = Vec::new();
        self.next(cipher, &mut 0, &mut out)
            .ok()
            .flatten()
            .map_or(0, |plain| plain.len())
    }

    fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let _ = TlsClient::seal(self, plain, out);
    }

    fn shake(&mut self, cipher: &mut Vec<u8>, out: &mut Vec<u8>) -> anyhow::Result<()> {
        self.on_bytes(cipher, &mut |_| (), out)?;
        cipher.clear();
        Ok(())
    }
}

impl Client for UnbufferedClientConnection {
    fn open(&mut self, cipher: &mut [u8]) -> usize {
        match self.process_tls_records(cipher).state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => match traffic.next_record() {
                Some(Ok(record)) => record.payload.len(),
                _ => 0,
            },
            _ => 0,
        }
    }

    fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
            self.process_tls_records(&mut []).state
        {
            out.resize(plain.len() + 22, 0);
            let len = traffic.encrypt(plain, out).unwrap_or(0);
            out.truncate(len);
        }
    }

    fn shake(&mut self, cipher: &mut Vec<u8>, out: &mut Vec<u8>) -> anyhow::Result<()> {
        loop {
            let status = self.process_tls_records(cipher);
            let used = status.discard;
            let is_done = match status.state? {
                ConnectionState::EncodeTlsData(mut data) => {
                    let mut record = vec![0; 1 << 15];
                    let len = data.encode(&mut record)?;
                    out.extend_from_slice(&record[..len]);
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                _ => true,
            };
            cipher.drain(..used);
            if is_done {
                return Ok(());
            }
        }
    }
}

impl Client for ClientConnection {
    fn open(&mut self, cipher: &mut [u8]) -> usize {
        let mut plain = [0; OPEN_BYTES];
        let _ = self.read_tls(&mut &*cipher);
        let _ = self.process_new_packets();
        self.reader().read(&mut plain).unwrap_or(0)
    }

    fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let _ = self.writer().write_all(plain);
        let _ = self.write_tls(out);
    }

    fn shake(&mut self, cipher: &mut Vec<u8>, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut rest = &cipher[..];
        while !rest.is_empty() {
            self.read_tls(&mut rest)?;
            self.process_new_packets()?;
        }
        cipher.clear();
        while self.wants_write() {
            self.write_tls(out)?;
        }
        Ok(())
    }
}

/// A certificate and what both ends need to know of it.
struct Site {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Site {
    fn new() -> anyhow::Result<Self> {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &ca)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
        server.send_tls13_tickets = 0;
        Ok(Self {
            client: client_config(Roots::Ca(ca.pem().as_bytes()), None)?,
            server: Arc::new(server),
        })
    }

    fn ours(&self) -> anyhow::Result<Pair<TlsClient>> {
        self.pair(TlsClient::new(Arc::clone(&self.client), NAME)?)
    }

    fn unbuffered(&self) -> anyhow::Result<Pair<UnbufferedClientConnection>> {
        let config = Arc::clone(&self.client);
        self.pair(UnbufferedClientConnection::new(config, NAME.try_into()?)?)
    }

    fn buffered(&self) -> anyhow::Result<Pair<ClientConnection>> {
        let config = Arc::clone(&self.client);
        self.pair(ClientConnection::new(config, NAME.try_into()?)?)
    }

    fn pair<C: Client>(&self, mut client: C) -> anyhow::Result<Pair<C>> {
        let mut server = ServerConnection::new(Arc::clone(&self.server))?;
        let (mut cipher, mut out) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            client.shake(&mut cipher, &mut out)?;
            let mut rest = &out[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest)?;
                server.process_new_packets()?;
            }
            out.clear();
            while server.wants_write() {
                server.write_tls(&mut cipher)?;
            }
        }
        let suite = server.negotiated_cipher_suite().context("no handshake")?;
        let is_expected = suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256;
        anyhow::ensure!(is_expected && !server.is_handshaking(), "{suite:?}");
        Ok(Pair {
            client,
            server,
            records: std::iter::repeat_with(|| Vec::with_capacity(1 << 10))
                .take(BATCH)
                .collect(),
            out: Vec::with_capacity(1 << 10),
        })
    }
}
