//! FIX sessions against each other in virtual time: every rule of the state matrix that we live by.
#![allow(missing_docs)]

use dp_proto::fix::{FixConfig, FixEvent, FixFault, FixSession, Numbers, Resend, Role};
use dp_types::UnixNanos;
use dp_wire::fix::{Frame, Writer, frame};
use proptest::prelude::*;

const SECOND_NS: u64 = 1_000_000_000;
const START: UnixNanos = UnixNanos(1_700_000_000 * SECOND_NS);

fn config(role: Role) -> FixConfig {
    let (sender, target) = match role {
        Role::Initiator => ("US", "VENUE"),
        Role::Acceptor => ("VENUE", "US"),
    };
    FixConfig {
        role,
        version: "FIX.4.4".into(),
        appl_version: None,
        sender: sender.into(),
        target: target.into(),
        heartbeat_s: 30,
        resets: false,
        clock_skew_s: 120,
        resend: match role {
            Role::Initiator => Resend::GapFill,
            Role::Acceptor => Resend::Replay,
        },
        logon_fields: None,
    }
}

/// One end: its session, what it has to send, and what it was told.
struct End {
    session: FixSession,
    out: Vec<u8>,
    told: Vec<String>,
    fault: Option<FixFault>,
}

impl End {
    fn new(role: Role, numbers: Numbers) -> Self {
        Self::of(config(role), numbers)
    }

    fn of(config: FixConfig, numbers: Numbers) -> Self {
        Self {
            session: FixSession::new(config, numbers),
            out: Vec::new(),
            told: Vec::new(),
            fault: None,
        }
    }

    fn hear(&mut self, bytes: &[u8], now: UnixNanos) {
        if self.fault.is_some() {
            return;
        }
        self.session.feed(bytes).expect("room");
        loop {
            let told = match self.session.next(now, &mut self.out) {
                Ok(None) => return,
                Ok(Some(FixEvent::App(message))) => {
                    let text = message.text(58).expect("a text");
                    let again = if message.flag(43) { " again" } else { "" };
                    format!("{text}{again}")
                }
                Ok(Some(FixEvent::Rejected(message))) => {
                    format!("Rejected {:?}", message.text(58))
                }
                Ok(Some(event)) => format!("{event:?}"),
                Err(fault) => {
                    self.fault = Some(fault);
                    return;
                }
            };
            self.told.push(told);
        }
    }

    fn say(&mut self, text: &str, now: UnixNanos) {
        let sent = self.session.send(b"B", now, &mut self.out, |fields| {
            fields.text(58, text);
        });
        assert!(sent.is_some());
    }

