//! The TLS 1.3 record layer after the handshake: records opened in place in the caller's bytes,
//! sealed in place in its output buffer, without an allocation in either direction.
//!
//! ```text
//!   cipher ─▶ whole record? ─ yes ─▶ open there ─▶ application data ─▶ the caller, as a slice of cipher
//!                  │ no                     ├─▶ KeyUpdate ─▶ next keys; answered at once if asked
//!                  ▼                        ├─▶ ticket    ─▶ skipped
//!                tail, until whole ─▶ open  └─▶ alert     ─▶ closed, or dead
//! ```
//!
//! rustls shook hands and keeps the traffic secrets; it is asked for the next ones when keys change
//! (cold: it may allocate there). Everything else of RFC 8446 sections 5 and 6 that concerns an open
//! connection is here and in `half` (protection) and `post` (messages).
//!
//! What a peer may send without sending data is bounded: [`QUIET_MAX`], [`UPDATES_MAX`]. How long a
//! peer uses its own keys is the peer's duty, as it is in rustls; ours are changed after
//! [`UPDATE_AFTER`] records, behind the record that reached it, so an order does not wait for it.

use super::fault::{Refusal, TlsFault};
use super::half::{BODY_MAX, Broken, CONTENT_MAX, HEADER, Half, OVERHEAD, kind};
use super::post::{Messages, UPDATE_NOT_REQUESTED};
use core::ops::Range;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

/// Records sealed with one key. AES-GCM keeps its margin of 2^-57 up to 2^24.5 full records
/// (RFC 8446 5.5) and rustls stops at 2^24 or 2^23; this stays a factor of two under both. ChaCha20
/// needs no limit and has the same one.
pub(super) const UPDATE_AFTER: u64 = 1 << 22;
/// Records in a row without application data: empty ones, tickets, updates. Tickets cut into
/// records of 32 bytes still fit many times.
const QUIET_MAX: u32 = 512;
/// KeyUpdates in a row without application data; each costs a key derivation. As in rustls.
const UPDATES_MAX: u32 = 32;
/// A whole record.
const RECORD_MAX: usize = HEADER + BODY_MAX;

const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// Both directions of an open connection.
pub(super) struct Records {
    secrets: KernelConnection<ClientConnectionData>,
    rx: Half,
    tx: Half,
    /// One record not yet whole, or the one just opened out of it.
    tail: Vec<u8>,
    is_tail_opened: bool,
    /// What came behind the handshake's last flight and was kept while rustls worked on that.
    backlog: Vec<u8>,
    backlog_at: usize,
    messages: Messages,
    quiet: u32,
    updates: u32,
    update_after: u64,
}

/// What [`Records::next`] found.
pub(super) enum Read {
    /// One record's application data, never empty: see [`Records::plain`].
    Plain(Place),
    /// All of `cipher` was used.
    Blocked,
    /// close_notify; what came after it is not looked at.
    PeerClosed,
}

/// Where a record's application data is.
pub(super) enum Place {
    /// In the bytes the caller gave.
    Cipher(Range<usize>),
    Tail(Range<usize>),
    Backlog(Range<usize>),
}

impl Records {
    /// Takes over from rustls. `backlog` are bytes it was given and did not look at. `None`: rustls
    /// agreed on a cipher that is not one of TLS 1.3's three.
    ///
    /// Cost: three allocations of this connection's life.
    pub fn new(
        extracted: ExtractedSecrets,
        secrets: KernelConnection<ClientConnectionData>,
        backlog: Vec<u8>,
    ) -> Option<Self> {
        let half = |(seq, secret): (u64, ConnectionTrafficSecrets)| Half::new(seq, &secret);
        Some(Self {
            secrets,
            rx: half(extracted.rx)?,
            tx: half(extracted.tx)?,
            tail: Vec::with_capacity(RECORD_MAX),
            is_tail_opened: false,
            backlog,
            backlog_at: 0,
            messages: Messages::default(),
            quiet: 0,
            updates: 0,
            update_after: UPDATE_AFTER,
        })
    }

