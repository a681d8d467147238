//! Frames through the rings: whole, in order, in place; running out is back-pressure.

use super::support::*;
use crate::alloc_touches;
use dp_transport::clock;
use dp_transport::xdp::{BusyPoll, Frame, FrameIo as _, XdpMode, XskOptions};
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tests_net::{Veth, skip};

fn venue() -> SocketAddrV4 {
    flow().venue
}

fn ours(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Veth::OURS, port)
}

/// A frame of the flow towards us, told apart by `payload`.
fn towards_us(payload: &[u8]) -> Vec<u8> {
    let segment = Segment {
        from: venue(),
        to: ours(PORTS.first),
        flags: ACK,
        payload,
    };
    segment.frame([2; 6])
}

/// Sends a received frame's bytes back with the two ends swapped, all in place.
fn turn_round(end: &mut End, frame: Frame) {
    let out = end.xsk.reserve().expect("a frame to answer with");
    let bytes = end.xsk.bytes(&frame);
    bytes[0..12].rotate_left(6);
    bytes[26..34].rotate_left(4);
    bytes[34..38].rotate_left(2);
    let len = bytes.len();
    let mut copy = [0; 1792];
    copy[..len].copy_from_slice(bytes);
    end.xsk.bytes(&out)[..len].copy_from_slice(&copy[..len]);
    end.xsk.release(frame);
    end.xsk.submit(out, len);
}

#[test]
fn frames_are_echoed_whole_and_in_order() {
    for mode in MODES {
        with_ends(mode, |_, mut us, mut venue| {
            let payload = |n: u32| vec![n as u8; 1 + (n as usize * 37) % 1_400];
            let (mut sent, mut got) = (0u32, 0u32);
            until("echo", || {
                while sent < 500 && sent - got < 32 && venue.send(&towards_us(&payload(sent))) {
                    sent += 1;
                }
                us.xsk.poll(clock::unix_now());
                while let Some(frame) = us.xsk.next() {
                    turn_round(&mut us, frame);
                }
                us.xsk.kick();
                for frame in venue.take() {
                    assert_eq!(frame[54..], payload(got), "{mode}: frame {got}");
                    got += 1;
                }
                got == 500
            });
            // Each sent frame comes back to be used again; the kernel told of nothing wrong.
            until("completions", || {
                us.take();
                us.xsk.counters().tx_done == 500
            });
            let counters = us.xsk.counters();
            assert_eq!(
                (counters.rx_frames, counters.tx_frames),
                (500, 500),
                "{mode}"
            );
            assert_eq!(
                (counters.bad_descriptors, counters.kicks_refused),
                (0, 0),
                "{mode}"
            );
            let statistics = us.xsk.statistics().unwrap();
            assert_eq!(
                statistics.rx_ring_full + statistics.invalid_descriptors,
                0,
                "{mode}"
            );
            assert_eq!(us.steering.counters(flow()).unwrap().steered, 500, "{mode}");
        });
    }
}

#[test]
fn holding_every_frame_is_back_pressure_and_loses_none_that_is_held() {
    for mode in MODES {
        with_ends(mode, |_, mut us, mut venue| {
            let mut held: Vec<Frame> = Vec::new();
            let mut sent = 0u8;
            // 64 fit; the rest finds no frame to be written into.
            while sent < 80 {
                assert!(venue.send(&towards_us(&[sent; 100])), "{mode}");
                sent += 1;
                until("sent", || {
                    venue.take();
                    venue.xsk.counters().tx_done == u64::from(sent)
                });
            }
            until("64 frames", || {
                us.xsk.poll(clock::unix_now());
                held.extend(core::iter::from_fn(|| us.xsk.next()));
                held.len() == 64
            });
            // All frames are held, and still one can be sent.
            assert!(us.send(&towards_us(b"out")), "{mode}");
            let statistics = us.xsk.statistics().unwrap();
            let lost = statistics.rx_dropped + statistics.rx_fill_ring_empty;
            assert!(lost >= 16, "{mode}: {statistics:?}");
            for (n, frame) in held.iter().enumerate() {
                assert_eq!(us.xsk.bytes(frame)[54..], [n as u8; 100], "{mode}");
            }
            // Given back out of order, they receive again.
            while !held.is_empty() {
                us.xsk.release(held.swap_remove(held.len() / 3));
            }
            us.take();
            for n in 100..164u8 {
                assert!(venue.send(&towards_us(&[n; 100])), "{mode}");
                venue.take();
            }
            let again = us.take_exactly(64);
            assert!(
                (100..164)
                    .zip(again)
                    .all(|(n, frame)| frame[54..] == [n; 100]),
                "{mode}"
            );
        });
    }
}

#[test]
fn what_does_not_fit_is_not_sent() {
    with_ends(MODES[1], |_, mut us, mut venue| {
        let max = us.xsk.frame_bytes_max();
        assert_eq!(max, 2048 - 256);
        let frame = us.xsk.reserve().unwrap();
        assert_eq!(us.xsk.bytes(&frame).len(), max);
        us.xsk.submit(frame, 0);
        // A received frame cannot be submitted: it is released.
        assert!(venue.send(&towards_us(b"x")));
        let mut got = None;
        until("a frame", || {
            us.xsk.poll(clock::unix_now());
            got = got.take().or_else(|| us.xsk.next());
            got.is_some()
        });
        us.xsk.submit(got.unwrap(), 60);
        assert_eq!(us.xsk.counters().tx_frames, 0);
        let all: Vec<Frame> = core::iter::from_fn(|| us.xsk.reserve()).collect();
        assert_eq!((all.len(), us.xsk.counters().tx_full), (64, 1));
        for frame in all {
            us.xsk.release(frame);
        }
        assert!(us.send(&towards_us(b"y")));
    });
}

