//! TLS 1.3 and 1.2 as a client, fed with bytes: rustls through its unbuffered interface.
//!
//! ```text
//!                 start                on_bytes / next            close, peer's close_notify
//!   ┌─────┐ hello ─────▶ ┌───────────┐ ───────────▶ ┌──────┐ ───────────▶ ┌────────┐
//!   │ new │              │ handshake │  finished     │ open │              │ closed │
//!   └─────┘              └─────┬─────┘               └───┬──┘              └────────┘
//!                              └── any fault: alert in `out`, dead from then on ──▶
//! ```
//!
//! Whole records are opened in the caller's bytes. What is left of a split record is kept here, not
//! by the caller: rustls remembers places inside such a rest (a handshake message over several
//! records is put together in it), so the rest is part of the machine's state and the very same
//! bytes must be shown to it again. `a_split_handshake_message_survives_a_seal` holds that.
//!
//! Not here: a random source and a wall clock of ours. rustls reads both itself, in the handshake
//! only (key shares, validity of certificates). Session resumption is off: a resumed session shows
//! no certificate, so a pin could not be checked.
//!
//! Cost in steady state, counted by `tests/allocations.rs`: rustls allocates once per record in
//! each direction (in: the plaintext's bytes; out: those and 22 in TLS 1.3, 29 in 1.2); nothing
//! here allocates.

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use std::sync::Arc;

mod config;
mod fault;

pub use config::{Roots, TlsConfigError, client_config};
pub use fault::TlsFault;

/// Plaintext of one record.
const RECORD_MAX: usize = 1 << 14;
/// What sealing adds to a record at most: header 5, explicit nonce 8, content type 1, tag 16,
/// rounded up.
const SEAL_OVERHEAD_MAX: usize = 40;
/// Bytes of unfinished records kept. A handshake message may have 64 KiB; cut into records with
/// their overhead it may be somewhat longer.
const TAIL_MAX: usize = 160 << 10;

/// One TLS connection, client side.
pub struct TlsClient {
    conn: UnbufferedClientConnection,
    /// Bytes of records not yet whole; live from `tail_at` on.
    tail: Vec<u8>,
    tail_at: usize,
    /// Plaintext of the latest record: rustls gives it read-only, the parser above writes in place.
    plain: Vec<u8>,
    /// rustls has seen all of the tail and wants more, so the tail must be shown to it again.
    is_blocked: bool,
    is_peer_closed: bool,
    fault: Option<TlsFault>,
}

impl core::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TlsClient")
            .field("is_open", &self.is_open())
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

/// What one turn of rustls came to.
enum Turn {
    /// `plain` holds one record's bytes.
    Plain,
    /// Nothing more to be had from these bytes.
    Blocked,
    /// The peer said it will send no more.
    PeerClosed,
}

impl TlsClient {
    /// A connection to `server_name` (a DNS name or an IP address), which its certificate must
    /// bear.
    ///
    /// Errors: [`TlsConfigError::ServerName`], [`TlsConfigError::Rustls`].
    pub fn new(config: Arc<ClientConfig>, server_name: &str) -> Result<Self, TlsConfigError> {
        let name = ServerName::try_from(server_name)
            .map_err(|_| TlsConfigError::ServerName)?
            .to_owned();
        let conn =
            UnbufferedClientConnection::new(config, name).map_err(|_| TlsConfigError::Rustls)?;
        Ok(Self {
            conn,
            tail: Vec::with_capacity(2 * RECORD_MAX),
            tail_at: 0,
            plain: Vec::with_capacity(RECORD_MAX),
            is_blocked: true,
            is_peer_closed: false,
            fault: None,
        })
    }

