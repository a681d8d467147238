//! One rule of an RFC each, with segments made by hand.

use crate::net::{MS, SECOND};
use crate::peer::{OURS, Peer, THEIRS, offset, opening};
use dp_tcp::wire::tcp::{Flags, Options, TcpHeader};
use dp_tcp::{Config, Connection, End, Events, Seq, State};

const MSS: usize = 1_448;

fn open() -> Peer {
    Peer::open(Config::default())
}

fn without_keepalive() -> Config {
    Config {
        keepalive_idle_ns: 0,
        ..Config::default()
    }
}

// ---- Opening ----

#[test]
fn a_syn_offers_what_is_configured() {
    let mut peer = Peer::connecting(Config::default());
    let sent = peer.sent();
    let (syn, payload) = &sent[0];
    assert_eq!((sent.len(), payload.len()), (1, 0));
    assert_eq!((syn.flags, syn.seq), (Flags::SYN, OURS));
    assert_eq!(
        (syn.options.mss, syn.options.window_scale),
        (Some(1_460), Some(3))
    );
    assert!(syn.options.is_sack_permitted && syn.options.timestamps.is_some());
    // Never scaled (RFC 7323, 2.2).
    assert_eq!(syn.window, u16::MAX);
    let mut plain = Peer::connecting(Config {
        sack: false,
        timestamps: false,
        window_scaling: false,
        ..Config::default()
    });
    let mut mss_only = Options::default();
    mss_only.mss = Some(1_460);
    assert_eq!(plain.sent()[0].0.options, mss_only);
}

#[test]
fn an_unanswered_syn_is_repeated_ever_later_and_given_up() {
    let mut peer = Peer::connecting(Config::default());
    peer.sent();
    let mut waits = Vec::new();
    while peer.conn.state() == State::SynSent {
        let (waited, sent) = peer.wait();
        waits.push(waited / MS);
        assert!(sent.iter().all(|(header, _)| header.flags == Flags::SYN));
    }
    assert_eq!(waits[..3], [1_000, 2_000, 2_000]);
    assert_eq!(waits.iter().sum::<u64>(), 15_000);
    assert_eq!(peer.conn.end(), Some(End::TimedOut));
    assert_eq!(peer.conn.next_deadline(), None);
}

#[test]
fn only_a_reset_that_acknowledges_the_syn_refuses_it() {
    let mut peer = Peer::connecting(Config::default());
    peer.sent();
    peer.flags_at(Flags::RST, 0);
    peer.ack = OURS.plus(2);
    peer.flags_at(Flags::RST.with(Flags::ACK), 0);
    assert_eq!(peer.conn.state(), State::SynSent);
    peer.ack = OURS.plus(1);
    peer.flags_at(Flags::RST.with(Flags::ACK), 0);
    assert_eq!(peer.conn.end(), Some(End::Refused));
}

#[test]
fn a_syn_ack_of_something_else_is_reset() {
    let mut peer = Peer::connecting(Config::default());
    peer.sent();
    peer.ack = OURS.plus(9);
    peer.flags_at(Flags::SYN.with(Flags::ACK), 0);
    let sent = peer.sent();
    assert_eq!((sent[0].0.flags, sent[0].0.seq), (Flags::RST, OURS.plus(9)));
    assert_eq!(peer.conn.state(), State::SynSent);
}

#[test]
fn crossing_syns_open_one_connection() {
    let mut deaf = Peer::connecting(Config::default());
    deaf.sent();
    deaf.flags_at(Flags::SYN, 0);
    assert_eq!(deaf.conn.state(), State::SynSent, "only when asked for");
    let mut peer = Peer::connecting(Config {
        simultaneous_open: true,
        ..Config::default()
    });
    peer.sent();
    let mut options = peer.options();
    options.mss = Some(1_460);
    peer.feed(peer.header(Flags::SYN, options), &[]);
    assert_eq!(peer.conn.state(), State::SynReceived);
    let sent = peer.sent();
    assert_eq!(sent[0].0.flags, Flags::SYN.with(Flags::ACK));
    assert_eq!((sent[0].0.seq, sent[0].0.ack), (OURS, THEIRS.plus(1)));
    peer.flags_at(Flags::SYN.with(Flags::ACK), 0);
    assert_eq!(peer.conn.state(), State::Established);
}

