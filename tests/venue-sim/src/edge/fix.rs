//! The FIX port of a venue: TLS, then bytes both ways.

use super::venue::{FRAMES_MAX, Frame, Handle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Bytes read at once.
const READ_MAX: usize = 16 << 10;

/// Accepts for ever; aborting the task ends its connections too.
pub async fn run(listener: TcpListener, acceptor: TlsAcceptor, venue: Handle) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, most likely: one may be free in a moment.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let (acceptor, venue) = (acceptor.clone(), venue.clone());
        connections.spawn(async move {
            if socket.set_nodelay(true).is_err() {
                return;
            }
            if let Ok(stream) = acceptor.accept(socket).await {
                converse(stream, venue).await;
            }
        });
    }
}

/// Runs a connection until either side ends it.
async fn converse(mut stream: TlsStream<TcpStream>, venue: Handle) {
    let (tx, mut frames) = mpsc::channel(FRAMES_MAX);
    let Some(conn) = venue.fix_open(tx).await else {
        return;
    };
    let mut bytes = vec![0; READ_MAX];
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Some(Frame::Binary(bytes)) => {
                    if stream.write_all(&bytes).await.is_err() {
                        break;
                    }
                    if frames.is_empty() && stream.flush().await.is_err() {
                        break;
                    }
                }
                Some(Frame::Close(_)) | None => break,
                Some(Frame::Text(_) | Frame::Ping) => {}
            },
            read = stream.read(&mut bytes) => match read {
                Ok(count @ 1..) => {
                    let read = bytes.get(..count).unwrap_or(&[]).to_vec();
                    venue.fix_bytes(conn, read).await;
                }
                _ => break,
            },
        }
    }
    venue.closed(conn).await;
    // What was said before a cut still goes out.
    let _ = stream.shutdown().await;
}
