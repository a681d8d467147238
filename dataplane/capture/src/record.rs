//! One line of a capture.

use crate::CaptureError;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

/// Standard base64, read with or without padding, written with it.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the venue.
    #[default]
    In,
    /// To the venue.
    Out,
    /// Neither: an example of the venue's documentation.
    Example,
}

/// One line of a capture. Unknown keys are ignored: recorders add their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Recorder's receive time, nanoseconds since 1970.
    pub ts: Option<u64>,
    /// Which way.
    #[serde(default)]
    pub dir: Direction,
    /// The recorder's name of the connection; `http` for REST.
    #[serde(default)]
    pub conn: String,
    /// `open` when a connection was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Target of an opened connection or of a REST answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Text as received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Binary as received, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_b64: Option<String>,
}

impl Record {
    /// Parses one line. Errors: not JSON, or a key of the wrong type.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// A message of a connection; bytes that are no text are kept as binary.
    pub fn message(ts: u64, dir: Direction, conn: &str, bytes: Vec<u8>) -> Self {
        let (raw, raw_b64) = match String::from_utf8(bytes) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(BASE64.encode(error.as_bytes()))),
        };
        Self {
            ts: Some(ts),
            dir,
            conn: conn.to_owned(),
            raw,
            raw_b64,
            ..Self::default()
        }
    }

    /// A binary message of a connection.
    pub fn binary(ts: u64, conn: &str, bytes: &[u8]) -> Self {
        Self {
            ts: Some(ts),
            conn: conn.to_owned(),
            raw_b64: Some(BASE64.encode(bytes)),
            ..Self::default()
        }
    }

    /// Whether this is a message from the venue.
    pub fn is_message(&self) -> bool {
        self.dir == Direction::In && (self.raw.is_some() || self.raw_b64.is_some())
    }

    /// Whether this is a REST answer.
    pub fn is_rest(&self) -> bool {
        self.is_message() && self.url.is_some()
    }

    /// Whether the message came as a binary one.
    pub fn is_binary(&self) -> bool {
        self.raw.is_none() && self.raw_b64.is_some()
    }

    /// The bytes of the message; binary ones decoded.
    ///
    /// Errors: [`CaptureError::NotBase64`]. An event without a body is empty.
    pub fn bytes(&self) -> Result<Vec<u8>, CaptureError> {
        match (&self.raw, &self.raw_b64) {
            (Some(text), _) => Ok(text.as_bytes().to_vec()),
            (None, Some(text)) => BASE64.decode(text).map_err(|_| CaptureError::NotBase64),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// As [`Record::bytes`], without a copy of a text.
    ///
    /// Errors: as [`Record::bytes`].
    pub fn into_bytes(self) -> Result<Vec<u8>, CaptureError> {
        match self.raw {
            Some(text) => Ok(text.into_bytes()),
            None => self.bytes(),
        }
    }
}
