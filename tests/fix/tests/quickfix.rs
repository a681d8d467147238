//! Our FIX sessions against QuickFIX (`quickfix/peer.py`, from PyPI), both ways round: logon, orders, gaps forced on
//! either side and filled, a connection lost and taken up again, logout.
//!
//! Needs a Python with quickfix: `SPINLANE_FIX_PYTHON`, or `.venv-fix/bin/python` at the repository's root (`.ci/fix`
//! makes it). Without one each test says that it was skipped; it fails then when `REQUIRE` contains `quickfix`.
#![allow(missing_docs)]

use dp_proto::fix::{FixConfig, Numbers, Resend, Role};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tests_fix::{Peer, Told};

const PATIENCE: Duration = Duration::from_secs(20);
/// Of application messages: the order's name.
const TAGS: [u32; 1] = [11];

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("SPINLANE_FIX_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv-fix/bin/python"),
        PathBuf::from,
    );
    let has_engine = Command::new(&python)
        .args(["-c", "import quickfix"])
        .output()
        .is_ok_and(|output| output.status.success());
    if has_engine {
        return Some(python);
    }
    let require = std::env::var("REQUIRE").unwrap_or_default();
    assert!(
        !require.split(',').any(|word| word == "quickfix"),
        "REQUIRE has quickfix, but no Python with quickfix was found (set SPINLANE_FIX_PYTHON)"
    );
    println!("SKIPPED: no Python with quickfix (.ci/fix makes one)");
    None
}

/// QuickFIX in a process of its own, which ends with this value.
struct Engine {
    child: Child,
    input: ChildStdin,
    told: Receiver<Value>,
    /// Told while something else was waited for.
    early: RefCell<VecDeque<Value>>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Engine {
    fn start(python: &Path, role: &str, port: u16, dir: &Path) -> Self {
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("quickfix/peer.py"))
            .args([role, &port.to_string()])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let input = child.stdin.take().expect("piped");
        let output = child.stdout.take().expect("piped");
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(value) = serde_json::from_str(&line) else {
                    continue;
                };
                if tell.send(value).is_err() {
                    return;
                }
            }
        });
        let engine = Self {
            child,
            input,
            told,
            early: RefCell::default(),
        };
        engine.hear("ready", "");
        engine
    }

    /// Gives a command and waits until it is done.
    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it listens");
        let mut early = Vec::new();
        loop {
            let value = self
                .told
                .recv_timeout(PATIENCE)
                .expect("it is done in time");
            if value["told"] == "did" {
                break;
            }
            early.push(value);
        }
        self.early.borrow_mut().extend(early);
    }

    /// Waits for something of this sort; `kind` is a message's type, empty for any. What came before it is passed
    /// over.
    fn hear(&self, told: &str, kind: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let early = self.early.borrow_mut().pop_front();
            let left = end.saturating_duration_since(Instant::now());
            let Some(value) = early.or_else(|| self.told.recv_timeout(left).ok()) else {
                panic!("never told {told} {kind}; told: {seen:#?}");
            };
            if value["told"] == told && (kind.is_empty() || value["kind"] == kind) {
                return value;
            }
            seen.push(value.to_string());
        }
    }
}

fn config(role: Role) -> FixConfig {
    let (sender, target, resend) = match role {
        Role::Initiator => ("US", "VENUE", Resend::GapFill),
        Role::Acceptor => ("VENUE", "US", Resend::Replay),
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
        resend,
        logon_fields: None,
    }
}

fn is_app(told: &Told) -> bool {
    matches!(told, Told::App(..))
}

fn app(kind: &str, id: &str, is_again: bool) -> Told {
    Told::App(kind.into(), vec![Some(id.into())], is_again)
}

fn order(peer: &mut Peer, id: &str) -> u64 {
    let sent = peer.send(b"D", |fields| {
        fields.text(11, id).text(55, "BTC-USD");
    });
    sent.expect("sent")
}

/// A port nobody listens on now.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

