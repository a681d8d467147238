//! A receive sends no acknowledgement: an order takes it along, or it leaves in the next quiet turn.

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

fn a_receive_sends_no_acknowledgement_and_a_quiet_turn_does<T: Made>() {
    let mut transport = T::made();
    let (socket, mut peer) = connect_pair(&mut transport);
    peer.set_nodelay(true).unwrap();
    // Acknowledgements in the receive, and in the turn after it.
    let mut hear = |peer: &mut TcpStream| {
        let before = segments_in(peer);
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
        let received = segments_in(peer);
        transport.poll(clock::unix_now());
        (received - before, segments_in(peer) - received)
    };
    hear(&mut peer);
    // The timer has run: the kernel acknowledges at once again until it is asked not to.
    std::thread::sleep(QUIET);
    hear(&mut peer);
    let (mut within, mut after) = (0, 0);
    for _ in 0..MESSAGES {
        let (one, other) = hear(&mut peer);
        (within, after) = (within + one, after + other);
    }
    // Now and then the kernel's own timer is quicker.
    assert!(
        within < MESSAGES / 10,
        "{within} of {MESSAGES} in the receive"
    );
    assert!(
        after > MESSAGES * 9 / 10,
        "{after} of {MESSAGES} in the turn after it"
    );
}

both!(a_receive_sends_no_acknowledgement_and_a_quiet_turn_does);
