//! The peers: the bench venue's ticks answered by the stacks people use, as they use them.
//!
//! ```text
//!   task 1: feed.next().await ─▶ App::on_tick ─▶ orders.send().await
//!   task 2: answers.next().await ─▶ App::on_answer
//! ```
//! `park`: tokio's current-thread runtime as it comes. `spin`: the same with a third task that yields for
//! ever and the driver polled on each turn, so that it never parks in the kernel; the core is its own then,
//! as ours is.

mod app;

use anyhow::{Context as _, bail};
use app::{App, BadMessage};
use clap::{Parser, ValueEnum};
use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocket, WebSocketWrite,
};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stack {
    /// tokio-tungstenite.
    Tungstenite,
    /// fastwebsockets.
    Fastwebsockets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runtime {
    /// Sleeps in epoll when there is nothing to do.
    Park,
    /// Never sleeps.
    Spin,
}

/// A client of the bench venue, built the usual way. Started by `spinlane-bench`.
#[derive(Debug, Parser)]
struct Args {
    /// WebSocket library.
    #[arg(long, value_enum)]
    stack: Stack,
    /// How the runtime waits.
    #[arg(long, value_enum)]
    runtime: Runtime,
    /// Where the bench venue listens.
    #[arg(long)]
    connect: SocketAddr,
    /// What to trust, PEM.
    #[arg(long)]
    ca: PathBuf,
    /// Not used: peers have no shared memory.
    #[arg(long)]
    shm: Option<PathBuf>,
    /// Answer one tick in so many.
    #[arg(long, default_value_t = 1)]
    every: u64,
}

const FEED: &str = "/stream?streams=btcusdt@depth@100ms";
const ORDERS: &str = "/ws-api/v3";

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all();
    if args.runtime == Runtime::Spin {
        builder.event_interval(1);
    }
    let local = tokio::task::LocalSet::new();
    let runtime = builder.build()?;
    local.block_on(&runtime, async move {
        if args.runtime == Runtime::Spin {
            tokio::task::spawn_local(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        let app = Rc::new(RefCell::new(App::new(args.every)));
        match args.stack {
            Stack::Tungstenite => tungstenite(&args, app).await,
            Stack::Fastwebsockets => fastwebsockets(&args, app).await,
        }
    })
}

async fn connect(args: &Args) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&args.ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(args.connect).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector.connect(name, stream).await?)
}

fn bad(_: BadMessage) -> std::io::Error {
    std::io::Error::from_raw_os_error(22)
}

async fn tungstenite(args: &Args, app: Rc<RefCell<App>>) -> anyhow::Result<()> {
    let open = async |path: &str| -> anyhow::Result<_> {
        let stream = connect(args).await?;
        let url = format!("wss://localhost{path}");
        Ok(tokio_tungstenite::client_async(url, stream).await?.0)
    };
    let (mut orders, mut answers) = open(ORDERS).await?.split();
    let mut feed = open(FEED).await?;
    let heard = Rc::clone(&app);
    tokio::task::spawn_local(async move {
        while let Some(Ok(message)) = answers.next().await {
            if let Ok(text) = message.to_text()
                && heard.borrow_mut().on_answer(text).is_err()
            {
                eprintln!("an answer could not be read");
            }
        }
    });
    while let Some(message) = feed.next().await {
        let Message::Text(text) = message? else {
            continue;
        };
        let order = app.borrow_mut().on_tick(&text).map_err(bad)?;
        if let Some(order) = order {
            orders.send(Message::text(order)).await?;
        }
    }
    bail!("the bench venue is gone")
}

async fn fastwebsockets(args: &Args, app: Rc<RefCell<App>>) -> anyhow::Result<()> {
    let orders = WebSocket::after_handshake(upgraded(args, ORDERS).await?, Role::Client);
    let (answers, mut orders): (_, WebSocketWrite<_>) = orders.split(tokio::io::split);
    let mut answers = FragmentCollectorRead::new(answers);
    let mut feed = WebSocket::after_handshake(upgraded(args, FEED).await?, Role::Client);
    let heard = Rc::clone(&app);
    tokio::task::spawn_local(async move {
        let mut no_reply = async |_: Frame<'_>| Ok::<(), std::io::Error>(());
        while let Ok(frame) = answers.read_frame(&mut no_reply).await {
            let text = core::str::from_utf8(&frame.payload).unwrap_or_default();
            if heard.borrow_mut().on_answer(text).is_err() {
                eprintln!("an answer could not be read");
            }
        }
    });
    loop {
        let frame = feed.read_frame().await?;
        if frame.opcode != OpCode::Text {
            continue;
        }
        let text = core::str::from_utf8(&frame.payload)?;
        let order = app.borrow_mut().on_tick(text).map_err(bad)?;
        if let Some(order) = order {
            let payload = Payload::Owned(order.into_bytes());
            orders.write_frame(Frame::text(payload)).await?;
        }
    }
}

/// A connection after the upgrade, by hand: the library leaves HTTP to others.
async fn upgraded(args: &Args, path: &str) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut stream = connect(args).await?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        // A byte at a time: what follows the head belongs to the WebSocket.
        answer.push(stream.read_u8().await.context("the upgrade's answer")?);
    }
    if !answer.starts_with(b"HTTP/1.1 101") {
        bail!("the bench venue refused the upgrade");
    }
    Ok(stream)
}
