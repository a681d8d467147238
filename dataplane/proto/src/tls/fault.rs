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
    /// An unfinished handshake message grew beyond its limit.
    #[error("TLS message is longer than the limit")]
    TooLong,
    /// The keys have sealed as many records as they may.
    #[error("TLS keys are used up")]
    Exhausted,
    /// The host has no clock or no randomness.
    #[error("TLS needs the host's clock and random source")]
    Host,
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