    /// Appends the first flight (ClientHello) to `out`.
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        let mut at = 0;
        self.next(&mut [], &mut at, out).map(|_| ())
    }

    /// Opens the next record. `at` is the caller's cursor into `cipher`, moved past what was used;
    /// call again with the same `cipher` until `None`: then all of it was used, and the beginning
    /// of a record not yet whole is kept here.
    ///
    /// Between two calls [`TlsClient::seal`] may be called, so an order can leave before the rest
    /// of a burst is opened. Handshake answers and alerts are appended to `out`.
    ///
    /// Cost: decryption in place, one copy of the plaintext, one allocation inside rustls. Errors:
    /// [`TlsFault`]; the connection is dead and `out` holds the alert for the peer.
    pub fn next<'a>(
        &'a mut self,
        cipher: &mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'a mut [u8]>, TlsFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let fresh = cipher.get_mut(*at..).unwrap_or(&mut []);
        if self.is_peer_closed {
            *at = cipher.len();
            return Ok(None);
        }
        let is_from_tail = !self.tail.is_empty();
        if is_from_tail {
            *at += fresh.len();
            self.keep(&*fresh)?;
        }
        let bytes = if is_from_tail {
            self.tail.get_mut(self.tail_at..).unwrap_or(&mut [])
        } else {
            fresh
        };
        self.plain.clear();
        let (used, result) = turn(&mut self.conn, bytes, &mut self.plain, out);
        let turned = match result {
            Ok(turned) => turned,
            Err(error) => {
                farewell(&mut self.conn, out);
                let fault = TlsFault::from(&error);
                self.fault = Some(fault);
                return Err(fault);
            }
        };
        if is_from_tail {
            self.tail_at += used;
            if self.tail_at >= self.tail.len() {
                self.tail.clear();
                self.tail_at = 0;
            }
        } else {
            *at += used;
        }
        self.is_blocked = !matches!(turned, Turn::Plain);
        match turned {
            Turn::Plain => Ok(Some(&mut self.plain)),
            Turn::Blocked => {
                let rest = cipher.get(*at..).unwrap_or(&[]);
                *at += rest.len();
                self.keep(rest)?;
                Ok(None)
            }
            Turn::PeerClosed => {
                self.is_peer_closed = true;
                self.tail.clear();
                self.tail_at = 0;
                *at = cipher.len();
                Ok(None)
            }
        }
    }

    /// Feeds bytes and hands on the plaintext of every record in them, in order.
    ///
    /// Uses all of `cipher`. Cost and errors as [`TlsClient::next`]; records before the fault were
    /// handed on.
    pub fn on_bytes(
        &mut self,
        cipher: &mut [u8],
        plain: &mut impl FnMut(&mut [u8]),
        out: &mut Vec<u8>,
    ) -> Result<(), TlsFault> {
        let mut at = 0;
        while let Some(bytes) = self.next(cipher, &mut at, out)? {
            plain(bytes);
        }
        Ok(())
    }

    /// Appends `plain`, sealed, to `out`.
    ///
    /// Cost: one encryption and one allocation inside rustls per 16 KiB; none here while `out` has
    /// room for `plain` and 40 bytes a record. Errors: [`TlsFault::NotOpen`], [`TlsFault::Closed`];
    /// `out` is then unchanged.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        let records = plain.len() / RECORD_MAX + 1;
        self.write(
            out,
            plain.len() + records * SEAL_OVERHEAD_MAX,
            |traffic, room| traffic.encrypt(plain, room),
        )
    }

    /// Appends our close_notify to `out`. After it nothing more is sealed.
    ///
    /// Errors: [`TlsFault::NotOpen`] before the handshake is done: just drop the socket then.
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.write(out, SEAL_OVERHEAD_MAX, |traffic, room| {
            traffic.queue_close_notify(room)
        })?;
        self.fault = Some(TlsFault::Closed);
        Ok(())
    }

    /// Whether the handshake is done and neither side has closed or failed.
    pub fn is_open(&self) -> bool {
        self.fault.is_none() && !self.is_peer_closed && !self.conn.is_handshaking()
    }

    /// Whether the peer sent its close_notify: everything it sent was received. A socket that ends
    /// without it was cut.
    pub const fn is_peer_closed(&self) -> bool {
        self.is_peer_closed
    }

    /// SHA-256 of the peer's end-entity certificate (DER), once it has shown it: what a pin holds.
    pub fn peer_pin(&self) -> Option<[u8; 32]> {
        config::pin(self.conn.peer_certificates()?.first()?)
    }

    /// Adds bytes to the tail; what was used of it goes first.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), TlsFault> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.tail_at > 0 {
            self.tail.drain(..self.tail_at.min(self.tail.len()));
            self.tail_at = 0;
        }
        // One read of the caller's may be larger than any tail; only the old part is bounded here,
        // since whole records in the new part are about to be opened.
        if self.tail.len() > TAIL_MAX {
            self.fault = Some(TlsFault::TooLong);
            return Err(TlsFault::TooLong);
        }
        self.tail.extend_from_slice(bytes);
        Ok(())
    }

    /// Brings rustls to its writing state and lets `seal` fill `room` bytes, or what it needs, at
    /// the end of `out`.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        mut room: usize,
        mut seal: impl FnMut(
            &mut rustls::unbuffered::WriteTraffic<'_, rustls::client::ClientConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), TlsFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if !self.is_open() {
            return Err(if self.is_peer_closed {
                TlsFault::Closed
            } else {
                TlsFault::NotOpen
            });
        }
        // Blocked: rustls may hold places inside the tail, so it must see the tail. Not blocked: a
        // record was just opened, no handshake message is half done, and the rest may hold whole
        // records that must not be opened here.
        let bytes = if self.is_blocked {
            self.tail.get_mut(self.tail_at..).unwrap_or(&mut [])
        } else {
            &mut []
        };
        let before = out.len();
        loop {
            let UnbufferedStatus { discard, state, .. } = self.conn.process_tls_records(bytes);
            debug_assert_eq!(discard, 0, "nothing was left to open");
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let start = out.len();
                    out.resize(start.saturating_add(room), 0);
                    match seal(&mut traffic, out.get_mut(start..).unwrap_or(&mut [])) {
                        Ok(len) => {
                            out.truncate(start + len);
                            return Ok(());
                        }
                        // The answer to the peer's key update goes with the next record. Nothing
                        // was written yet.
                        Err(EncryptError::InsufficientSize(need)) if need.required_size > room => {
                            out.truncate(start);
                            room = need.required_size;
                        }
                        Err(_) => {
                            out.truncate(start);
                            self.fault = Some(TlsFault::Exhausted);
                            return Err(TlsFault::Exhausted);
                        }
                    }
                }
                // A key update that was due goes first.
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => {
                    out.truncate(before);
                    self.fault = Some(TlsFault::Protocol);
                    return Err(TlsFault::Protocol);
                }
            }
        }
    }
}

