//! Other people's TLS as the peer: rustls with both providers in memory, OpenSSL over TCP.
//!
//! OpenSSL's test needs its program; without it the test says that it was skipped, and fails when
//! `REQUIRE` contains `openssl`.

use super::{Inner, TlsClient};
use crate::rig::{SUITES, Site, flush, only, serve, server_says, shake};
use rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use rustls::version::TLS13;
use rustls::{CipherSuite, ServerConnection};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

fn providers() -> [CryptoProvider; 2] {
    [ring::default_provider(), aws_lc_rs::default_provider()]
}

fn update_after(client: &mut TlsClient, count: u64) {
    match &mut client.inner {
        Inner::Records(records) => records.set_update_after(count),
        _ => panic!("not open"),
    }
}

fn open_with(site: &Site, provider: CryptoProvider) -> (TlsClient, ServerConnection) {
    let config = site.config(provider, &TLS13);
    shake(site.client(), ServerConnection::new(config.into()).unwrap())
}

fn text(len: usize, salt: u8) -> Vec<u8> {
    (0..len).map(|at| at as u8 ^ salt).collect()
}

#[test]
fn rustls_with_either_provider_talks_to_us_through_key_changes_of_both_sides() {
    let site = Site::new();
    for suite in SUITES {
        for provider in providers() {
            let (mut client, mut server) = open_with(&site, only(provider, suite));
            update_after(&mut client, 7);
            for round in 0..40u8 {
                if round % 5 == 4 {
                    server.refresh_traffic_keys().unwrap();
                }
                let len = usize::from(round) * 997;
                let mut cipher = server_says(&mut server, &text(len, round));
                let (mut out, mut read) = (Vec::new(), Vec::new());
                let mut take = |plain: &mut [u8]| read.extend_from_slice(plain);
                client.on_bytes(&mut cipher, &mut take, &mut out).unwrap();
                assert_eq!(read, text(len, round), "{suite:?}");
                client.seal(&text(len, !round), &mut out).unwrap();
                assert_eq!(serve(&mut server, &out).0, text(len, !round));
            }
            server.send_close_notify();
            let mut bye = flush(&mut server);
            client
                .on_bytes(&mut bye, &mut |_| (), &mut Vec::new())
                .unwrap();
            assert!(client.is_peer_closed());
        }
    }
}

/// What a server sends at once behind its Finished: it may, before it has heard ours (RFC 8446 2).
#[test]
fn data_behind_the_handshakes_last_flight_is_not_lost_wherever_reads_cut_it() {
    let site = Site::new();
    for size in (1..60).chain([100, 500, 1_000, 5_000, 100_000]) {
        let mut config = site.config(ring::default_provider(), &TLS13);
        config.send_half_rtt_data = true;
        let mut server = ServerConnection::new(config.into()).unwrap();
        let mut client = site.client();
        let mut hello = Vec::new();
        client.start(&mut hello).unwrap();
        let (_, mut flight) = serve(&mut server, &hello);
        for part in [&b"one"[..], &text(20_000, 1), b"two"] {
            flight.extend(server_says(&mut server, part));
        }
        let (mut out, mut read) = (Vec::new(), Vec::new());
        for piece in flight.chunks_mut(size) {
            let mut take = |plain: &mut [u8]| read.extend_from_slice(plain);
            client.on_bytes(piece, &mut take, &mut out).unwrap();
        }
        let expected = [b"one", &text(20_000, 1)[..], b"two"].concat();
        assert_eq!(read, expected, "reads of {size}");
        assert!(client.is_open());
        client.seal(b"order", &mut out).unwrap();
        let (heard, mut tickets) = serve(&mut server, &out);
        assert_eq!(heard, b"order");
        assert!(!tickets.is_empty());
        let seen = client.on_bytes(&mut tickets, &mut |_| panic!("no data"), &mut Vec::new());
        assert_eq!(seen, Ok(()));
    }
}