#[test]
fn a_repeated_syn_gets_the_same_answer() {
    let mut syn = Peer::connecting(Config::default());
    let mut conn = Connection::new(&Config::default());
    let header = TcpHeader {
        seq: THEIRS,
        flags: Flags::SYN,
        window: 1_000,
        ..TcpHeader::default()
    };
    conn.accept(opening(), &header, 0);
    syn.conn = conn;
    let first = syn.sent();
    assert_eq!(first[0].0.flags, Flags::SYN.with(Flags::ACK));
    syn.conn.on_segment(syn.now, &header, &[]);
    let again = syn.sent();
    assert_eq!(again[0].0.seq, first[0].0.seq);
    assert_eq!(again[0].0.ack, first[0].0.ack);
    // An ACK of something else is reset (RFC 9293, 3.10.7.4).
    syn.stamp = None;
    syn.seq = THEIRS.plus(1);
    syn.ack = OURS.plus(7);
    syn.flags_at(Flags::ACK, 0);
    assert_eq!(syn.sent()[0].0.flags, Flags::RST);
}

// ---- RFC 5961 ----

#[test]
fn only_the_exact_number_resets() {
    let mut peer = open();
    peer.flags_at(Flags::RST, 70_000_000);
    peer.flags_at(Flags::RST, -1);
    assert_eq!(peer.sent().len(), 0);
    peer.flags_at(Flags::RST, 1);
    let sent = peer.sent();
    assert_eq!(sent[0].0.flags, Flags::ACK);
    assert_eq!(peer.conn.counters().challenge_acks, 1);
    assert_eq!(peer.conn.state(), State::Established);
    peer.flags_at(Flags::RST, 0);
    assert_eq!(peer.conn.end(), Some(End::Reset));
}

#[test]
fn a_syn_inside_a_connection_is_asked_about() {
    let mut peer = open();
    peer.flags_at(Flags::SYN, 0);
    assert_eq!(peer.sent()[0].0.flags, Flags::ACK);
    peer.after(SECOND);
    peer.flags_at(Flags::SYN, -5_000);
    assert_eq!(peer.sent()[0].0.flags, Flags::ACK);
    assert_eq!(peer.conn.counters().challenge_acks, 2);
    assert_eq!(peer.conn.state(), State::Established);
}

#[test]
fn acknowledging_the_unsent_or_the_ancient_changes_nothing() {
    let mut peer = open();
    peer.write(100);
    for count in [101, 1 << 20, 1 << 31, u32::MAX - 70_000] {
        peer.after(SECOND / 100);
        peer.acks(count, &[]);
        assert_eq!(peer.conn.unacked(), 100, "{count}");
    }
    assert_eq!(peer.conn.counters().challenge_acks, 4);
}

#[test]
fn challenges_are_rationed() {
    let mut peer = open();
    let before = peer.conn.counters().segments_out;
    for _ in 0..10_000 {
        peer.now += 1_000;
        peer.flags_at(Flags::RST, 1);
        peer.sent();
    }
    // 10 ms of flood, one answer in 10 ms.
    assert!(peer.conn.counters().segments_out - before <= 2);
}

// ---- RFC 7323 ----

#[test]
fn old_timestamps_are_dropped_and_answered() {
    let mut peer = open();
    peer.stamp = Some(600);
    assert_eq!(peer.data_at(peer.seq, b"new"), b"new");
    peer.sent();
    peer.stamp = Some(599);
    assert_eq!(peer.data_at(peer.seq.plus(3), b"old"), b"");
    assert_eq!(peer.sent().len(), 1);
    assert_eq!(peer.conn.counters().paws_drops, 1);
    // A reset is not judged by its timestamp.
    peer.flags_at(Flags::RST, 3);
    assert_eq!(peer.conn.end(), Some(End::Reset));
}