    fn tick(&mut self, now: UnixNanos) {
        if self.fault.is_none() {
            self.fault = self.session.on_deadline(now, &mut self.out).err();
        }
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

/// Carries bytes until both are quiet.
fn settle(a: &mut End, b: &mut End, now: UnixNanos) {
    for _ in 0..100 {
        let (to_b, to_a) = (std::mem::take(&mut a.out), std::mem::take(&mut b.out));
        if to_a.is_empty() && to_b.is_empty() {
            return;
        }
        b.hear(&to_b, now);
        a.hear(&to_a, now);
    }
    panic!("they never stop");
}

fn logged_on(us: Numbers, venue: Numbers) -> (End, End) {
    let (mut us, mut venue) = (
        End::new(Role::Initiator, us),
        End::new(Role::Acceptor, venue),
    );
    us.session.start(START, &mut us.out);
    venue.session.start(START, &mut venue.out);
    settle(&mut us, &mut venue, START);
    (us, venue)
}

fn numbers(next_in: u64, next_out: u64) -> Numbers {
    Numbers { next_in, next_out }
}

/// Every message in some bytes, as text with `|`.
fn messages(bytes: &[u8]) -> Vec<String> {
    let (mut at, mut texts) = (0, Vec::new());
    while let Frame::Message(message, used) = frame(&bytes[at..]) {
        texts.push(String::from_utf8_lossy(message.bytes).replace('\u{1}', "|"));
        at += used;
    }
    assert_eq!(at, bytes.len());
    texts
}

#[test]
fn a_day_in_good_order() {
    let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
    assert_eq!(
        (us.told(), venue.told()),
        (vec!["LoggedOn".into()], vec!["LoggedOn".into()])
    );
    us.say("order", START);
    venue.say("report", START);
    settle(&mut us, &mut venue, START);
    assert_eq!(
        (us.told(), venue.told()),
        (vec!["report".into()], vec!["order".into()])
    );
    let mut now = START;
    let end = START.after(3_600 * SECOND_NS);
    while now < end {
        now = us
            .session
            .next_deadline()
            .unwrap()
            .min(venue.session.next_deadline().unwrap());
        us.tick(now);
        venue.tick(now);
        settle(&mut us, &mut venue, now);
        assert_eq!((&us.fault, &venue.fault), (&None, &None));
    }
    // A heartbeat each every 30 s, and no test request: nobody was silent.
    assert_eq!(us.session.numbers().next_out, 1 + 2 + 120);
    us.session.log_out("done", end, &mut us.out);
    settle(&mut us, &mut venue, end);
    assert_eq!(
        (us.told(), venue.told()),
        (vec!["LoggedOut".into()], vec!["LoggedOut".into()])
    );
    assert!(!us.session.is_logged_on() && us.session.next_deadline().is_none());
    let kept = us.session.numbers();
    let theirs = venue.session.numbers();
    assert_eq!(
        (kept.next_in, kept.next_out),
        (theirs.next_out, theirs.next_in)
    );
}

#[test]
fn silence_is_tested_once_and_then_the_end() {
    let (mut us, _) = logged_on(Numbers::default(), Numbers::default());
    let at = |s| START.after(s * SECOND_NS);
    us.tick(at(30));
    assert!(messages(&us.out)[0].contains("|35=0|"), "our own heartbeat");
    us.out.clear();
    us.tick(at(36));
    assert!(messages(&us.out)[0].contains("|35=1|"));
    us.out.clear();
    us.tick(at(65));
    assert_eq!(
        (messages(&us.out).len(), &us.fault),
        (0, &None),
        "its time is not up"
    );
    us.tick(at(66));
    assert_eq!(us.fault, Some(FixFault::Silent));
    assert!(messages(&us.out).last().unwrap().contains("|35=5|"));
}

#[test]
fn a_test_request_is_answered_with_its_word() {
    let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
    let now = START.after(36 * SECOND_NS);
    venue.tick(now);
    us.hear(&std::mem::take(&mut venue.out), now);
    let answers = messages(&us.out);
    assert!(
        answers
            .iter()
            .any(|text| text.contains("|35=0|") && text.contains("|112=")),
        "{answers:?}"
    );
    settle(&mut us, &mut venue, now);
    assert_eq!(venue.fault, None);
}

#[test]
fn what_the_venue_said_while_we_were_gone_comes_again_in_order() {
    let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
    venue.say("one", START);
    settle(&mut us, &mut venue, START);
    for text in ["two", "three"] {
        venue.say(text, START);
    }
    venue.out.clear(); // lost on the way
    let (mut again, at) = (
        End::new(Role::Initiator, us.session.numbers()),
        START.after(SECOND_NS),
    );
    again.session.start(at, &mut again.out);
    venue.session.start(at, &mut venue.out);
    venue.told();
    settle(&mut again, &mut venue, at);
    assert_eq!(again.told(), ["LoggedOn", "two again", "three again"]);
    venue.say("four", at);
    settle(&mut again, &mut venue, at);
    assert_eq!(again.told(), ["four"]);
}

#[test]
fn an_order_that_was_lost_is_never_sent_again() {
    let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
    us.say("lost order", START);
    us.out.clear();
    us.say("next order", START);
    venue.hear(&std::mem::take(&mut us.out), START);
    assert_eq!(venue.told(), ["LoggedOn", "Gap(2)"]);
    us.hear(&std::mem::take(&mut venue.out), START);
    let answer = messages(&us.out);
    assert_eq!(answer.len(), 1);
    for part in ["|35=4|", "|34=2|", "|43=Y|", "|123=Y|", "|36=4|"] {
        assert!(answer[0].contains(part), "{answer:?}");
    }
    settle(&mut us, &mut venue, START);
    us.say("another", START);
    settle(&mut us, &mut venue, START);
    assert_eq!(venue.told(), ["another"], "neither of the two came");
}

#[test]
fn a_gap_that_is_not_filled_is_asked_for_again() {
    let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
    venue.say("lost", START);
    venue.out.clear();
    venue.say("seen", START);
    us.hear(&std::mem::take(&mut venue.out), START);
    assert_eq!(us.told(), ["LoggedOn", "Gap(2)"]);
    us.out.clear(); // the request is lost as well
    let later = START.after(10 * SECOND_NS);
    us.tick(later);
    settle(&mut us, &mut venue, later);
    assert_eq!(us.told(), ["lost again", "seen again"]);
}

#[test]
fn a_number_too_low_ends_it_and_a_possible_duplicate_does_not() {
    let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
    venue.say("one", START);
    let one = venue.out.clone();
    settle(&mut us, &mut venue, START);
    us.told();
    us.hear(&one, START);
    assert_eq!(
        us.fault,
        Some(FixFault::TooLow {
            expected: 3,
            got: 2
        })
    );
    let text = messages(&us.out).pop().unwrap();
    assert!(
        text.contains("|35=5|") && text.contains("2 where 3 was expected"),
        "{text}"
    );

    let (mut us, _) = logged_on(Numbers::default(), Numbers::default());
    us.told();
    let mut twice = Vec::new();
    let mut writer = Writer::<256>::new();
    writer
        .begin(b"B")
        .u64(34, 1)
        .text(49, "VENUE")
        .time(52, START.0)
        .text(56, "US")
        .flag(43, true)
        .text(58, "old");
    assert!(writer.finish("FIX.4.4", &mut twice));
    us.hear(&twice, START);
    assert_eq!((us.told().len(), us.fault), (0, None));
}

#[test]
fn numbers_too_low_at_logon_are_told_to_a_person() {
    let (us, venue) = logged_on(numbers(9, 9), numbers(1, 1));
    assert_eq!(venue.fault, None, "ours are ahead: asked for");
    assert_eq!(
        us.fault,
        Some(FixFault::TooLow {
            expected: 9,
            got: 1
        })
    );
}

#[test]
fn a_session_that_resets_begins_at_one_whatever_was() {
    let mut ours = config(Role::Initiator);
    ours.resets = true;
    let (mut us, mut venue) = (
        End::of(ours, numbers(70, 80)),
        End::new(Role::Acceptor, numbers(5, 6)),
    );
    us.session.start(START, &mut us.out);
    venue.session.start(START, &mut venue.out);
    settle(&mut us, &mut venue, START);
    assert_eq!(
        (us.told(), venue.told()),
        (vec!["LoggedOn".into()], vec!["LoggedOn".into()])
    );
    assert_eq!(
        (us.session.numbers(), venue.session.numbers()),
        (numbers(2, 2), numbers(2, 2))
    );
}

#[test]
fn strangers_are_sent_away() {
    type Change = fn(&mut FixConfig);
    let cases: [(Change, &str); 3] = [
        (|config| config.version = "FIX.4.2".into(), "version"),
        (|config| config.sender = "OTHER".into(), "name"),
        (|config| config.target = "OTHER".into(), "name"),
    ];
    for (change, what) in cases {
        let mut ours = config(Role::Initiator);
        change(&mut ours);
        let (mut us, mut venue) = (
            End::of(ours, Numbers::default()),
            End::new(Role::Acceptor, Numbers::default()),
        );
        us.session.start(START, &mut us.out);
        venue.session.start(START, &mut venue.out);
        settle(&mut us, &mut venue, START);
        assert_eq!(venue.fault, Some(FixFault::Disagreed(what)));
    }
    let (mut us, mut venue) = (
        End::new(Role::Initiator, Numbers::default()),
        End::new(Role::Acceptor, Numbers::default()),
    );
    us.session.start(START, &mut us.out);
    let late = START.after(121 * SECOND_NS);
    venue.session.start(late, &mut venue.out);
    venue.hear(&us.out, late);
    assert_eq!(venue.fault, Some(FixFault::Disagreed("sending time")));
}

#[test]
fn nothing_before_the_logon_and_no_logon_for_ever() {
    let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
    us.say("order", START);
    let mut fresh = End::new(Role::Acceptor, venue.session.numbers());
    fresh.session.start(START, &mut fresh.out);
    fresh.hear(&us.out, START);
    assert!(
        matches!(fresh.fault, Some(FixFault::Refused(_))),
        "{:?}",
        fresh.fault
    );
    venue.session.start(START, &mut venue.out);
    let due = venue.session.next_deadline().unwrap();
    assert_eq!(due, START.after(10 * SECOND_NS));
    venue.tick(due);
    assert_eq!(venue.fault, Some(FixFault::Late("logon")));
}

#[test]
fn the_venues_refusal_is_told_with_its_words() {
    let mut us = End::new(Role::Initiator, Numbers::default());
    us.session.start(START, &mut us.out);
    let mut refusal = Vec::new();
    let mut writer = Writer::<256>::new();
    writer
        .begin(b"5")
        .u64(34, 1)
        .text(49, "VENUE")
        .time(52, START.0)
        .text(56, "US")
        .text(58, "bad key");
    assert!(writer.finish("FIX.4.4", &mut refusal));
    us.hear(&refusal, START);
    assert_eq!(us.fault, Some(FixFault::Refused("bad key".into())));
}

#[test]
fn the_signer_sees_number_and_time_and_adds_its_fields() {
    let mut ours = config(Role::Initiator);
    ours.version = "FIXT.1.1".into();
    ours.appl_version = Some("9".into());
    ours.logon_fields = Some(Box::new(|facts, writer| {
        writer.text(553, "key").data(
            95,
            96,
            format!("{}/{}", facts.seq, facts.time_ns).as_bytes(),
        );
    }));
    let mut us = End::of(ours, numbers(1, 7));
    for _ in 0..2 {
        us.out.clear();
        us.session.start(START, &mut us.out);
        let text = messages(&us.out).pop().unwrap();
        assert!(text.starts_with("8=FIXT.1.1|9="), "{text}");
        assert!(text.contains("|52=20231114-22:13:20.000|"), "{text}");
        assert!(text.contains("|1137=9|553=key|95="), "{text}");
    }
    assert_eq!(
        us.session.numbers().next_out,
        9,
        "each logon has its number"
    );
}

#[test]
fn nothing_is_sent_before_the_logon_or_when_it_does_not_fit() {
    let mut us = End::new(Role::Initiator, Numbers::default());
    assert_eq!(us.session.send(b"D", START, &mut us.out, |_| ()), None);
    let (mut us, _) = logged_on(Numbers::default(), Numbers::default());
    let long = "x".repeat(dp_proto::fix::OUT_MAX);
    let sent = us.session.send(b"D", START, &mut us.out, |fields| {
        fields.text(58, &long);
    });
    assert_eq!(
        (sent, us.out.len(), us.session.numbers().next_out),
        (None, 0, 2)
    );
}

/// Messages of a connection that came through: all of the first bytes, nothing after.
fn cut(bytes: &[u8], share: u8) -> &[u8] {
    &bytes[..bytes.len() * usize::from(share) / 255]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Connections that break in the middle of anything, again and again: what the venue said comes exactly once and in
    /// order; what we said comes at most once and in order.
    #[test]
    fn broken_connections_lose_nothing_of_the_venues_and_double_nothing_of_ours(
        breaks in prop::collection::vec((0usize..6, 0usize..6, any::<u8>(), any::<u8>()), 1..12)
    ) {
        let mut us = End::new(Role::Initiator, Numbers::default());
        let mut venue = End::new(Role::Acceptor, Numbers::default());
        let (mut now, mut ours, mut theirs) = (START, 0, 0);
        let (mut heard, mut seen) = (Vec::new(), Vec::new());
        let mut take = |us: &mut End, venue: &mut End| {
            let number = |text: &String| text.split(' ').next().and_then(|word| word.parse::<u32>().ok());
            heard.extend(us.told().iter().filter_map(number));
            seen.extend(venue.told().iter().filter_map(number));
        };
        for (from_us, from_them, to_us, to_them) in breaks.into_iter().map(Some).chain([None]).map(|it| it.unwrap_or((1, 1, 255, 255))) {
            now = now.after(SECOND_NS);
            // Ours is a new process with the numbers that were kept; the venue goes on.
            us.session = FixSession::new(config(Role::Initiator), us.session.numbers());
            for end in [&mut us, &mut venue] {
                end.out.clear();
                end.fault = None;
                end.session.start(now, &mut end.out);
            }
            settle(&mut us, &mut venue, now);
            prop_assert_eq!((&us.fault, &venue.fault), (&None, &None));
            for _ in 0..from_us {
                ours += 1;
                us.say(&format!("{ours}"), now);
            }
            for _ in 0..from_them {
                theirs += 1;
                venue.say(&format!("{theirs}"), now);
            }
            let (a, b) = (std::mem::take(&mut us.out), std::mem::take(&mut venue.out));
            venue.hear(cut(&a, to_them), now);
            us.hear(cut(&b, to_us), now);
            if (to_us, to_them) == (255, 255) {
                settle(&mut us, &mut venue, now);
            }
            take(&mut us, &mut venue);
        }
        prop_assert_eq!(heard, (1..=theirs).collect::<Vec<u32>>());
        prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", seen);
        prop_assert_eq!(seen.last().copied(), Some(ours), "the last connection held");
    }

    /// However the bytes are cut, the same is told.
    #[test]
    fn pieces_are_the_whole(sizes in prop::collection::vec(1usize..40, 1..60)) {
        let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
        for text in ["one", "two", "three"] {
            venue.say(text, START);
        }
        us.told();
        let bytes = std::mem::take(&mut venue.out);
        let (mut at, mut sizes) = (0, sizes.into_iter().cycle());
        while at < bytes.len() {
            let end = bytes.len().min(at + sizes.next().unwrap());
            us.hear(&bytes[at..end], START);
            at = end;
        }
        prop_assert_eq!(us.told(), ["one", "two", "three"]);
    }

    /// Any bytes: events or a fault, never a panic; the session stays usable or is over.
    #[test]
    fn hostile_bytes(noise in prop::collection::vec(any::<u8>(), 0..400), damage in any::<(u16, u8)>()) {
        let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
        venue.say("one", START);
        venue.say("two", START);
        let mut bytes = std::mem::take(&mut venue.out);
        let at = usize::from(damage.0) % bytes.len();
        bytes[at] ^= damage.1;
        us.hear(&noise, START);
        us.hear(&bytes, START);
        us.tick(START.after(40 * SECOND_NS));
    }
}

/// A refusal tells a number; what we sent under it is remembered, of this connection.
#[test]
fn a_refusal_names_what_it_refuses() {
    let (mut us, mut venue) = logged_on(Numbers::default(), Numbers::default());
    let mut sent = Vec::new();
    for name in ["one", "two"] {
        let order = us.session.send(b"D", START, &mut us.out, |fields| {
            fields.text(11, name).text(55, "BTC-USD");
            fields.text(58, "a text longer than what is remembered");
        });
        sent.push(order.unwrap());
    }
    settle(&mut us, &mut venue, START);
    let mut refused = |kind: &[u8], seq: u64| {
        let mut out = Vec::new();
        let said = venue.session.send(kind, START, &mut out, |fields| {
            fields.u64(45, seq);
        });
        assert!(said.is_some());
        us.session.feed(&out).unwrap();
        match us.session.next(START, &mut us.out).unwrap() {
            Some(FixEvent::App(message) | FixEvent::Rejected(message)) => {
                let text = |value| String::from_utf8_lossy(value).into_owned();
                let fields = message.refused().map(|(tag, value)| (tag, text(value)));
                fields.take(2).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let order = |name: &str| vec![(35, "D".to_owned()), (11, name.to_owned())];
    assert_eq!(refused(b"3", sent[0]), order("one"));
    assert_eq!(refused(b"j", sent[1]), order("two"));
    assert_eq!(refused(b"3", 1), [], "a logon is no order");
    assert_eq!(refused(b"3", sent[1] + 1), [], "nothing was sent yet");
    assert_eq!(refused(b"3", sent[0] + 1_024), [], "nor that");
    assert_eq!(refused(b"8", sent[0]), [], "a report refuses none");
    // With the next connection the numbers go on, and what was said before is not refused any more.
    us.session.start(START, &mut us.out);
    venue.session.start(START, &mut venue.out);
    settle(&mut us, &mut venue, START);
    venue.out.clear();
    let said = venue.session.send(b"3", START, &mut venue.out, |fields| {
        fields.u64(45, sent[0]);
    });
    assert!(said.is_some());
    us.session.feed(&venue.out).unwrap();
    match us.session.next(START, &mut us.out).unwrap() {
        Some(FixEvent::Rejected(message)) => assert_eq!(message.refused().count(), 0),
        other => panic!("{other:?}"),
    }
}