#[test]
fn aes_128_is_what_a_server_that_follows_us_takes() {
    let site = Site::new();
    for provider in providers() {
        let mut config = site.config(provider, &TLS13);
        config.ignore_client_order = false;
        let server = ServerConnection::new(config.into()).unwrap();
        let (_, server) = shake(site.client(), server);
        let suite = server.negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(suite, Some(CipherSuite::TLS13_AES_128_GCM_SHA256));
    }
}

/// Longest wait for anything OpenSSL should do at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// `openssl s_server`, told what to do by its one-letter commands.
struct OpenSsl {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Vec<u8>>,
    /// Everything it has printed.
    said: String,
}

impl OpenSsl {
    /// `None` when there is no such program.
    fn start(site: &Site, args: &[&str]) -> Option<(Self, TcpStream)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &site.cert_and_key_pem).unwrap();
        let spawned = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-msg", "-cert"])
            .arg(file.path())
            .arg("-key")
            .arg(file.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let require = std::env::var("REQUIRE").unwrap_or_default();
                assert!(
                    !require.contains("openssl"),
                    "REQUIRE has openssl, and there is no such program"
                );
                println!("SKIPPED: there is no openssl program");
                return None;
            }
            Err(error) => panic!("openssl: {error}"),
        };
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = Vec::new();
            while matches!(stdout.read_until(b'\n', &mut line), Ok(1..)) {
                if tell.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            child,
            stdin,
            lines,
            said: String::new(),
        };
        let accept = server.wait_for("ACCEPT 127.0.0.1:", 1);
        let port = accept.trim().rsplit(':').next().unwrap().parse().unwrap();
        // Read whole by now.
        drop(file);
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Some((server, socket))
    }

    /// Waits until it has printed the `nth` line with `text` in it.
    fn wait_for(&mut self, text: &str, nth: usize) -> String {
        loop {
            let mut found = self.said.lines().filter(|line| line.contains(text));
            if let Some(line) = found.nth(nth - 1) {
                return line.to_owned();
            }
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.said += &String::from_utf8_lossy(&line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("openssl did not say {text:?} {nth} times:\n{}", self.said)
                }
            }
        }
    }

    fn tell(&mut self, line: &str) {
        self.stdin.write_all(line.as_bytes()).unwrap();
        self.stdin.flush().unwrap();
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until `count` bytes of plaintext are there or the peer has closed; sends what is due.
fn read(client: &mut TlsClient, socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 8_000];
    while plain.len() < count && !client.is_peer_closed() {
        let len = socket.read(&mut buffer).unwrap();
        assert!(len > 0, "cut, {} bytes read", plain.len());
        let mut take = |part: &mut [u8]| plain.extend_from_slice(part);
        client
            .on_bytes(&mut buffer[..len], &mut take, &mut out)
            .unwrap();
        socket.write_all(&out).unwrap();
        out.clear();
    }
    plain
}

fn send(client: &mut TlsClient, socket: &mut TcpStream, line: &str) {
    let mut out = Vec::new();
    client.seal(line.as_bytes(), &mut out).unwrap();
    socket.write_all(&out).unwrap();
}

