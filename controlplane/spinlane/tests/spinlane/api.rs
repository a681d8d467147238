//! The HTTP listener over a node filled by the test, spoken to as a stranger on this machine would.

use crate::node::Node;
use dp_shm::Counter;
use dp_types::{LaneId, Notional};
use serde_json::{Value, json};
use spinlane::api::Api;
use spinlane::view::doctor::Doctor;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const TOKEN: &str = "f00dfacef00dfacef00dfacef00dface";
const RIGHT: &str = "Authorization: Bearer f00dfacef00dfacef00dfacef00dface\r\n";

struct Site {
    node: Node,
    api: Api,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn configured(node: &Node, token: &str, mode: u32) -> dp_config::Api {
    let token_file = node.dir.path().join("token");
    std::fs::write(&token_file, format!("{token}\n")).unwrap();
    std::fs::set_permissions(&token_file, PermissionsExt::from_mode(mode)).unwrap();
    dp_config::Api {
        listen: "127.0.0.1:0".parse().unwrap(),
        token_file,
    }
}

fn start(node: &Node, shm: PathBuf) -> Api {
    let config = configured(node, TOKEN, 0o600);
    Api::start(&config, shm, node.dir.path().to_owned()).unwrap()
}

fn site() -> Site {
    let node = Node::new();
    node.fill();
    // Its trading process has ended: what is told and done here needs none.
    node.region.header().dataplane_pid.store(0, Relaxed);
    let api = start(&node, node.dir.path().join("shm"));
    Site { node, api }
}

/// One request, as it is on the wire; the listener closes when it has answered.
fn send(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    // A refusal may come, and the connection go, before all of a body is out.
    let sent = stream.write_all(request.as_bytes());
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{sent:?} {read:?}: {text}"));
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

fn with(address: SocketAddr, line: &str, headers: &str, body: &str) -> Answer {
    let len = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len}\r\n\r\n{body}"
    );
    send(address, &request)
}

impl Site {
    fn get(&self, path: &str) -> Answer {
        with(self.api.address, &format!("GET {path}"), RIGHT, "")
    }

    fn kill(&self, body: &str) -> Answer {
        with(self.api.address, "POST /v1/kill", RIGHT, body)
    }
}