fn connect(port: u16) -> TcpStream {
    let end = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < end, "nobody listens: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn we_trade_at_a_venue_of_theirs() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let mut engine = Engine::start(&python, "acceptor", port, dir.path());
    let mut us = Peer::new(
        connect(port),
        config(Role::Initiator),
        Numbers::default(),
        &TAGS,
    )
    .expect("a session");
    us.hear(|told| *told == Told::LoggedOn).expect("logged on");
    engine.hear("logon", "");

    // An order there, its report back.
    order(&mut us, "o1");
    assert_eq!(engine.hear("app", "D")["id"], "o1");
    engine.say("report o1");
    assert_eq!(us.hear(is_app).expect("a report"), [app("8", "o1", false)]);

    // A gap of theirs: two numbers are never used; we ask, they fill, and what stood behind comes.
    engine.say("skip 2");
    engine.say("report o2");
    let told = us.hear(is_app).expect("a report");
    assert!(
        matches!(told[..], [Told::Gap(3), Told::App(..)]),
        "{told:?}"
    );
    assert_eq!(told[1], app("8", "o2", true));

    // A gap of ours: an order is lost before it leaves. It is filled, never sent again.
    us.lose(b"D", |fields| {
        fields.text(11, "lost").text(55, "BTC-USD");
    });
    order(&mut us, "o3");
    // QuickFIX asks for both; we fill both, so neither comes: they are asked about, not sent again.
    let asked = engine.hear("sent", "2");
    assert_eq!(asked["kind"], "2");
    let pump = std::thread::scope(|scope| {
        let worker = scope.spawn(|| us.hear(is_app));
        assert_eq!(engine.hear("admin", "4")["fill"], "Y");
        engine.say("report o4");
        worker.join().expect("no panic")
    });
    assert_eq!(pump.expect("a report"), [app("8", "o4", false)]);
    order(&mut us, "o5");
    assert_eq!(
        engine.hear("app", "D")["id"],
        "o5",
        "o3 and the lost one never came"
    );

    // The connection is lost while they speak: what they said comes again, marked.
    let kept = us.numbers();
    drop(us);
    engine.hear("logout", "");
    engine.say("report o6");
    engine.say("report o7");
    let mut us = Peer::new(connect(port), config(Role::Initiator), kept, &TAGS).expect("a session");
    let mut told = us.hear(is_app).expect("the first");
    told.extend(us.hear(is_app).expect("the second"));
    assert_eq!(told.first(), Some(&Told::LoggedOn));
    let apps: Vec<_> = told.into_iter().filter(is_app).collect();
    assert_eq!(apps, [app("8", "o6", true), app("8", "o7", true)]);

    us.log_out().expect("sent");
    us.hear(|told| *told == Told::LoggedOut)
        .expect("logged out");
    engine.hear("logout", "");
}

#[test]
fn they_trade_at_a_venue_of_ours() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let mut engine = Engine::start(&python, "initiator", port, dir.path());
    let accept = |numbers| {
        let (stream, _) = listener.accept().expect("it connects");
        Peer::new(stream, config(Role::Acceptor), numbers, &TAGS).expect("a session")
    };
    let mut venue = accept(Numbers::default());
    venue
        .hear(|told| *told == Told::LoggedOn)
        .expect("logged on");
    engine.hear("logon", "");
    let report = |id: &'static str| {
        move |fields: &mut dp_proto::fix::Out| {
            fields.text(11, id).text(150, "0");
        }
    };

    engine.say("order a1");
    assert_eq!(
        venue.hear(is_app).expect("an order"),
        [app("D", "a1", false)]
    );
    venue.send(b"8", report("a1")).expect("sent");
    assert_eq!(engine.hear("app", "8")["id"], "a1");

    // A report is lost before it leaves: they ask for it, and get it again.
    venue.lose(b"8", report("a2"));
    venue.send(b"8", report("a3")).expect("sent");
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| venue.hear(is_app));
        let again = engine.hear("app", "8");
        assert_eq!(
            (&again["id"], &again["again"]),
            (&Value::from("a2"), &Value::from("Y"))
        );
        // It has kept the one behind.
        assert_eq!(engine.hear("app", "8")["id"], "a3");
        // A gap of theirs: numbers never used; we ask, they fill.
        engine.say("skip 3");
        engine.say("order a4");
        let told = worker.join().expect("no panic").expect("an order");
        assert!(
            matches!(told[..], [Told::Gap(_), Told::App(..)]),
            "{told:?}"
        );
        assert_eq!(told[1], app("D", "a4", true));
    });

    // The connection is lost; they come back with the numbers they stored, and so do we.
    let kept = venue.numbers();
    drop(venue);
    engine.hear("logout", "");
    let mut venue = accept(kept);
    venue
        .hear(|told| *told == Told::LoggedOn)
        .expect("logged on again");
    engine.hear("logon", "");
    engine.say("order a5");
    assert_eq!(
        venue.hear(is_app).expect("an order"),
        [app("D", "a5", false)]
    );

    engine.say("logout");
    venue
        .hear(|told| *told == Told::LoggedOut)
        .expect("logged out");
    engine.hear("logout", "");
}