fn talk(site: &Site, args: &[&str], is_tls13: bool) {
    let Some((mut server, mut socket)) = OpenSsl::start(site, args) else {
        return;
    };
    let mut client = shake_over(site, &mut socket);
    assert_eq!(matches!(client.inner, Inner::Records(_)), is_tls13);
    // Both ways; the first read also brings the session tickets.
    send(&mut client, &mut socket, "order one\n");
    server.wait_for("order one", 1);
    server.tell("price one\n");
    assert_eq!(read(&mut client, &mut socket, 10), b"price one\n");
    if is_tls13 {
        let asked = ">>> TLS 1.3, Handshake [length 0005], KeyUpdate";
        let told = "<<< TLS 1.3, Handshake [length 0005], KeyUpdate";
        // It changes its keys and asks for ours; we answer, and both go on.
        server.tell("K\n");
        server.wait_for(asked, 1);
        server.tell("price two\n");
        assert_eq!(read(&mut client, &mut socket, 10), b"price two\n");
        server.wait_for(told, 1);
        send(&mut client, &mut socket, "order two\n");
        server.wait_for("order two", 1);
        // It changes its own alone.
        server.tell("k\n");
        server.wait_for(asked, 2);
        server.tell("price three\n");
        assert_eq!(read(&mut client, &mut socket, 12), b"price three\n");
        // We change ours, twice.
        update_after(&mut client, 2);
        for at in 3..7 {
            send(&mut client, &mut socket, &format!("order {at}\n"));
            server.wait_for(&format!("order {at}"), 1);
        }
        server.wait_for(told, 3);
        assert_eq!(server.said.matches(told).count(), 3, "{}", server.said);
    }
    // A full record and a burst of them.
    let long = "x".repeat(50_000) + " end of it\n";
    send(&mut client, &mut socket, &long);
    server.wait_for("end of it", 1);
}

/// A server that sends each line back turned around, until it is told to close.
#[test]
fn openssl_closes_with_close_notify() {
    let site = Site::new();
    let Some((_server, mut socket)) = OpenSsl::start(&site, &["-tls1_3", "-rev"]) else {
        return;
    };
    let mut client = shake_over(&site, &mut socket);
    send(&mut client, &mut socket, "1.00 ecirp\n");
    assert_eq!(read(&mut client, &mut socket, 11), b"price 00.1\n");
    send(&mut client, &mut socket, "CLOSE\n");
    assert_eq!(read(&mut client, &mut socket, usize::MAX), b"");
    assert!(client.is_peer_closed());
}

fn shake_over(site: &Site, socket: &mut TcpStream) -> TlsClient {
    let mut client = site.client();
    let (mut buffer, mut out) = (vec![0; 1_000], Vec::new());
    client.start(&mut out).unwrap();
    while !client.is_open() {
        socket.write_all(&out).unwrap();
        out.clear();
        let len = socket.read(&mut buffer).unwrap();
        assert!(len > 0, "cut in the handshake");
        let seen = client.on_bytes(&mut buffer[..len], &mut |_| panic!("no data yet"), &mut out);
        assert_eq!(seen, Ok(()));
    }
    socket.write_all(&out).unwrap();
    client
}

#[test]
fn openssl_talks_to_us_with_each_suite_through_key_changes_of_both_sides() {
    let site = Site::new();
    for suite in [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ] {
        talk(
            &site,
            &["-tls1_3", "-num_tickets", "3", "-ciphersuites", suite],
            true,
        );
    }
    // Another key share is asked for first, so the hand-over comes after a second hello.
    talk(&site, &["-tls1_3", "-curves", "P-384"], true);
    talk(&site, &["-tls1_2"], false);
}

#[test]
fn openssl_hears_our_close_and_our_alerts() {
    let site = Site::new();
    for is_broken in [false, true] {
        let Some((mut server, mut socket)) = OpenSsl::start(&site, &["-tls1_3"]) else {
            return;
        };
        let mut client = shake_over(&site, &mut socket);
        let mut out = Vec::new();
        if is_broken {
            let mut forged = [&[23, 3, 3, 0, 20][..], &[7; 20]].concat();
            let fault = client.on_bytes(&mut forged, &mut |_| panic!("no data"), &mut out);
            assert_eq!(fault, Err(super::TlsFault::Record));
        } else {
            client.close(&mut out).unwrap();
        }
        socket.write_all(&out).unwrap();
        let heard = if is_broken {
            "<<< TLS 1.3, Alert [length 0002], fatal bad_record_mac"
        } else {
            "<<< TLS 1.3, Alert [length 0002], warning close_notify"
        };
        server.wait_for(heard, 1);
    }
}
