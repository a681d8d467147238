//! Bytes go both ways, exact and in order.

use crate::support::{Event, Made, Random, connect, drive, echo, pattern};
use dp_transport::{SendError, Socket, Transport};
use std::io::Read as _;
use std::sync::mpsc;
use std::time::Duration;

/// What one socket has to send, and what came back.
struct Stream {
    socket: Socket,
    want: Vec<u8>,
    offered: usize,
    got: Vec<u8>,
}

impl Stream {
    /// Offers pieces of random sizes until the transport takes no more.
    fn feed(&mut self, transport: &mut impl Transport, random: &mut Random) {
        while self.offered < self.want.len() {
            let end = (self.offered + 1 + random.below(70_000)).min(self.want.len());
            match transport.send(self.socket, &self.want[self.offered..end]) {
                Ok(()) => self.offered = end,
                Err(SendError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Sends `len` bytes over each of `count` connections to an echo server and compares what comes back.
fn everything_comes_back<T: Made>(count: usize, len: usize, piece_max: usize) {
    let mut transport = T::made();
    let address = echo(count, piece_max);
    let mut random = Random::new(42);
    let mut streams: Vec<Stream> = (0..count)
        .map(|at| Stream {
            socket: connect(&mut transport, address),
            want: pattern(len, at as u64),
            offered: 0,
            got: Vec::new(),
        })
        .collect();
    for stream in &mut streams {
        stream.feed(&mut transport, &mut random);
    }
    drive(&mut transport, |transport, event| {
        let Event::Bytes(socket, bytes) = event else {
            panic!("{event:?}")
        };
        let stream = streams.iter_mut().find(|stream| stream.socket == socket);
        stream.unwrap().got.extend_from_slice(&bytes);
        for stream in &mut streams {
            stream.feed(transport, &mut random);
        }
        streams.iter().all(|stream| stream.got.len() >= len)
    });
    for stream in streams {
        assert!(
            stream.got == stream.want,
            "{} of {len} bytes",
            stream.got.len()
        );
    }
}

fn ten_megabytes_come_back_exact<T: Made>() {
    everything_comes_back::<T>(1, 10 << 20, 4_096);
}

fn many_streams_do_not_mix<T: Made>() {
    everything_comes_back::<T>(40, 100_000, 10_000);
}

fn every_message_of_a_burst_leaves_without_a_poll_between<T: Made>() {
    let (listener, address) = crate::support::listener();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut message = [0; 200];
        while stream.read_exact(&mut message).is_ok() && tell.send(message[0]).is_ok() {}
    });
    let mut transport = T::made();
    let socket = connect(&mut transport, address);
    for number in 0..50 {
        transport.send(socket, &[number; 200]).unwrap();
        let got = told.recv_timeout(Duration::from_secs(10));
        assert_eq!(got, Ok(number), "it waits for the next poll");
    }
}

both!(
    ten_megabytes_come_back_exact,
    many_streams_do_not_mix,
    every_message_of_a_burst_leaves_without_a_poll_between,
);
