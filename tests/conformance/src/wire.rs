//! The venue's end of one connection in memory: rustls as server, HTTP/1.1 by httparse, WebSocket by tungstenite.
//! None of it is what the lane speaks with.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use spinlane_sim::core::{ConnId, Request, Response};
use std::io::{self, Read, Write};
use std::sync::Arc;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role};
use tungstenite::{Message, WebSocket};

/// What a connection brought.
#[derive(Debug)]
pub enum Heard {
    /// An HTTP request.
    Request(Request),
    /// A WebSocket upgrade, and its key.
    Upgrade(Request, String),
    /// A text frame.
    Text(String),
    /// A PONG frame.
    Pong,
    /// Bytes of a FIX session.
    Bytes(Vec<u8>),
    /// The client said goodbye, or what is no TLS, HTTP or WebSocket.
    Over,
}

/// What a WebSocket is to send.
#[derive(Debug)]
pub enum Frame {
    /// Text.
    Text(String),
    /// Binary.
    Binary(Vec<u8>),
    /// PING.
    Ping,
    /// CLOSE with a code.
    Close(u16),
}

/// Bytes in and out of a protocol library that wants a socket.
#[derive(Debug, Default)]
struct Pipe {
    input: Vec<u8>,
    read: usize,
    output: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = &self.input[self.read..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        if self.read == self.input.len() {
            self.input.clear();
            self.read = 0;
        }
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum App {
    Http(Vec<u8>),
    WebSocket(Box<WebSocket<Pipe>>),
    /// Bytes as they are: whoever is behind it frames them.
    Fix,
}

/// One connection's server.
pub struct Server {
    tls: ServerConnection,
    app: App,
    /// The face's name for it, once it is a WebSocket.
    pub conn: Option<ConnId>,
}

impl Server {
    /// A fresh connection.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        let mut tls = ServerConnection::new(config).expect("a server configuration that works");
        // Nobody waits for room here: what is too much is judged sealed.
        tls.set_buffer_limit(None);
        Self {
            tls,
            app: App::Http(Vec::new()),
            conn: None,
        }
    }

    /// Takes what the lane sent.
    pub fn on_cipher(&mut self, mut cipher: &[u8], heard: &mut Vec<Heard>) {
        let mut plain = Vec::new();
        while !cipher.is_empty() {
            let is_ok = self.tls.read_tls(&mut cipher).is_ok();
            let state = if is_ok {
                self.tls.process_new_packets().ok()
            } else {
                None
            };
            let Some(state) = state else {
                heard.push(Heard::Over);
                return;
            };
            let before = plain.len();
            plain.resize(before + state.plaintext_bytes_to_read(), 0);
            self.tls
                .reader()
                .read_exact(&mut plain[before..])
                .expect("told how much");
        }
        match &mut self.app {
            App::Http(pending) => {
                pending.extend(plain);
                requests(pending, heard);
            }
            App::WebSocket(socket) => {
                socket.get_mut().input.extend(plain);
                messages(socket, heard);
            }
            App::Fix if plain.is_empty() => {}
            App::Fix => heard.push(Heard::Bytes(plain)),
        }
        self.drain();
    }

    /// Says yes to an upgrade.
    pub fn accept(&mut self, key: &str, conn: ConnId) {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        self.write(head.as_bytes());
        let socket = WebSocket::from_raw_socket(Pipe::default(), Role::Server, None);
        self.app = App::WebSocket(Box::new(socket));
        self.conn = Some(conn);
    }

    /// This connection came to the venue's FIX port.
    pub fn speak_fix(&mut self, conn: ConnId) {
        self.app = App::Fix;
        self.conn = Some(conn);
    }

    /// Whether it did.
    pub const fn is_fix(&self) -> bool {
        matches!(self.app, App::Fix)
    }

    /// Answers a request.
    pub fn answer(&mut self, response: &Response) {
        let mut head = format!(
            "HTTP/1.1 {} Because\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            response.status,
            response.body.len()
        );
        for (name, value) in &response.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.push_str(&response.body);
        self.write(head.as_bytes());
    }

    /// Begins an answer that goes on.
    pub fn begin(&mut self) {
        self.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
    }

    /// A piece of an answer that goes on.
    pub fn piece(&mut self, text: &str) {
        self.write(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes());
    }

    /// Sends a frame.
    pub fn say(&mut self, frame: Frame) {
        let socket = match (&mut self.app, &frame) {
            (App::WebSocket(socket), _) => socket,
            (App::Fix, Frame::Binary(bytes)) => {
                let bytes = bytes.clone();
                return self.write(&bytes);
            }
            _ => return,
        };
        // Refused after a close from either side: then nobody listens.
        let _ = match frame {
            Frame::Text(text) => socket.write(Message::text(text)),
            Frame::Binary(bytes) => socket.write(Message::binary(bytes)),
            Frame::Ping => socket.write(Message::Ping(Vec::from(*b"spinlane").into())),
            Frame::Close(code) => socket.close(Some(CloseFrame {
                code: CloseCode::from(code),
                reason: "".into(),
            })),
        };
        self.drain();
    }

    /// What is to go to the lane.
    pub fn take_cipher(&mut self, into: &mut Vec<u8>) {
        while self.tls.wants_write() {
            self.tls.write_tls(into).expect("in memory");
        }
    }

    /// Moves what the WebSocket wrote into TLS.
    fn drain(&mut self) {
        if let App::WebSocket(socket) = &mut self.app {
            let _ = socket.flush();
            let bytes = std::mem::take(&mut socket.get_mut().output);
            self.write(&bytes);
        }
    }

    fn write(&mut self, plain: &[u8]) {
        self.tls.writer().write_all(plain).expect("in memory");
    }
}

fn requests(pending: &mut Vec<u8>, heard: &mut Vec<Heard>) {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        let end = match head.parse(pending) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return,
            Err(_) => {
                heard.push(Heard::Over);
                return;
            }
        };
        let headers: Vec<(String, String)> = head
            .headers
            .iter()
            .map(|field| {
                let value = String::from_utf8_lossy(field.value).into_owned();
                (field.name.to_ascii_lowercase(), value)
            })
            .collect();
        let field = |name: &str| {
            let found = headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        let length = field("content-length").and_then(|text| text.parse().ok());
        let length: usize = length.unwrap_or(0);
        if pending.len() < end + length {
            return;
        }
        let target = head.path.unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let key = field("sec-websocket-key");
        let request = Request {
            method: head.method.unwrap_or("GET").to_owned(),
            path,
            query,
            body: String::from_utf8_lossy(&pending[end..end + length]).into_owned(),
            headers,
        };
        heard.push(match key {
            Some(key) => Heard::Upgrade(request, key),
            None => Heard::Request(request),
        });
        pending.drain(..end + length);
    }
}

fn messages(socket: &mut WebSocket<Pipe>, heard: &mut Vec<Heard>) {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => heard.push(Heard::Text(text.as_str().to_owned())),
            Ok(Message::Pong(_)) => heard.push(Heard::Pong),
            Ok(Message::Close(_)) => heard.push(Heard::Over),
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return;
            }
            Err(_) => {
                heard.push(Heard::Over);
                return;
            }
        }
    }
}

/// A certificate authority (PEM) and a server that bears its certificate for `localhost`.
pub fn certificates() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = CertifiedIssuer::self_signed(params, key).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let site = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let site = site.signed_by(&key, &ca).expect("signed");
    let chain = vec![site.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("its own key");
    (ca.pem(), Arc::new(config))
}
