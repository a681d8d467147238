//! TLS 1.3 and 1.2 as a client, fed with bytes: rustls shakes hands, then TLS 1.3 records are ours.
//!
//! ```text
//!                 start                on_bytes / next            close, peer's close_notify
//!   ┌─────┐ hello ─────▶ ┌───────────┐ ───────────▶ ┌──────┐ ───────────▶ ┌────────┐
//!   │ new │              │ handshake │  finished     │ open │              │ closed │
//!   └─────┘              └─────┬─────┘               └───┬──┘              └────────┘
//!                              └── any fault: alert in `out`, dead from then on ──▶
//!
//!   inside:  Session (rustls) ─── TLS 1.3 ──▶ Records (ours)      ──▶ Dead: no secret is held
//!                             ─── TLS 1.2 ──▶ Session to its end  ──▶
//! ```
//!
//! After a TLS 1.3 handshake a record that lies whole in the caller's bytes is opened there and handed
//! on as a slice of them; only a record split over reads is put together here first. Neither way
//! allocates. A venue that speaks only TLS 1.2 is served by rustls, at one allocation and one copy a
//! record (`session`); `tests/allocations.rs` counts both.
//!
//! Not here: a random source and a wall clock of ours. rustls reads both itself, in the handshake
//! only (key shares, validity of certificates). Session resumption is off: a resumed session shows
//! no certificate, so a pin could not be checked.

use rustls::ClientConfig;
use std::sync::Arc;

mod config;
mod fault;
mod half;
mod post;
mod records;
mod session;

pub use config::{Roots, TlsConfigError, client_config};
pub use fault::TlsFault;
use records::{Place, Read, Records};
use session::{Session, Turn};

/// One TLS connection, client side.
pub struct TlsClient {
    inner: Inner,
    /// Of the peer's certificate, kept from when rustls hands over.
    pin: Option<[u8; 32]>,
    is_peer_closed: bool,
    fault: Option<TlsFault>,
}

/// Who drives the connection.
enum Inner {
    Session(Box<Session>),
    Records(Box<Records>),
    Dead,
}

/// Where the latest record's plaintext is.
enum Plain {
    Session,
    Records(Place),
}

impl core::fmt::Debug for TlsClient {
    /// Without secrets.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TlsClient")
            .field("is_open", &self.is_open())
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

impl TlsClient {
    /// A connection to `server_name` (a DNS name or an IP address), which its certificate must
    /// bear; `config` comes from [`client_config`].
    ///
    /// Errors: [`TlsConfigError::ServerName`], [`TlsConfigError::Rustls`],
    /// [`TlsConfigError::Secrets`].
    pub fn new(config: Arc<ClientConfig>, server_name: &str) -> Result<Self, TlsConfigError> {
        Ok(Self {
            inner: Inner::Session(Box::new(Session::new(config, server_name)?)),
            pin: None,
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
    /// of a burst is opened. Handshake answers, key updates and alerts are appended to `out`.
    ///
    /// Cost: one decryption in place, and for a split record one copy; TLS 1.2 one copy and one
    /// allocation inside rustls. Errors: [`TlsFault`]; the connection is dead, `out` holds the alert for
    /// the peer, and the rest of `cipher` is of no use.
    pub fn next<'a>(
        &'a mut self,
        cipher: &'a mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'a mut [u8]>, TlsFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let plain = self
            .advance(cipher, at, out)
            .map_err(|fault| self.die(fault))?;
        Ok(match (plain, &mut self.inner) {
            (Some(Plain::Session), Inner::Session(session)) => Some(session.plain()),
            (Some(Plain::Records(place)), Inner::Records(records)) => {
                Some(records.plain(place, cipher))
            }
            _ => None,
        })
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

    /// Appends `plain`, sealed, to `out`. Every 4,194,304 records a KeyUpdate follows.
    ///
    /// Cost: one copy and one encryption per 16 KiB, no allocation while `out` has room for `plain` and
    /// 22 bytes a record (TLS 1.2: 40, and one allocation inside rustls). Errors:
    /// [`TlsFault::NotOpen`], [`TlsFault::Closed`], [`TlsFault::Exhausted`]; `out` is then unchanged.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.check_open()?;
        match &mut self.inner {
            Inner::Records(records) => records.seal(plain, out),
            Inner::Session(session) => session.seal(plain, out),
            Inner::Dead => Err(TlsFault::Closed),
        }
        .map_err(|fault| self.die(fault))
    }

    /// Appends our close_notify to `out`. After it nothing more is sealed.
    ///
    /// Errors: [`TlsFault::NotOpen`] before the handshake is done: just drop the socket then.
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.check_open()?;
        let closed = match &mut self.inner {
            Inner::Records(records) => records.close(out),
            Inner::Session(session) => session.close(out),
            Inner::Dead => Err(TlsFault::Closed),
        };
        self.die(closed.err().unwrap_or(TlsFault::Closed));
        closed
    }

    /// Whether the handshake is done and neither side has closed or failed.
    pub fn is_open(&self) -> bool {
        self.check_open().is_ok()
    }

    /// Whether the peer sent its close_notify: everything it sent was received. A socket that ends
    /// without it was cut.
    pub const fn is_peer_closed(&self) -> bool {
        self.is_peer_closed
    }

    /// SHA-256 of the peer's end-entity certificate (DER), once it has shown it: what a pin holds.
    pub fn peer_pin(&self) -> Option<[u8; 32]> {
        match &self.inner {
            Inner::Session(session) => session.peer_pin(),
            _ => self.pin,
        }
    }

    /// Opens up to one record of application data.
    fn advance(
        &mut self,
        cipher: &mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<Plain>, TlsFault> {
        if let Inner::Session(session) = &mut self.inner {
            match session.next(cipher, at, out)? {
                Turn::Plain => return Ok(Some(Plain::Session)),
                Turn::Blocked => return Ok(None),
                Turn::PeerClosed => self.is_peer_closed = true,
                Turn::Shaken => self.hand_over()?,
            }
        }
        if let Inner::Records(records) = &mut self.inner {
            match records.next(cipher, at, out)? {
                Read::Plain(place) => return Ok(Some(Plain::Records(place))),
                Read::Blocked => return Ok(None),
                Read::PeerClosed => self.is_peer_closed = true,
            }
        }
        // The peer has closed: whatever else came is not looked at.
        *at = cipher.len();
        self.drop_secrets();
        Ok(None)
    }

    /// The handshake is done under TLS 1.3: rustls gives its secrets and goes.
    fn hand_over(&mut self) -> Result<(), TlsFault> {
        self.pin = self.peer_pin();
        if let Inner::Session(session) = core::mem::replace(&mut self.inner, Inner::Dead) {
            self.inner = Inner::Records(Box::new(session.into_records()?));
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), TlsFault> {
        match (&self.inner, self.fault) {
            (_, Some(fault)) => Err(fault),
            (Inner::Session(session), None) if session.is_handshaking() => Err(TlsFault::NotOpen),
            (Inner::Dead, None) => Err(TlsFault::Closed),
            _ => Ok(()),
        }
    }

    fn die(&mut self, fault: TlsFault) -> TlsFault {
        self.fault = Some(fault);
        self.drop_secrets();
        fault
    }

    fn drop_secrets(&mut self) {
        self.pin = self.peer_pin();
        self.inner = Inner::Dead;
    }
}

#[cfg(test)]
mod interop;