#[test]
fn timestamps_compare_across_their_wrap_and_die_of_age() {
    let mut peer = open();
    peer.stamp = Some(500 + (1 << 31) - 1);
    assert_eq!(peer.data_at(peer.seq, b"a"), b"a");
    peer.sent();
    peer.stamp = Some(500u32.wrapping_sub(1));
    assert_eq!(peer.data_at(peer.seq.plus(1), b"b"), b"");
    // After 24 days of silence a timestamp guards nothing (RFC 7323, 5.5).
    peer.now += 25 * 24 * 3_600 * SECOND;
    assert_eq!(peer.data_at(peer.seq.plus(1), b"b"), b"b");
}

#[test]
fn segments_without_the_timestamps_agreed_on_are_dropped() {
    let mut peer = open();
    peer.stamp = None;
    assert_eq!(peer.data_at(peer.seq, b"bare"), b"");
    assert_eq!(peer.conn.counters().unstamped_drops, 1);
}

// ---- Receiving ----

#[test]
fn what_is_next_is_handed_out_in_place_and_what_is_early_waits() {
    let mut peer = open();
    let first = peer.seq;
    assert_eq!(peer.data_at(first.plus(3), b"def"), b"");
    assert_eq!(peer.data_at(first.plus(9), b"jkl"), b"");
    assert_eq!(peer.conn.readable(), b"");
    assert_eq!(peer.data_at(first, b"abc"), b"abc");
    assert_eq!(peer.conn.readable(), b"def");
    // Before the waiting octets are read, nothing is handed out past them.
    assert_eq!(peer.data_at(first.plus(6), b"ghi"), b"");
    assert_eq!(peer.read(), b"defghijkl");
    assert_eq!(peer.data_at(first.plus(12), b"mno"), b"mno");
    assert!(peer.conn.take_events().has(Events::READABLE));
}

#[test]
fn of_two_contents_for_one_octet_the_first_wins() {
    let mut peer = open();
    let first = peer.seq;
    peer.data_at(first.plus(2), b"CD");
    peer.data_at(first.plus(1), b"xxxx");
    // In place up to the octets already held, then those, then the rest of this segment.
    assert_eq!(peer.data_at(first, b"abcdefg"), b"a");
    assert_eq!(peer.read(), b"xCDxfg");
    // A repetition with other content is no news either.
    assert_eq!(peer.data_at(first.plus(5), b"??h"), b"h");
}

#[test]
fn sack_blocks_tell_the_latest_first_and_a_duplicate_before_all() {
    let mut peer = open();
    let first = peer.seq;
    let told = |sent: &[(TcpHeader, Vec<u8>)]| -> Vec<(u32, u32)> {
        let blocks = sent[0].0.options.sack().iter();
        blocks
            .map(|b| (b.0.since(first), b.1.since(first)))
            .collect()
    };
    for at in [100, 300, 200] {
        peer.data_at(first.plus(at), &[1; 50]);
        peer.sent();
    }
    peer.data_at(first.plus(400), &[1; 50]);
    // Three fit beside timestamps.
    assert_eq!(told(&peer.sent()), [(400, 450), (200, 250), (300, 350)]);
    peer.data_at(first.plus(310), &[1; 10]);
    assert_eq!(told(&peer.sent())[..2], [(310, 320), (300, 350)]);
    peer.data_at(first, &[1; 100]);
    peer.sent();
    peer.data_at(first, &[1; 60]);
    assert_eq!(told(&peer.sent())[0], (0, 60));
}

#[test]
fn the_window_closes_as_octets_are_held_and_opens_as_they_are_read() {
    let mut peer = Peer::open(Config {
        receive_buffer: 8_192,
        ..without_keepalive()
    });
    peer.conn.hold(true);
    let mut at = peer.seq;
    for len in [1_400usize; 6] {
        let room = 8_192 - at.since(peer.seq) as usize;
        peer.data_at(at, &vec![7; len.min(room)]);
        at = at.plus(len.min(room) as u32);
    }
    let sent = peer.sent();
    assert_eq!((sent[0].0.window, sent[0].0.ack), (0, at));
    assert_eq!(peer.conn.readable_len(), 8_192);
    // Beyond the window: answered, not kept.
    assert_eq!(peer.data_at(at, b"more"), b"");
    assert_eq!(peer.sent().len(), 1);
    // A little room is not worth telling, a segment's worth is.
    peer.conn.consume(100);
    assert_eq!(peer.sent().len(), 0);
    peer.conn.consume(2_000);
    assert_eq!(peer.sent()[0].0.window, 2_100);
    assert_eq!(peer.data_at(at, b"more"), b"");
    assert_eq!(peer.conn.readable_len(), 8_192 - 2_100 + 4);
}