    /// Opens the next record of application data. Errors: final; the alert is in `out`.
    pub fn next(
        &mut self,
        cipher: &mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Read, TlsFault> {
        if !self.backlog.is_empty() {
            // Taken out, so that it is just another caller's bytes.
            let mut backlog = core::mem::take(&mut self.backlog);
            let mut backlog_at = self.backlog_at;
            let read = self.step(&mut backlog, &mut backlog_at, out)?;
            self.backlog_at = backlog_at;
            if !matches!(read, Read::Blocked) {
                self.backlog = backlog;
            }
            match read {
                Read::Plain(Place::Cipher(range)) => {
                    return Ok(Read::Plain(Place::Backlog(range)));
                }
                Read::Blocked => {}
                read => return Ok(read),
            }
        }
        self.step(cipher, at, out)
    }

    /// The application data [`Records::next`] found, when it was given the same `cipher`.
    pub fn plain<'a>(&'a mut self, place: Place, cipher: &'a mut [u8]) -> &'a mut [u8] {
        match place {
            Place::Cipher(range) => cipher.get_mut(range),
            Place::Tail(range) => self.tail.get_mut(range),
            Place::Backlog(range) => self.backlog.get_mut(range),
        }
        .unwrap_or(&mut [])
    }

    /// Appends `plain` in records of at most 16 KiB, and behind them a KeyUpdate when one is due.
    ///
    /// Cost: one copy, one encryption. Errors: [`TlsFault::Exhausted`], final, `out` as before.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        let before = out.len();
        let records = plain.len().div_ceil(CONTENT_MAX);
        out.reserve(plain.len() + records * OVERHEAD);
        for content in plain.chunks(CONTENT_MAX) {
            let sealed = self.tx.seal(kind::APPLICATION_DATA, content, out);
            if sealed.is_err() || (self.is_update_due() && self.update_tx(out).is_err()) {
                out.truncate(before);
                return Err(TlsFault::Exhausted);
            }
        }
        Ok(())
    }

