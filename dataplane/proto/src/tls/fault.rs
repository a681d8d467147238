//! Why a TLS connection died, by blame, without text.

use rustls::{CertificateError, Error};

/// Why a TLS connection died or refused. Everything but `NotOpen` is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The handshake is not done yet.
    #[error("TLS handshake is not done")]
    NotOpen,
    /// One side has closed.
    #[error("TLS connection is closed")]
    Closed,
    /// The certificate's issuer is none of our roots, or its signature is bad.
    #[error("TLS certificate is not from a trusted issuer")]
    UntrustedIssuer,
    /// The certificate is for another name.
    #[error("TLS certificate is for another name")]
    WrongName,
    /// The certificate is not valid now.
    #[error("TLS certificate is expired or not yet valid")]
    Expired,
    /// The certificate is good, but not the pinned one.
    #[error("TLS certificate is not the pinned one")]
    WrongPin,
    /// The certificate is unusable for another reason.
    #[error("TLS certificate is refused")]
    Certificate,
    /// A record was changed on its way, or sealed with other keys.
    #[error("TLS record does not authenticate")]
    Record,
    /// The peer sent this fatal alert.
    #[error("TLS peer sent alert {0}")]
    Alert(u8),
    /// The peer broke the protocol or offers nothing we accept.
    #[error("TLS peer broke the protocol")]
    Protocol,
    /// A record or a handshake message is longer than its limit.
    #[error("TLS message is longer than the limit")]
    TooLong,
    /// The keys have sealed as many records as they may.
    #[error("TLS keys are used up")]
    Exhausted,
    /// The host has no clock or no randomness.
    #[error("TLS needs the host's clock and random source")]
    Host,
}

/// Why our record layer ends a connection, and the alert that tells the peer (RFC 8446 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `None`: the peer itself ended it.
    pub alert: Option<u8>,
    pub fault: TlsFault,
}

impl Refusal {
    pub const UNEXPECTED_MESSAGE: Self = Self::new(10, TlsFault::Protocol);
    pub const BAD_RECORD_MAC: Self = Self::new(20, TlsFault::Record);
    pub const RECORD_OVERFLOW: Self = Self::new(22, TlsFault::TooLong);
    pub const ILLEGAL_PARAMETER: Self = Self::new(47, TlsFault::Protocol);
    pub const DECODE_ERROR: Self = Self::new(50, TlsFault::Protocol);
    pub const MESSAGE_TOO_LONG: Self = Self::new(50, TlsFault::TooLong);
    /// No number is left for a record.
    pub const EXHAUSTED: Self = Self::new(80, TlsFault::Exhausted);
    /// rustls gave no next keys.
    pub const NO_KEYS: Self = Self::new(80, TlsFault::Protocol);

    const fn new(alert: u8, fault: TlsFault) -> Self {
        Self {
            alert: Some(alert),
            fault,
        }
    }

    /// The peer sent `alert`: nothing is to be answered.
    pub const fn told(alert: u8) -> Self {
        Self {
            alert: None,
            fault: TlsFault::Alert(alert),
        }
    }
}

impl From<&Error> for TlsFault {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(reason) => certificate(reason),
            Error::NoCertificatesPresented => Self::Certificate,
            Error::DecryptError => Self::Record,
            Error::AlertReceived(alert) => Self::Alert(u8::from(*alert)),
            Error::EncryptError => Self::Exhausted,
            Error::FailedToGetCurrentTime | Error::FailedToGetRandomBytes => Self::Host,
            _ => Self::Protocol,
        }
    }
}

fn certificate(reason: &CertificateError) -> TlsFault {
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TlsFault::UntrustedIssuer
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::WrongName
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsFault::Expired,
        // Only our own verifier says this.
        CertificateError::ApplicationVerificationFailure => TlsFault::WrongPin,
        _ => TlsFault::Certificate,
    }
}
