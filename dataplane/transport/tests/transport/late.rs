//! Acknowledgements wait for an order to take them along, or for a second segment: a receive sends none.

use crate::support::{Made, connect_pair};
use dp_transport::{Ready, clock};
use std::io::Write as _;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

const MESSAGES: u32 = 300;
/// Longer than the kernel holds an acknowledgement back (40 ms), after which it sends them at once.
const QUIET: Duration = Duration::from_millis(100);

/// Segments that have come to this socket (TCP_INFO, tcp(7)).
fn segments_in(stream: &TcpStream) -> u32 {
    // SAFETY: integers alone, for which all zeros is a value.
    let mut info: libc::tcp_info = unsafe { core::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    let to = core::ptr::from_mut(&mut info).cast();
    // SAFETY: `to` is `len` writable bytes and both outlive the call.
    let answer = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            to,
            &raw mut len,
        )
    };
    assert_eq!(answer, 0);
    info.tcpi_segs_in
}

fn a_receive_sends_no_acknowledgement_of_its_own<T: Made>() {
    let mut transport = T::made();
    let (socket, mut peer) = connect_pair(&mut transport);
    peer.set_nodelay(true).unwrap();
    let mut hear = |peer: &mut TcpStream| {
        peer.write_all(&[7; 700]).unwrap();
        let (begin, mut heard) = (Instant::now(), 0);
        while heard < 700 {
            assert!(begin.elapsed() < Duration::from_secs(10), "{heard} bytes");
            transport.poll(clock::unix_now());
            while let Some(ready) = transport.next() {
                let Ready::Bytes(of, chunk) = ready else {
                    panic!("{ready:?}")
                };
                assert_eq!(of, socket);
                heard += transport.bytes(&chunk).len();
                transport.release(chunk);
            }
        }
        // Turns in which nothing comes: what is asked of the kernel from time to time is asked in them.
        transport.poll(clock::unix_now());
    };
    hear(&mut peer);
    // The timer has run: the kernel acknowledges at once again until it is asked not to.
    std::thread::sleep(QUIET);
    hear(&mut peer);
    let before = segments_in(&peer);
    for _ in 0..MESSAGES {
        hear(&mut peer);
    }
    let acks = segments_in(&peer) - before;
    assert!(acks < MESSAGES * 3 / 4, "{acks} for {MESSAGES} messages");
}

both!(a_receive_sends_no_acknowledgement_of_its_own);