#[test]
fn one_ack_answers_a_batch_and_rides_on_data() {
    let mut peer = open();
    for i in 0..10 {
        peer.data_at(peer.seq.plus(i * 4), b"data");
    }
    let sent = peer.sent();
    assert_eq!((sent.len(), sent[0].0.ack), (1, peer.seq.plus(40)));
    peer.data_at(peer.seq.plus(40), b"data");
    let sent = peer.write(230);
    assert_eq!((sent.len(), sent[0].1.len()), (1, 230));
    assert_eq!(sent[0].0.ack, peer.seq.plus(44));
}

// ---- Sending ----

#[test]
fn the_third_segment_sacked_behind_a_hole_repairs_it_at_once() {
    let mut peer = open();
    assert_eq!(peer.write(5 * MSS).len(), 5);
    peer.after(MS);
    let seg = MSS as u32;
    peer.acks(0, &[(seg, 2 * seg)]);
    peer.acks(0, &[(seg, 3 * seg)]);
    assert_eq!(peer.sent().len(), 0, "within the reordering window");
    peer.acks(0, &[(seg, 4 * seg)]);
    let sent = peer.sent();
    assert_eq!((sent.len(), offset(&sent[0].0)), (1, 0));
    assert_eq!(peer.conn.counters().rack_losses, 1);
}

#[test]
fn a_lone_overtaking_waits_for_the_reordering_window() {
    let mut peer = open();
    assert_eq!(peer.write(2 * MSS).len(), 2);
    peer.after(MS);
    peer.acks(0, &[(MSS as u32, 2 * MSS as u32)]);
    assert_eq!(peer.sent().len(), 0);
    // A quarter of the shortest round trip (RFC 8985, 6.2).
    let (waited, sent) = peer.wait();
    assert_eq!(waited, MS / 4);
    assert_eq!(offset(&sent[0].0), 0);
}

#[test]
fn a_silent_tail_is_probed_and_then_timed_out_ever_later() {
    let mut peer = open();
    peer.write(230);
    // Two round trips and what a peer may sit on an ACK (RFC 8985, 7.2).
    let (waited, sent) = peer.wait();
    assert_eq!((waited, sent.len()), (3 * MS, 1));
    assert_eq!(peer.conn.counters().tail_loss_probes, 1);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let (waited, sent) = peer.wait();
        assert_eq!((sent.len(), offset(&sent[0].0)), (1, 0));
        waits.push(waited / MS);
    }
    assert_eq!(waits, [5, 10, 20, 40]);
    assert_eq!(peer.conn.counters().timeouts, 4);
}

#[test]
fn a_peer_that_sits_on_its_acks_does_not_stretch_the_round_trip() {
    let mut peer = open();
    for i in 0..50 {
        let (start, end) = (i * 230, (i + 1) * 230);
        let sent = peer.write(230);
        let first_echo = sent[0].0.options.timestamps.unwrap().0;
        let (waited, probe) = peer.wait();
        assert_eq!((waited, probe.len()), (3 * MS, 1), "order {i}");
        peer.now += MS;
        // The probe makes the peer answer: all is there, and was before.
        peer.echo = first_echo;
        peer.acks(end, &[(start, end)]);
    }
    assert_eq!(peer.conn.round_trip_ns(), Some(MS));
    assert_eq!(peer.conn.counters().dsacks_in, 50);
}

#[test]
fn without_an_answer_the_connection_is_given_up_in_time() {
    let mut peer = Peer::open(without_keepalive());
    peer.write(230);
    let begin = peer.now;
    let mut last = Vec::new();
    while peer.conn.end().is_none() {
        last = peer.wait().1;
    }
    assert_eq!(peer.conn.end(), Some(End::TimedOut));
    let took = peer.now - begin;
    assert!((15 * SECOND..18 * SECOND).contains(&took), "{took}");
    assert!(last.iter().any(|(header, _)| header.flags.has(Flags::RST)));
}

