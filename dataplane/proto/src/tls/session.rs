//! rustls at work: every handshake, and TLS 1.2 to its end.
//!
//! What is left of a split record is kept here, not by the caller: rustls remembers places inside
//! such a rest (a handshake message over several records is put together in it), so the rest is part
//! of the machine's state and the very same bytes must be shown to it again.
//! `a_split_handshake_message_survives_a_seal` holds that.
//!
//! When a TLS 1.3 handshake is done, rustls has queued our Finished and not looked at what came
//! behind the server's. It is then shown nothing more; those bytes go on to `records` unopened.
//!
//! Cost of TLS 1.2, counted by `tests/allocations.rs`: rustls allocates once per record in each
//! direction (in: the plaintext's bytes; out: those and 29), the plaintext is copied once.

use super::fault::TlsFault;
use super::half::CONTENT_MAX;
use super::records::Records;
use super::{TlsConfigError, config};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, ProtocolVersion};
use std::sync::Arc;

/// What sealing adds to a record of TLS 1.2 at most: header 5, explicit nonce 8, tag 16, rounded up.
const SEAL_OVERHEAD_MAX: usize = 40;
/// Bytes of unfinished records kept. A handshake message may have 64 KiB; cut into records with
/// their overhead it may be somewhat longer.
const TAIL_MAX: usize = 160 << 10;

/// A connection that rustls drives.
pub(super) struct Session {
    conn: UnbufferedClientConnection,
    /// Bytes of records not yet whole; live from `tail_at` on.
    tail: Vec<u8>,
    tail_at: usize,
    /// Plaintext of the latest record: rustls gives it read-only, the parser above writes in place.
    plain: Vec<u8>,
    /// rustls has seen all of the tail and wants more, so the tail must be shown to it again.
    is_blocked: bool,
}

/// What one turn of rustls came to.
pub(super) enum Turn {
    /// [`Session::plain`] holds one record's bytes.
    Plain,
    /// All bytes were used.
    Blocked,
    /// The peer said it will send no more.
    PeerClosed,
    /// TLS 1.3 is open; go on with [`Session::into_records`].
    Shaken,
}

impl Session {
    pub fn new(config: Arc<ClientConfig>, server_name: &str) -> Result<Self, TlsConfigError> {
        if !config.enable_secret_extraction {
            return Err(TlsConfigError::Secrets);
        }
        let name = ServerName::try_from(server_name)
            .map_err(|_| TlsConfigError::ServerName)?
            .to_owned();
        let conn =
            UnbufferedClientConnection::new(config, name).map_err(|_| TlsConfigError::Rustls)?;
        Ok(Self {
            conn,
            tail: Vec::with_capacity(2 * CONTENT_MAX),
            tail_at: 0,
            plain: Vec::with_capacity(CONTENT_MAX),
            is_blocked: true,
        })
    }

    /// One turn: up to one record's plaintext.
    pub fn next(
        &mut self,
        cipher: &mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Turn, TlsFault> {
        let fresh = cipher.get_mut(*at..).unwrap_or(&mut []);
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
        let turned = result.map_err(|error| {
            farewell(&mut self.conn, out);
            TlsFault::from(&error)
        })?;
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
        if matches!(turned, Turn::Blocked) {
            let rest = cipher.get(*at..).unwrap_or(&[]);
            *at += rest.len();
            self.keep(rest)?;
        }
        Ok(turned)
    }

    /// The record that was just opened.
    pub fn plain(&mut self) -> &mut [u8] {
        &mut self.plain
    }

    /// Takes the secrets out of rustls, after [`Turn::Shaken`]. Errors: [`TlsFault::Protocol`], rustls
    /// does not give them.
    pub fn into_records(self) -> Result<Records, TlsFault> {
        let mut backlog = self.tail;
        backlog.drain(..self.tail_at.min(backlog.len()));
        let (extracted, secrets) = self
            .conn
            .dangerous_into_kernel_connection()
            .map_err(|_| TlsFault::Protocol)?;
        Records::new(extracted, secrets, backlog).ok_or(TlsFault::Protocol)
    }

    /// Appends `plain`, sealed. The handshake must be done.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        let records = plain.len() / CONTENT_MAX + 1;
        self.write(
            out,
            plain.len() + records * SEAL_OVERHEAD_MAX,
            |traffic, room| traffic.encrypt(plain, room),
        )
    }

    /// Appends our close_notify. The handshake must be done.
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.write(out, SEAL_OVERHEAD_MAX, |traffic, room| {
            traffic.queue_close_notify(room)
        })
    }

    pub fn is_handshaking(&self) -> bool {
        self.conn.is_handshaking()
    }

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
            return Err(TlsFault::TooLong);
        }
        self.tail.extend_from_slice(bytes);
        Ok(())
    }

    /// Brings rustls to its writing state and lets `seal` fill `room` bytes at the end of `out`.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        room: usize,
        seal: impl FnOnce(
            &mut rustls::unbuffered::WriteTraffic<'_, rustls::client::ClientConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), TlsFault> {
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
                    let sealed = seal(&mut traffic, out.get_mut(start..).unwrap_or(&mut []));
                    out.truncate(start + sealed.as_ref().copied().unwrap_or(0));
                    return sealed.map(|_| ()).map_err(|_| TlsFault::Exhausted);
                }
                // A warning that was due goes first.
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => {
                    out.truncate(before);
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
        // Once shaken, nothing more is shown: rustls must send its Finished, but not open what came
        // behind the server's.
        let is_shaken = is_shaken(conn);
        let rest = if is_shaken {
            &mut []
        } else {
            bytes.get_mut(used..).unwrap_or(&mut [])
        };
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
            Ok(ConnectionState::WriteTraffic(_)) if is_shaken => Some(Turn::Shaken),
            Ok(_) => Some(Turn::Blocked),
            Err(error) => return (used.saturating_add(discard), Err(error)),
        };
        used = used.saturating_add(discard);
        if let Some(turned) = turned {
            return (used, Ok(turned));
        }
    }
}

/// The handshake is done under TLS 1.3: from here on the record layer is ours.
fn is_shaken(conn: &UnbufferedClientConnection) -> bool {
    !conn.is_handshaking() && conn.protocol_version() == Some(ProtocolVersion::TLSv1_3)
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