    /// Appends our close_notify.
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.tx
            .seal(kind::ALERT, &[WARNING, CLOSE_NOTIFY], out)
            .map_err(|_| TlsFault::Exhausted)
    }

    /// For tests that cannot wait for four million records.
    #[cfg(test)]
    pub const fn set_update_after(&mut self, count: u64) {
        self.update_after = count;
    }

    const fn is_update_due(&self) -> bool {
        self.tx.seq() >= self.update_after
    }

    fn step(
        &mut self,
        bytes: &mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Read, TlsFault> {
        self.read(bytes, at, out)
            .map_err(|refusal| self.die(refusal, out))
    }

    /// Works through records up to the first with application data.
    fn read(
        &mut self,
        bytes: &mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Read, Refusal> {
        loop {
            let Some((place, is_in_tail)) = self.find(bytes, at)? else {
                return Ok(Read::Blocked);
            };
            let record = if is_in_tail {
                self.tail.get_mut(place.clone())
            } else {
                bytes.get_mut(place.clone())
            };
            let record = record.unwrap_or(&mut []);
            let (kind, len) = self.rx.open(record)?;
            let content = place.start + HEADER..place.start + HEADER + len;
            if kind == kind::APPLICATION_DATA && len > 0 && !self.messages.is_within() {
                self.quiet = 0;
                self.updates = 0;
                return Ok(Read::Plain(if is_in_tail {
                    Place::Tail(content)
                } else {
                    Place::Cipher(content)
                }));
            }
            let content = record.get(HEADER..HEADER + len).unwrap_or(&[]);
            self.quiet += 1;
            if self.quiet > QUIET_MAX {
                return Err(Refusal::UNEXPECTED_MESSAGE);
            }
            match (kind, content) {
                (kind::HANDSHAKE, [_, ..]) => {
                    if let Some(update) = self.messages.on_record(content)? {
                        self.update_rx()?;
                        if update.is_requested {
                            self.update_tx(out)?;
                        }
                    }
                }
                _ if self.messages.is_within() => return Err(Refusal::UNEXPECTED_MESSAGE),
                (kind::APPLICATION_DATA, []) => {}
                // The level is of no meaning in TLS 1.3, RFC 8446 6.
                (kind::ALERT, &[_, CLOSE_NOTIFY]) => return Ok(Read::PeerClosed),
                (kind::ALERT, &[_, USER_CANCELED]) => {}
                (kind::ALERT, &[_, alert]) => return Err(Refusal::told(alert)),
                (kind::ALERT, [_, ..]) => return Err(Refusal::DECODE_ERROR),
                // Empty alerts and handshakes, ChangeCipherSpec in disguise, unknown kinds.
                _ => return Err(Refusal::UNEXPECTED_MESSAGE),
            }
        }
    }

    /// Where the next whole record is, `true` = in the tail. `None`: `bytes` are used up.
    fn find(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
    ) -> Result<Option<(Range<usize>, bool)>, Refusal> {
        if self.is_tail_opened {
            self.is_tail_opened = false;
            self.tail.clear();
        }
        let start = *at;
        if self.tail.is_empty() {
            let fresh = bytes.get(start..).unwrap_or(&[]);
            if let Some(len) = record_len(fresh)?
                && len <= fresh.len()
            {
                *at = start + len;
                return Ok(Some((start..*at, false)));
            }
        }
        // First the header, which tells the rest.
        loop {
            let told = record_len(&self.tail)?;
            let need = told.unwrap_or(HEADER);
            let fresh = bytes.get(*at..).unwrap_or(&[]);
            let take = fresh.len().min(need.saturating_sub(self.tail.len()));
            self.tail
                .extend_from_slice(fresh.get(..take).unwrap_or(&[]));
            *at += take;
            if self.tail.len() < need {
                return Ok(None);
            }
            if told.is_some() {
                self.is_tail_opened = true;
                return Ok(Some((0..need, true)));
            }
        }
    }

    fn update_rx(&mut self) -> Result<(), Refusal> {
        self.updates += 1;
        if self.updates > UPDATES_MAX {
            return Err(Refusal::UNEXPECTED_MESSAGE);
        }
        let next = self.secrets.update_rx_secret();
        let (seq, secret) = next.map_err(|_| Refusal::NO_KEYS)?;
        self.rx = Half::new(seq, &secret).ok_or(Refusal::NO_KEYS)?;
        Ok(())
    }

    /// Tells the peer, still with the old keys, and changes them.
    fn update_tx(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.tx.seal(kind::HANDSHAKE, &UPDATE_NOT_REQUESTED, out)?;
        let next = self.secrets.update_tx_secret();
        let (seq, secret) = next.map_err(|_| Refusal::NO_KEYS)?;
        self.tx = Half::new(seq, &secret).ok_or(Refusal::NO_KEYS)?;
        Ok(())
    }

    /// Tells the peer why.
    fn die(&mut self, refusal: Refusal, out: &mut Vec<u8>) -> TlsFault {
        if let Some(alert) = refusal.alert {
            // The connection is over, whether or not there is a record left to say so in.
            let _ = self.tx.seal(kind::ALERT, &[FATAL, alert], out);
        }
        refusal.fault
    }
}

/// Length of the record that begins here, header included; `None` before its header is whole.
fn record_len(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let Some(&[kind, _, _, high, low]) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    // Also a ChangeCipherSpec, which is allowed only before the peer's Finished, RFC 8446 5.
    if kind != kind::APPLICATION_DATA {
        return Err(Refusal::UNEXPECTED_MESSAGE);
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > BODY_MAX {
        return Err(Refusal::RECORD_OVERFLOW);
    }
    Ok(Some(HEADER + len))
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Tag => Self::BAD_RECORD_MAC,
            Broken::Long => Self::RECORD_OVERFLOW,
            Broken::Blank => Self::UNEXPECTED_MESSAGE,
            Broken::Exhausted => Self::EXHAUSTED,
        }
    }
}

#[cfg(test)]
mod tests;
