//! Why a WebSocket connection ended badly, and the close code that says so to the peer.

use dp_wire::ws::WsError;

/// Why a WebSocket connection failed, or a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WsFault {
    /// Not open: not yet, or no longer. The connection is as it was.
    #[error("WebSocket is not open")]
    NotOpen,
    /// Our own request holds a byte that may not be there.
    #[error("WebSocket request cannot be written")]
    Request,
    /// The venue answered the upgrade with this status.
    #[error("WebSocket upgrade refused with status {status}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// `Retry-After` in seconds, when given.
        retry_after_s: Option<u32>,
    },
    /// The answer to the upgrade is not HTTP, or not the one to our key and offer.
    #[error("WebSocket upgrade answer is wrong")]
    Upgrade,
    /// A frame's header is malformed.
    #[error(transparent)]
    Frame(#[from] WsError),
    /// The server masked a frame.
    #[error("WebSocket server masked a frame")]
    Masked,
    /// A continuation of nothing, or a new message inside another.
    #[error("WebSocket fragments are out of order")]
    Fragment,
    /// A close frame with a code that may not be sent, or half a code.
    #[error("WebSocket close code is not valid")]
    CloseCode,
    /// Text or a close reason that is not UTF-8.
    #[error("WebSocket text is not UTF-8")]
    Utf8,
    /// A message, or a payload of ours, longer than the limit.
    #[error("WebSocket message is longer than the limit")]
    TooLarge,
}

impl WsFault {
    /// The close code told to the peer (RFC 6455, 7.4.1); `None` before there is a WebSocket.
    pub const fn close_code(self) -> Option<u16> {
        match self {
            Self::NotOpen | Self::Request | Self::Refused { .. } | Self::Upgrade => None,
            Self::Frame(_) | Self::Masked | Self::Fragment | Self::CloseCode => Some(1002),
            Self::Utf8 => Some(1007),
            Self::TooLarge => Some(1009),
        }
    }
}
