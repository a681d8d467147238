//! The stack people use, without a runtime and without sockets.

use super::{Far, Path};
use crate::client::floor;
use crate::naive::App;
use crate::venue::conn::Conn;
use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConfig, StreamOwned};
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use tungstenite::protocol::Role as WsRole;
use tungstenite::{Message, WebSocket};

/// What a socket would be.
#[derive(Default)]
struct Pipe {
    inbox: Vec<u8>,
    read: usize,
    out: Vec<u8>,
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Pipe>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        let waiting = &pipe.inbox[pipe.read..];
        let count = waiting.len().min(buffer.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..count].copy_from_slice(&waiting[..count]);
        pipe.read += count;
        if pipe.read == pipe.inbox.len() {
            pipe.inbox.clear();
            pipe.read = 0;
        }
        Ok(count)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

type Stream = StreamOwned<ClientConnection, Shared>;

/// rustls, tungstenite, and the peers' application.
pub struct Peer {
    feed: WebSocket<Stream>,
    orders: WebSocket<Stream>,
    feed_pipe: Shared,
    orders_pipe: Shared,
    app: App,
    far: Far,
}

impl Peer {
    /// Both connections, shaken hands and upgraded.
    pub fn new(ca: &str, server: &Arc<ServerConfig>) -> anyhow::Result<Self> {
        let config = floor::tls_config(ca.as_bytes())?;
        let open = |path: &str| -> anyhow::Result<_> {
            let name = ServerName::try_from("localhost")?;
            let tls = ClientConnection::new(Arc::clone(&config), name)?;
            let pipe = Shared::default();
            let mut stream = StreamOwned::new(tls, pipe.clone());
            let mut conn = Conn::new(Some(server))?;
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.conn.writer().write_all(head.as_bytes())?;
            let mut answer = Vec::new();
            for _ in 0..20 {
                let _ = stream.conn.complete_io(&mut stream.sock);
                let sent = core::mem::take(&mut pipe.0.borrow_mut().out);
                conn.on_bytes(&sent)?;
                conn.next_request()?;
                pipe.0.borrow_mut().inbox.append(&mut conn.out);
                let mut buffer = [0; 1_024];
                if let Ok(count) = stream.read(&mut buffer) {
                    answer.extend_from_slice(&buffer[..count]);
                }
                if answer.ends_with(b"\r\n\r\n") {
                    let socket = WebSocket::from_raw_socket(stream, WsRole::Client, None);
                    return Ok((socket, pipe, conn));
                }
            }
            bail!("the peer's handshake did not end")
        };
        let (orders, orders_pipe, orders_conn) = open("/ws-api/v3")?;
        let (feed, feed_pipe, feed_conn) = open("/stream?streams=btcusdt@depth@100ms")?;
        Ok(Self {
            feed,
            orders,
            feed_pipe,
            orders_pipe,
            app: App::new(1),
            far: Far {
                feed: feed_conn,
                orders: orders_conn,
            },
        })
    }
}

impl Path for Peer {
    fn load(&mut self, cipher: &[u8]) -> anyhow::Result<()> {
        let mut pipe = self.feed_pipe.0.borrow_mut();
        pipe.inbox.extend_from_slice(cipher);
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<Option<u64>> {
        let Message::Text(text) = self.feed.read()? else {
            bail!("a tick is a text");
        };
        let order = self.app.on_tick(&text);
        let order = order.ok().flatten().context("a tick calls for an order")?;
        self.orders.send(Message::text(order))?;
        Ok(None)
    }

    fn far(&mut self, order: &mut Vec<u8>) -> anyhow::Result<&mut Far> {
        order.append(&mut self.orders_pipe.0.borrow_mut().out);
        Ok(&mut self.far)
    }

    fn answers(&mut self, cipher: &[u8]) -> anyhow::Result<()> {
        self.orders_pipe
            .0
            .borrow_mut()
            .inbox
            .extend_from_slice(cipher);
        for _ in 0..2 {
            let Message::Text(text) = self.orders.read()? else {
                bail!("an answer is a text");
            };
            let heard = self.app.on_answer(&text);
            ensure!(heard.is_ok(), "an answer could not be read");
        }
        ensure!(self.app.live() == 0, "an order rests");
        Ok(())
    }
}