#[test]
fn three_duplicates_do_what_sack_would() {
    let mut peer = Peer::connecting(Config {
        sack: false,
        ..Config::default()
    });
    peer.sent();
    peer.now += MS;
    peer.flags_at(Flags::SYN.with(Flags::ACK), 0);
    peer.seq = peer.seq.plus(1);
    peer.sent();
    // No MSS option: 536 less timestamps.
    assert_eq!(peer.write(5 * 524).len(), 5);
    for _ in 0..2 {
        peer.acks(0, &[]);
        assert_eq!(peer.sent().len(), 0);
    }
    peer.acks(0, &[]);
    assert_eq!(offset(&peer.sent()[0].0), 0);
    // A partial ACK: the next hole goes at once (RFC 6582, 3.2).
    peer.acks(524, &[]);
    assert_eq!(offset(&peer.sent()[0].0), 524);
}

#[test]
fn what_the_peer_takes_back_is_sent_again() {
    let mut peer = open();
    peer.write(3 * MSS);
    peer.after(MS);
    let seg = MSS as u32;
    peer.acks(0, &[(0, 3 * seg)]);
    assert_eq!(peer.sent().len(), 0);
    // The head is sacked and never acknowledged: the peer has dropped it (RFC 2018, 8).
    let mut again = Vec::new();
    for _ in 0..6 {
        again.extend(peer.wait().1.iter().map(|(header, _)| offset(header)));
    }
    assert_eq!(peer.conn.counters().reneged, 1);
    assert!(again.contains(&0), "{again:?}");
}

#[test]
fn a_closed_window_is_asked_ever_later_and_kept_while_it_is_answered() {
    let mut peer = Peer::open(without_keepalive());
    peer.window = 0;
    peer.data_at(peer.seq, b"x");
    peer.seq = peer.seq.plus(1);
    peer.sent();
    assert_eq!(peer.write(500).len(), 0);
    let begin = peer.now;
    let mut waits = Vec::new();
    while peer.now - begin < 60 * SECOND {
        let (waited, sent) = peer.wait();
        waits.push(waited / MS);
        // One old octet: any peer must answer it.
        assert_eq!((sent.len(), sent[0].1.len()), (1, 1));
        assert_eq!(sent[0].0.seq, OURS);
        peer.acks(0, &[]);
    }
    assert_eq!(waits[..4], [5, 10, 20, 40]);
    assert!(waits.iter().all(|wait| *wait <= 2_000));
    peer.window = 60_000;
    peer.acks(0, &[]);
    assert_eq!(peer.sent()[0].1.len(), 500);
}

#[test]
fn a_closed_window_nobody_answers_for_is_given_up() {
    let mut peer = Peer::open(without_keepalive());
    peer.window = 0;
    peer.data_at(peer.seq, b"x");
    peer.sent();
    peer.write(500);
    while peer.conn.end().is_none() {
        peer.wait();
    }
    assert_eq!(peer.conn.end(), Some(End::TimedOut));
}

#[test]
fn a_sliver_of_a_window_waits_while_segments_are_out() {
    let mut peer = open();
    peer.window = 2_000;
    peer.acks(0, &[]);
    let sent = peer.write(4 * MSS);
    assert_eq!((sent.len(), sent[0].1.len()), (1, MSS));
    peer.acks(MSS as u32, &[]);
    assert_eq!(peer.sent()[0].1.len(), MSS);
}

#[test]
fn an_order_leaves_at_once_however_small() {
    let mut peer = open();
    for i in 0..5 {
        let sent = peer.write(10);
        assert_eq!((sent.len(), offset(&sent[0].0)), (1, i * 10));
        assert!(sent[0].0.flags.has(Flags::PSH));
    }
}

