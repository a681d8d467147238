//! One WebSocket: frames in to the venue, queued frames out, flushed together.

use super::venue::{FRAMES_MAX, Frame, Handle};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

/// Largest message a client may send.
const MESSAGE_MAX: usize = 1 << 20;

/// Runs a connection until either side ends it.
pub async fn run<S>(stream: S, venue: Handle, path: String, query: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let (tx, mut frames) = mpsc::channel(FRAMES_MAX);
    let Some(conn) = venue.open(path, query, tx).await else {
        return;
    };
    loop {
        tokio::select! {
            frame = frames.recv() => {
                let Some(frame) = frame else { break };
                if !send_all(&mut socket, frame, &mut frames).await {
                    break;
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    venue.text(conn, text.as_str().to_owned()).await;
                }
                Some(Ok(Message::Pong(_))) => venue.pong(conn).await,
                // A PING is answered by the library with the next flush.
                Some(Ok(Message::Ping(_))) => {
                    if socket.flush().await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Binary(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
        }
    }
    venue.closed(conn).await;
    // Answers a client's close, where there was one.
    let _ = socket.flush().await;
}

/// Sends a frame and those queued behind it in one flush. Returns whether the connection goes on.
async fn send_all<S>(
    socket: &mut WebSocketStream<S>,
    first: Frame,
    frames: &mut mpsc::Receiver<Frame>,
) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut next = Some(first);
    while let Some(frame) = next {
        let sent = match frame {
            Frame::Text(text) => socket.feed(Message::text(text)).await,
            Frame::Binary(bytes) => socket.feed(Message::binary(bytes)).await,
            Frame::Ping => {
                socket
                    .feed(Message::Ping(Vec::from(*b"spinlane").into()))
                    .await
            }
            Frame::Close(None) => {
                // What was said before the cut still goes out.
                let _ = socket.flush().await;
                return false;
            }
            Frame::Close(Some(code)) => {
                let reason = CloseFrame {
                    code: CloseCode::from(code),
                    reason: "".into(),
                };
                let _ = socket.close(Some(reason)).await;
                return false;
            }
        };
        if sent.is_err() {
            return false;
        }
        next = frames.try_recv().ok();
    }
    socket.flush().await.is_ok()
}