#[test]
fn a_kill_by_http_is_the_kill_of_the_command_line() {
    let site = site();
    let before = site.get("/v1/kill").json();
    assert_eq!(
        (&before["killed"], &before["changes"]),
        (&json!(false), &json!(0))
    );
    let first = site.kill(r#"{"who": "ann", "why": "prices are wrong"}"#);
    assert_eq!(first.status, 200, "{}", first.body);
    let told = first.json();
    assert_eq!(
        [
            &told["killed"],
            &told["changed"],
            &told["changes"],
            &told["live_orders"]
        ],
        [&json!(true), &json!(true), &json!(1), &json!(1)]
    );
    assert_eq!(told["dataplane_is_running"], false, "the word needs nobody");
    let kill = site.node.json(&["status"])["kill"].clone();
    assert_eq!(
        (&kill["by"], &kill["reason"]),
        (&json!("ann"), &json!("prices are wrong"))
    );
    let mark = std::fs::read_to_string(site.node.dir.path().join("killed")).unwrap();
    assert_eq!(mark, "prices are wrong", "a reboot remembers");
    // Once more changes nothing, and what it answers is the first one's.
    let again = site.kill(r#"{"who": "bob", "why": "me too"}"#).json();
    assert_eq!(
        (&again["changed"], &again["changes"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(again["who"], "ann");
    let stands = site.get("/v1/kill").json();
    assert_eq!(
        (&stands["killed"], &stands["who"]),
        (&json!(true), &json!("ann"))
    );

    let arm = with(site.api.address, "POST /v1/arm", RIGHT, "{}");
    assert_eq!(arm.status, 403);
    assert!(
        arm.json()["error"]
            .as_str()
            .unwrap()
            .contains("spinlane arm --by")
    );
    assert!(site.node.region.kill().is_killed());
}

#[test]
fn without_the_token_nothing_is_told_or_done_and_the_answer_takes_its_time() {
    let site = site();
    let wrong = [
        String::new(),
        format!("Authorization: Bearer {}\r\n", TOKEN.replace('f', "e")),
        format!("Authorization: Bearer {TOKEN}x\r\n"),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("X-Token: {TOKEN}\r\n"),
    ];
    let body = r#"{"who": "mallory", "why": "fun"}"#;
    for headers in &wrong {
        let begun = Instant::now();
        let answer = with(site.api.address, "POST /v1/kill", headers, body);
        assert_eq!(answer.status, 401, "{headers}");
        assert!(begun.elapsed() >= Duration::from_millis(400), "{headers}");
        assert_eq!(answer.json()["outcome"], "refused");
        assert!(
            answer
                .head
                .to_lowercase()
                .contains("www-authenticate: bearer")
        );
    }
    for path in [
        "GET /metrics",
        "GET /v1/status",
        "GET /nowhere",
        "DELETE /v1/kill",
    ] {
        assert_eq!(with(site.api.address, path, "", "").status, 401, "{path}");
    }
    assert!(!site.node.region.kill().is_killed());
    let metrics = site.get("/metrics").body;
    let count = wrong.len() + 4;
    let line = format!("spinlane_api_unauthorised_total {count}\n");
    assert!(metrics.contains(&line), "{metrics}");
}

#[test]
fn reads_are_what_the_command_line_prints() {
    let site = site();
    for view in ["orders", "positions"] {
        let answer = site.get(&format!("/v1/{view}"));
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("application/json"), "{}", answer.head);
        assert_eq!(answer.json(), site.node.json(&[view]), "{view}");
    }
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for view in ["status", "risk"] {
        let (here, there) = (
            site.get(&format!("/v1/{view}?x=1")).json(),
            site.node.json(&[view]),
        );
        assert_eq!(keys(&here), keys(&there), "{view}");
        assert_eq!(here["kill"], there["kill"]);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() {
    let site = site();
    let huge = format!(r#"{{"who": "ann", "why": "{}"}}"#, "x".repeat(8 << 10));
    for (body, status, want) in [
        ("", 400, "the body"),
        ("kill it", 400, "the body"),
        ("[1]", 400, "the body"),
        (r#"{"why": "x"}"#, 400, "who"),
        (r#"{"who": "ann"}"#, 400, "why"),
        (r#"{"who": " ", "why": "x"}"#, 400, "must be said"),
        (r#"{"who": "ann", "why": ""}"#, 400, "must be said"),
        (r#"{"who": "ann", "why": "x", "arm": true}"#, 400, "arm"),
        (
            "{\"who\": \"ann\", \"why\": \"\\u001b[2J\"}",
            400,
            "control characters",
        ),
        (&huge, 413, "larger than 4096 bytes"),
    ] {
        let answer = site.kill(body);
        assert_eq!(answer.status, status, "{body}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(want), "{body}: {error}");
    }
    assert!(!site.node.region.kill().is_killed());
    for (line, status) in [
        ("GET /", 404),
        ("GET /v1/kill/", 404),
        ("GET /v1/../v1/kill", 404),
        ("PUT /v1/kill", 405),
        ("POST /v1/status", 405),
        ("GET /v1/arm", 405),
    ] {
        let answer = with(site.api.address, line, RIGHT, "");
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.json()["error"].is_string(), "{line}");
    }
    // What is not HTTP at all, and a head that has no end.
    let head = format!("GET /v1/kill HTTP/1.1\r\nX: {}", "y".repeat(64 << 10));
    for noise in ["\0\u{1}\u{2}\r\n\r\n", head.as_str()] {
        let mut stream = TcpStream::connect(site.api.address).unwrap();
        stream.write_all(noise.as_bytes()).ok();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).ok();
    }
    assert_eq!(site.get("/v1/kill").status, 200, "it goes on");
}

/// Strangers who hold connections open and say nothing neither stop a kill nor stay.
#[test]
fn silent_connections_leave_room_for_a_kill() {
    let site = site();
    let silent: Vec<TcpStream> = (0..31)
        .map(|_| TcpStream::connect(site.api.address).unwrap())
        .collect();
    assert_eq!(site.kill(r#"{"who": "ann", "why": "now"}"#).status, 200);
    for mut stream in silent {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(ended.is_ok(), "it is closed within its time: {ended:?}");
    }
}

#[test]
fn a_node_that_is_not_there_is_said_so_and_one_that_comes_is_seen() {
    let node = Node::new();
    let elsewhere = node.dir.path().join("later");
    let api = start(&node, elsewhere.clone());
    let kill = |body: &str| with(api.address, "POST /v1/kill", RIGHT, body);
    let answer = kill(r#"{"who": "ann", "why": "x"}"#);
    assert_eq!(
        (answer.status, &answer.json()["outcome"]),
        (503, &json!("unreachable"))
    );
    std::os::unix::fs::symlink(node.dir.path().join("shm"), elsewhere).unwrap();
    assert_eq!(kill(r#"{"who": "ann", "why": "x"}"#).status, 200);
    assert!(node.region.kill().is_killed());
}

#[test]
fn a_token_others_can_read_ends_the_start() {
    let node = Node::new();
    for (token, mode, want) in [(TOKEN, 0o644, "chmod 600"), ("short", 0o600, "at least 32")] {
        let config = configured(&node, token, mode);
        let shm = node.dir.path().join("shm");
        let error = Api::start(&config, shm, node.dir.path().to_owned()).unwrap_err();
        assert!(format!("{error:#}").contains(want), "{error:#}");
    }
}

#[test]
fn the_doctor_looks_at_the_listener_and_its_token() {
    let node = Node::new();
    let mut config = configured(&node, TOKEN, 0o600);
    let shm = node.dir.path().join("shm");
    std::fs::write(
        node.dir.path().join("host.json"),
        r#"{"is_live": false, "facts": []}"#,
    )
    .unwrap();
    let look = |config: &dp_config::Api| {
        let mut doctor = Doctor::read(node.dir.path()).unwrap();
        doctor.add_api(config);
        let fact = doctor.facts.last().unwrap().clone();
        (fact.is_so, fact.mend)
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    config.listen = free.local_addr().unwrap();
    drop(free);
    let (is_so, mend) = look(&config);
    assert!(!is_so && mend.contains("spinlane run"), "{mend}");
    let api = Api::start(&config, shm, node.dir.path().to_owned()).unwrap();
    config.listen = api.address;
    assert_eq!(look(&config), (true, String::new()));
    let open = configured(&node, TOKEN, 0o604);
    config.token_file = open.token_file;
    let (is_so, mend) = look(&config);
    assert!(!is_so && mend.contains("chmod 600"), "{mend}");
}

/// RK-11: counted by rule, over the command line and the scrape alike.
#[test]
fn violations_are_counted_by_rule() {
    let node = Node::new();
    let lane = node.region.lane_writer(LaneId(0)).unwrap();
    lane.counters.add(Counter::Fills, 1);
    for rule in [11, 11, 14, 67, 200] {
        lane.violations.count(rule);
    }
    node.venue(1);
    let line = node.region.risk(LaneId(0)).unwrap();
    line.write(&dp_shm::RiskState {
        at_midnight: Notional(5_000_000_000_000),
        day_loss_max: Notional(20_000_000_000_000),
        orders_used: 3,
        orders_max: 8,
        ..dp_shm::RiskState::default()
    });
    let api = start(&node, node.dir.path().join("shm"));
    let site = Site { node, api };
    let risk = site.get("/v1/risk").json();
    assert_eq!(risk["violations"], site.node.json(&["risk"])["violations"]);
    let told = risk["violations"].as_array().unwrap();
    let of = |rule: &str| {
        let it = told.iter().find(|it| it["rule"] == rule);
        it.unwrap_or_else(|| panic!("{rule}"))["count"].clone()
    };
    assert_eq!(
        [of("collar"), of("rate"), of("market_move"), of("killed")],
        [json!(2), json!(1), json!(1), json!(0)]
    );
    let text = site.node.text(&["risk"]);
    assert!(
        text.contains("violations: collar 2, rate 1, market_move 1"),
        "{text}"
    );
    let metrics = site.get("/metrics");
    assert!(
        metrics.head.contains("text/plain; version=0.0.4"),
        "{}",
        metrics.head
    );
    for line in [
        "# TYPE risk_violations_total counter",
        "risk_violations_total{rule=\"collar\"} 2",
        "risk_violations_total{rule=\"killed\"} 0",
        "spinlane_kill_switch 0",
        "spinlane_open_orders 1",
        "spinlane_fills_total 1",
        "# TYPE spinlane_limit_used_ratio gauge",
        "spinlane_limit_used_ratio{limit=\"day_loss\"} 0.250000",
        "spinlane_limit_used_ratio{limit=\"orders_per_s\",lane=\"0\"} 0.375000",
    ] {
        assert!(
            metrics.body.lines().any(|it| it == line),
            "{line}:\n{}",
            metrics.body
        );
    }
    let is_sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let is_ratio = name.starts_with("spinlane_limit_used_ratio{");
        !name.contains(' ')
            && (value.parse::<u64>().is_ok() || is_ratio && value.parse::<f64>().is_ok())
    };
    let mut samples = metrics.body.lines().filter(|line| !line.starts_with('#'));
    assert!(samples.all(is_sample), "{}", metrics.body);
}
