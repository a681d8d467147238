//! Hosts with several addresses, over real sockets: some refuse, some never answer, some answer and do no more.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tests_conformance::Trial;
use tests_conformance::stage::{Memory, Sockets};
use tests_conformance::venues::Tried;

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
/// Long enough for every link on a busy machine, and far below a connect's retransmission.
const SOON_MS: u64 = 20_000;

/// Nobody listens there.
fn refusing() -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from(LOOPBACK)).expect("a port");
    listener.local_addr().expect("bound")
}

/// Answers no SYN: its queue is full of connections nobody takes.
struct Silent {
    peer: SocketAddr,
    _listener: tokio::net::TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(LOOPBACK)).expect("a port");
        let listener = socket.listen(1).expect("listens");
        let peer = listener.local_addr().expect("bound");
        let connect = || TcpStream::connect_timeout(&peer, Duration::from_millis(300)).ok();
        let queue = std::iter::from_fn(connect).collect();
        Self {
            peer,
            _listener: listener,
            _queue: queue,
        }
    }
}

/// Plays until orders may be sent, with these addresses beside the venue's.
fn come_up(decoys: &[SocketAddr], ms: u64) {
    let venue = Tried::named("okx").expect("on the list");
    let memory = Memory::new();
    let (mut stage, known) = Sockets::beside(&memory, venue, 1, decoys, 1);
    let mut trial = Trial::new(&mut stage, known);
    let up = trial.until("up", ms, |it| it.is_synced() && it.script().can_trade);
    up.expect("up");
}

#[test]
fn an_address_that_refuses_or_never_answers_costs_nothing() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let silent = runtime.block_on(async { Silent::new() });
    // Waited for one after the other, the silent one alone would take longer than that, three times over.
    come_up(&[refusing(), silent.peer], 9_000);
}

#[test]
fn an_address_that_answers_and_does_no_more_is_left_for_another() {
    // The kernel shakes hands for it, and nobody ever speaks.
    let stalled = TcpListener::bind(SocketAddr::from(LOOPBACK)).expect("a port");
    come_up(&[stalled.local_addr().expect("bound")], 10_000 + SOON_MS);
}