#[test]
fn a_shrunk_path_cuts_what_is_out_and_a_forged_report_does_nothing() {
    let mut peer = open();
    peer.write(3 * MSS);
    assert!(!peer.conn.on_too_big(peer.now, OURS, 1_000));
    assert!(
        !peer
            .conn
            .on_too_big(peer.now, OURS.plus(1 + 3 * MSS as u32), 1_000)
    );
    assert_eq!(peer.conn.segment_max(), 1_460);
    assert!(peer.conn.on_too_big(peer.now, OURS.plus(1), 1_000));
    let sent = peer.sent();
    assert!(sent.iter().all(|(_, payload)| payload.len() <= 960 - 12));
    assert_eq!(
        sent.iter().map(|(_, payload)| payload.len()).sum::<usize>(),
        3 * MSS
    );
    // Absurdly small: what every host takes, no less.
    assert!(peer.conn.on_too_big(peer.now, OURS.plus(1), 68));
    assert_eq!(peer.conn.segment_max(), 536);
}

#[test]
fn an_old_router_that_names_no_size_steps_down_the_plateaus() {
    let mut peer = open();
    peer.write(100);
    let mut sizes = Vec::new();
    for _ in 0..4 {
        assert!(peer.conn.on_too_big(peer.now, OURS.plus(1), 0));
        sizes.push(peer.conn.segment_max() + 40);
    }
    assert_eq!(sizes, [1_492, 1_006, 576, 576]);
}

#[test]
fn only_the_largest_segment_left_twice_unanswered_tells_of_a_black_hole() {
    for (len, steps) in [
        (MSS, [1_460, 1_460, 1_452, 1_452, 966, 966, 536, 536]),
        (MSS - 1, [1_460; 8]),
        (100, [1_460; 8]),
    ] {
        let mut peer = open();
        peer.write(len);
        let mut sizes = Vec::new();
        while sizes.len() < steps.len() {
            let before = peer.conn.counters().timeouts;
            sizes.push(peer.conn.segment_max());
            while peer.conn.counters().timeouts == before {
                peer.wait();
            }
        }
        assert_eq!(sizes, steps, "{len} octets");
    }
}

// ---- Living and dying ----

#[test]
fn silence_is_asked_about_and_then_given_up() {
    let mut peer = open();
    let (waited, sent) = peer.wait();
    assert_eq!((waited, sent.len()), (10 * SECOND, 1));
    assert_eq!(sent[0].0.seq, OURS);
    peer.acks(0, &[]);
    let (waited, _) = peer.wait();
    assert_eq!(waited, 10 * SECOND);
    for _ in 0..5 {
        assert_eq!(peer.wait().0, SECOND);
    }
    assert_eq!(peer.conn.end(), Some(End::TimedOut));
    assert_eq!(peer.conn.counters().keepalive_probes, 6);
}

#[test]
fn a_question_answers_no_question() {
    let mut peer = open();
    peer.now = peer.conn.next_deadline().unwrap();
    // Both ask at once: the old octet of the peer must get an ACK of its own.
    assert_eq!(peer.data_at(peer.seq.minus(1), &[0]), b"");
    let sent = peer.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[0].0.seq, sent[1].0.seq), (OURS, OURS.plus(1)));
}

#[test]
fn closing_first_ends_in_time_wait_and_answers_a_repeated_fin() {
    let mut peer = open();
    peer.conn.send(b"bye");
    peer.conn.close();
    let sent = peer.sent();
    assert!(sent[0].0.flags.has(Flags::FIN) && sent[0].1 == b"bye");
    assert_eq!(peer.conn.state(), State::FinWait1);
    assert_eq!(peer.conn.send(b"more"), 0);
    peer.acks(4, &[]);
    assert_eq!(peer.conn.state(), State::FinWait2);
    // Half closed: they may go on.
    assert_eq!(peer.data_at(peer.seq, b"late"), b"late");
    peer.seq = peer.seq.plus(4);
    peer.flags_at(Flags::FIN.with(Flags::ACK), 0);
    assert_eq!(peer.conn.state(), State::TimeWait);
    assert_eq!(peer.sent()[0].0.ack, peer.seq.plus(1));
    peer.after(100 * MS);
    peer.flags_at(Flags::FIN.with(Flags::ACK), 0);
    assert_eq!(peer.sent()[0].0.ack, peer.seq.plus(1));
    // A reset does not cut it short (RFC 1337).
    peer.flags_at(Flags::RST, 1);
    assert_eq!(peer.conn.state(), State::TimeWait);
    let (waited, _) = peer.wait();
    assert_eq!(waited, 500 * MS);
    assert_eq!(peer.conn.end(), Some(End::Closed));
}