/// Runs rustls over `bytes` until it has one record's plaintext or wants more. Returns the bytes
/// used.
fn turn(
    conn: &mut UnbufferedClientConnection,
    bytes: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> (usize, Result<Turn, rustls::Error>) {
    let mut used = 0usize;
    loop {
        let rest = bytes.get_mut(used..).unwrap_or(&mut []);
        let UnbufferedStatus {
            mut discard, state, ..
        } = conn.process_tls_records(rest);
        let turned = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard = discard.saturating_add(record.discard);
                            plain.extend_from_slice(record.payload);
                        }
                        Err(error) => return (used.saturating_add(discard), Err(error)),
                    }
                }
                Some(Turn::Plain)
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(&mut data, out);
                None
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                None
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Some(Turn::PeerClosed),
            Ok(_) => Some(Turn::Blocked),
            Err(error) => return (used.saturating_add(discard), Err(error)),
        };
        used = used.saturating_add(discard);
        if let Some(turned) = turned {
            return (used, Ok(turned));
        }
    }
}

/// After a fault: takes the alert rustls has ready for the peer. Only while there is one: rustls
/// asserts that it fails once, so the bytes at fault must not be shown to it again.
fn farewell(conn: &mut UnbufferedClientConnection, out: &mut Vec<u8>) {
    while conn.wants_write() {
        match conn.process_tls_records(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
            _ => break,
        }
    }
}

/// Appends a handshake record or alert to `out`.
fn encode<Data>(data: &mut rustls::unbuffered::EncodeTlsData<'_, Data>, out: &mut Vec<u8>) {
    let start = out.len();
    // Asked with no room, rustls tells how much it needs.
    let Err(EncodeError::InsufficientSize(need)) = data.encode(&mut []) else {
        return;
    };
    out.resize(start.saturating_add(need.required_size), 0);
    let written = data
        .encode(out.get_mut(start..).unwrap_or(&mut []))
        .unwrap_or(0);
    out.truncate(start + written);
}