#[test]
fn a_turn_allocates_nothing() {
    with_ends(MODES[1], |_, mut us, mut venue| {
        let wire = towards_us(&[7; 200]);
        let mut round_trip = || {
            assert!(venue.send(&wire));
            let mut is_back = false;
            while !is_back {
                us.xsk.poll(clock::unix_now());
                while let Some(frame) = us.xsk.next() {
                    turn_round(&mut us, frame);
                }
                us.xsk.kick();
                venue.xsk.poll(clock::unix_now());
                while let Some(frame) = venue.xsk.next() {
                    venue.xsk.release(frame);
                    is_back = true;
                }
            }
        };
        round_trip();
        assert_eq!(alloc_touches(|| (0..200).for_each(|_| round_trip())), 0);
    });
}

#[test]
fn parking_ends_with_a_frame_or_with_the_time() {
    with_ends(MODES[1], |_, mut us, mut venue| {
        let start = std::time::Instant::now();
        us.xsk.park(20_000_000);
        assert!(start.elapsed().as_millis() >= 20);
        assert!(venue.send(&towards_us(b"wake")));
        let start = std::time::Instant::now();
        us.xsk.park(19_000_000_000);
        assert!(start.elapsed().as_secs() < 19);
        assert_eq!(us.xsk.poll(clock::unix_now()), 1);
    });
}

/// The kernel shows a received frame before it shows that it took the frame's place from the fill ring
/// (`xsk_flush`, net/xdp/xsk.c). Who gives the frame back in between must find room.
#[test]
fn a_frame_given_back_at_once_finds_room() {
    for mode in MODES {
        let Some(veth) = Veth::or_skip("xdp") else {
            return;
        };
        let few = XskOptions {
            rx_frames: 4,
            tx_frames: 16,
            ..small()
        };
        const FRAMES: u64 = 2_000;
        let (is_open, received) = (AtomicBool::new(false), AtomicU64::new(0));
        let receive = || {
            let mut us = match End::open(PORTS, mode, &few) {
                Ok(end) => end,
                Err(fault) => {
                    received.store(FRAMES, Ordering::Relaxed);
                    is_open.store(true, Ordering::Release);
                    return skip("xdp", &fault.to_string());
                }
            };
            us.steering.add(flow()).unwrap();
            is_open.store(true, Ordering::Release);
            let start = std::time::Instant::now();
            while us.xsk.counters().rx_frames < FRAMES {
                // Straight back, so that the window is hit; the sender waits for each frame.
                us.xsk.poll(clock::unix_now());
                while let Some(frame) = us.xsk.next() {
                    us.xsk.release(frame);
                }
                received.store(us.xsk.counters().rx_frames, Ordering::Relaxed);
                assert!(
                    start.elapsed().as_secs() < 60,
                    "{mode}: {:?}",
                    us.xsk.counters()
                );
            }
            let counters = us.xsk.counters();
            assert_eq!(
                (counters.ring_full, counters.bad_descriptors),
                (0, 0),
                "{mode}"
            );
        };
        std::thread::scope(|scope| {
            let us = scope.spawn(|| veth.ours.run(receive));
            until("the receiver", || is_open.load(Ordering::Acquire));
            veth.theirs.run(|| {
                let mut venue = End::venue(mode, []).unwrap();
                let mut sent = 0;
                while received.load(Ordering::Relaxed) < FRAMES && !us.is_finished() {
                    let is_behind = sent >= received.load(Ordering::Relaxed) + 3;
                    if is_behind || !venue.send(&towards_us(b"quick")) {
                        std::hint::spin_loop();
                        venue.xsk.poll(clock::unix_now());
                    } else {
                        sent += 1;
                    }
                }
            });
            us.join().unwrap();
        });
    }
}

/// A socket that polls its queue: the kernel takes the options, each look that finds nothing is a call it does
/// not refuse, and the frames come whole. Whose queue is polled a veth does not show: it tells AF_XDP no number.
#[test]
fn a_polled_queue_brings_its_frames() {
    let polled = XskOptions {
        busy_poll: Some(BusyPoll::default()),
        ..small()
    };
    with_ends_open(XdpMode::CopyNative, &polled, |_, mut us, mut venue| {
        assert!(us.xsk.is_busy_polling());
        let before = us.xsk.counters();
        for _ in 0..10 {
            assert_eq!(us.xsk.poll(clock::unix_now()), 0);
        }
        let after = us.xsk.counters();
        assert_eq!(after.kicks, before.kicks + 10, "{after:?}");
        let sent: Vec<_> = (0..50u8).map(|at| towards_us(&[at; 40])).collect();
        let mut got = Vec::new();
        for frame in &sent {
            until("room", || venue.send(frame));
            got.extend(us.take());
        }
        let left = sent.len() - got.len();
        got.extend(us.take_exactly(left));
        assert_eq!(got, sent);
        assert_eq!(us.xsk.counters().kicks_refused, 0);
    });
}