#[test]
fn closing_second_ends_with_the_last_ack() {
    let mut peer = open();
    peer.flags_at(Flags::FIN.with(Flags::ACK), 0);
    peer.seq = peer.seq.plus(1);
    assert_eq!(peer.conn.state(), State::CloseWait);
    assert!(peer.conn.take_events().has(Events::PEER_CLOSED));
    let sent = peer.write(230);
    assert_eq!(sent[0].1.len(), 230);
    peer.conn.close();
    assert!(peer.sent()[0].0.flags.has(Flags::FIN));
    assert_eq!(peer.conn.state(), State::LastAck);
    peer.acks(231, &[]);
    assert_eq!(peer.conn.end(), Some(End::Closed));
    assert_eq!(peer.conn.next_deadline(), None);
}

#[test]
fn crossing_fins_end_in_time_wait() {
    let mut peer = open();
    peer.conn.close();
    peer.sent();
    peer.flags_at(Flags::FIN.with(Flags::ACK), 0);
    peer.seq = peer.seq.plus(1);
    assert_eq!(peer.conn.state(), State::Closing);
    peer.acks(1, &[]);
    assert_eq!(peer.conn.state(), State::TimeWait);
}

#[test]
fn a_fin_before_its_turn_waits_for_the_data() {
    let mut peer = open();
    let first = peer.seq;
    let mut header = peer.header(Flags::FIN.with(Flags::ACK), peer.options());
    header.seq = first.plus(3);
    peer.feed(header, b"def");
    assert_eq!(peer.conn.state(), State::Established);
    assert_eq!(peer.data_at(first, b"abc"), b"abc");
    assert_eq!(peer.conn.state(), State::CloseWait);
    assert_eq!(peer.read(), b"def");
    assert_eq!(peer.sent()[0].0.ack, first.plus(7));
}

#[test]
fn aborting_sends_one_reset_with_the_exact_number() {
    let mut peer = open();
    peer.write(100);
    peer.conn.abort();
    let sent = peer.sent();
    assert_eq!((sent.len(), offset(&sent[0].0)), (1, 100));
    assert!(sent[0].0.flags.has(Flags::RST));
    assert_eq!(peer.conn.end(), Some(End::Aborted));
    assert_eq!(peer.conn.next_deadline(), None);
}

#[test]
fn time_that_runs_backwards_stands_still() {
    let mut peer = open();
    peer.write(230);
    let due = peer.conn.next_deadline().unwrap();
    peer.now -= SECOND;
    assert_eq!(peer.sent().len(), 0);
    peer.acks(230, &[]);
    assert_eq!(peer.conn.unacked(), 0);
    peer.now = due;
    assert_eq!(peer.write(230).len(), 1);
}

#[test]
fn a_small_frame_is_not_written_past_its_end() {
    let mut peer = open();
    peer.conn.send(&[1; 5_000]);
    for len in 0..1_480 {
        let now = peer.now;
        assert_eq!(peer.conn.poll_transmit(now, &mut vec![0; len]), None);
    }
    assert_eq!(peer.sent().len(), 4);
}

#[test]
fn a_connection_can_be_used_again() {
    let mut peer = open();
    peer.write(100);
    peer.data_at(peer.seq.plus(50), b"early");
    peer.conn.abort();
    peer.sent();
    let stale = Seq(12_345);
    let again = dp_tcp::Opening {
        initial_seq: stale,
        ..opening()
    };
    peer.conn.connect(again, peer.now);
    let sent = peer.sent();
    assert_eq!((sent[0].0.flags, sent[0].0.seq), (Flags::SYN, stale));
    assert_eq!((peer.conn.unacked(), peer.conn.readable_len()), (0, 0));
    assert_eq!(peer.conn.counters().segments_out, 1);
}
