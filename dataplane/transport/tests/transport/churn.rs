//! Anything in any order: sockets come and go while bytes fly and chunks are kept back. What is received
//! on a socket is what was sent on it, and nothing is told of one that was closed.

use crate::support::{Made, Random, echo};
use dp_transport::{Chunk, Ready, SendError, Socket, Transport, clock};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One live connection: how many bytes went and came. Bytes are their own position, so a lost, doubled or
/// foreign one shows.
struct Live {
    socket: Socket,
    salt: u8,
    is_up: bool,
    sent: usize,
    got: usize,
}

const fn byte(position: usize, salt: u8) -> u8 {
    (position % 251) as u8 ^ salt
}

struct Churn<T> {
    transport: T,
    random: Random,
    live: Vec<Live>,
    held: Vec<(Socket, Chunk)>,
    received: usize,
}

impl<T: Transport> Churn<T> {
    fn step(&mut self, address: SocketAddr) {
        let at = self.random.below(self.live.len().max(1));
        match self.random.below(20) {
            0 if self.live.len() < 12 => self.open(address),
            1 if self.live.len() > 4 => {
                let gone = self.live.swap_remove(at);
                self.transport.close(gone.socket);
            }
            2..10 => self.send(at),
            10 => self.transport.park(50_000),
            11..14 => self.give_back(),
            _ => self.poll(),
        }
    }

    fn open(&mut self, address: SocketAddr) {
        if let Ok(socket) = self.transport.open(address) {
            let salt = self.random.below(256) as u8;
            self.live.push(Live {
                socket,
                salt,
                is_up: false,
                sent: 0,
                got: 0,
            });
        }
    }

    fn send(&mut self, at: usize) {
        let len = self.random.below(5_000);
        let Some(live) = self.live.get_mut(at) else {
            return;
        };
        let bytes: Vec<u8> = (live.sent..live.sent + len)
            .map(|at| byte(at, live.salt))
            .collect();
        match self.transport.send(live.socket, &bytes) {
            Ok(()) => live.sent += len,
            Err(SendError::Full) => {}
            Err(SendError::NotConnected) => assert!(!live.is_up, "{:?}", live.socket),
        }
    }

    /// Gives back what was kept, looking at it once more: nobody may have written to it meanwhile.
    fn give_back(&mut self) {
        while let Some((socket, chunk)) = self.held.pop() {
            let bytes = self.transport.bytes(&chunk);
            if let Some(live) = self.live.iter().find(|live| live.socket == socket) {
                let first = bytes[0] ^ live.salt;
                let steps = bytes.iter().enumerate();
                let mut wrong =
                    steps.filter(|(at, got)| **got != byte(usize::from(first) + at, live.salt));
                assert_eq!(wrong.next(), None, "a chunk in hand was written to");
            }
            self.transport.release(chunk);
        }
    }

    fn poll(&mut self) {
        self.transport.poll(clock::unix_now());
        while let Some(ready) = self.transport.next() {
            let of = match &ready {
                Ready::Connected(of) | Ready::Bytes(of, _) | Ready::Closed(of, _) => *of,
            };
            let live = self.live.iter_mut().find(|live| live.socket == of);
            let live = live.unwrap_or_else(|| panic!("{ready:?} of a closed socket"));
            match ready {
                Ready::Connected(_) => {
                    assert!(!core::mem::replace(&mut live.is_up, true), "told twice");
                }
                Ready::Closed(_, reason) => panic!("nobody closed it: {reason}"),
                Ready::Bytes(_, chunk) => {
                    for got in self.transport.bytes(&chunk) {
                        assert_eq!(*got, byte(live.got, live.salt));
                        live.got += 1;
                        self.received += 1;
                    }
                    assert!(live.got <= live.sent);
                    self.held.push((of, chunk));
                }
            }
        }
        // Now and then everything is kept, until the kernel has no chunk left.
        if self.random.below(100) != 0 && self.held.len() > 60 {
            self.give_back();
        }
    }
}

fn anything_in_any_order_keeps_every_stream_whole<T: Made>() {
    for seed in 1..=6 {
        let address = echo(100_000, 3_000);
        let mut churn = Churn::<T> {
            transport: T::made(),
            random: Random::new(seed),
            live: Vec::new(),
            held: Vec::new(),
            received: 0,
        };
        let start = Instant::now();
        let mut steps = 0;
        // On a busy machine handshakes take long; a run without traffic would prove nothing.
        while steps < 4_000 || churn.received < 100_000 {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "seed {seed}: no traffic"
            );
            churn.step(address);
            steps += 1;
        }
        let start = Instant::now();
        while churn.live.iter().any(|live| live.got < live.sent) {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "seed {seed}: bytes are missing"
            );
            churn.give_back();
            churn.poll();
            churn.transport.park(100_000);
        }
    }
}

both!(anything_in_any_order_keeps_every_stream_whole,);
