//! A node on paper, and a recorder, against the simulated venues: both hear everything and say nothing of their own.

use serde_json::{Value, json};
use tests_system::{Options, Rig, turn, wait_for};

/// What is left behind otherwise: a run on paper has shared memory of its own.
struct Left(std::path::PathBuf);

impl Drop for Left {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A lively market, so that quotes on paper are met soon.
fn options() -> Options {
    Options {
        sim_args: ["--ticks-per-s", "400", "--moves", "300"]
            .map(str::to_owned)
            .to_vec(),
        ..Options::default()
    }
}

/// No order, no cancel, no question about an account, no login: whatever needs a key.
fn assert_untouched(rig: &Rig) {
    assert_untouched_of(rig, &["binance", "okx"]);
}

fn assert_untouched_of(rig: &Rig, venues: &[&str]) {
    let record = rig.sim_get("/record").unwrap();
    for venue in venues.iter().copied() {
        for rows in ["orders", "fills", "refused"] {
            assert_eq!(record[venue][rows], json!([]), "{venue} {rows}");
        }
        assert_eq!(record[venue]["counts"]["requests"], json!({}), "{venue}");
    }
}

#[test]
fn a_node_on_paper_gets_fills_and_the_venues_see_nothing() {
    let _turn = turn();
    let paper = Options {
        // No keys are needed, and none are read.
        edits: vec![
            ("mode = \"test\"", "mode = \"paper\""),
            ("keys_file = \"", "keys_file = \"/nowhere"),
        ],
        ..options()
    };
    let mut rig = Rig::new("paper", &paper).unwrap();
    let config = dp_config::Config::load(&rig.config()).unwrap();
    let left = Left(config.node.shm);
    rig.start_dataplane().unwrap();
    let counter = |name: &'static str| rig.counter(name).ok();
    wait_for("orders are filled on paper", || {
        (counter("fills")? > 3 && counter("cancels_done")? > 0).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    // On a busy machine a link may be silent for too long, and is opened anew: it is compared again.
    let status = wait_for("the paper venue is compared", || {
        let status = rig.cli(&["status"]).ok()?;
        (status["venues"][0]["is_reconciled"] == true).then_some(status)
    });
    let status = status.unwrap_or_else(|error| panic!("{error}\n{}", rig.tails()));
    assert_eq!(status["is_paper"], true);
    let positions = rig.cli(&["positions"]).unwrap();
    let lines = positions["positions"].as_array().unwrap();
    assert!(
        lines.iter().any(|line| line["fills"].as_u64() > Some(0)),
        "{positions}"
    );
    assert_untouched(&rig);
    rig.stop_dataplane().unwrap();
    assert_untouched(&rig);

    // The live node of the same file has memory of its own; one that is given the paper run's refuses it.
    let text = std::fs::read_to_string(rig.config()).unwrap();
    let live = text.replace("mode = \"paper\"", "mode = \"test\"");
    std::fs::write(rig.config(), &live).unwrap();
    let own = dp_config::Config::load(&rig.config()).unwrap().node.shm;
    assert!(left.0.exists() && own != left.0 && !own.exists());
    let stolen = live.replace(own.to_str().unwrap(), left.0.to_str().unwrap());
    let keyless = stolen.replace("keys_file = \"/nowhere", "keys_file = \"");
    std::fs::write(rig.config(), keyless).unwrap();
    rig.start_dataplane().unwrap();
    let (code, log) = rig.dataplane_end().unwrap();
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("holds the orders and positions of a paper run"),
        "{log}"
    );
    assert!(log.contains("name another node.shm"), "{log}");
}

/// What was recorded, replayed: nothing unread, nothing missing, and the books the recorder ended with.
#[test]
fn a_recording_replays_to_the_same_books() {
    let _turn = turn();
    let rig = Rig::new("record", &options()).unwrap();
    let out = rig.dir().join("recorded");
    let out_text = out.to_str().unwrap();
    let report = rig
        .cli(&["record", "--out", out_text, "--seconds", "6"])
        .unwrap();
    assert_eq!(
        (&report["outcome"], &report["lost"]),
        (&json!("done"), &json!(0)),
        "{report}"
    );
    for (venue, symbol) in [("binance", "BTCUSDT"), ("okx", "BTC-USDT")] {
        let file = out.join(format!("{venue}.jsonl.gz"));
        let replayed = spinlane::replay::replay_file(venue, &file).unwrap();
        assert_eq!(replayed["decode_errors"], 0, "{}", replayed["first_error"]);
        let book = &replayed["symbols"][symbol];
        assert_eq!(
            (&book["gaps"], &book["synced"]),
            (&json!(0), &json!(true)),
            "{venue}"
        );
        assert!(
            book["messages"].as_u64() > Some(20),
            "{venue}: {}",
            book["messages"]
        );
        let books = report["books"].as_array().unwrap();
        let own = books.iter().find(|own| own["symbol"] == symbol).unwrap();
        assert_eq!(number(&own["bid"]), number(&book["bids"][0][0]), "{venue}");
        assert_eq!(number(&own["ask"]), number(&book["asks"][0][0]), "{venue}");
    }
    assert_untouched(&rig);
    // Nothing is written over.
    assert!(
        rig.cli(&["record", "--out", out_text, "--seconds", "1"])
            .is_err()
    );
}

/// Market data in SBE is shown to who has a key: it is recorded, and nothing of the key is.
#[test]
fn a_recording_made_with_a_key_holds_nothing_of_it() {
    let _turn = turn();
    let market = ["--ticks-per-s", "400", "--ed25519"];
    let sbe = Options {
        sim_args: market.map(str::to_owned).to_vec(),
        // Another host of the venue: to a node it is Binance.
        venues: vec![("binance-sbe", "BTCUSDT")],
        edits: vec![
            ("\"binance-sbe\"", "\"binance\""),
            (
                "[venue.binance-sbe]",
                "[venue.binance]\nmarket_data = \"sbe\"",
            ),
        ],
        ..options()
    };
    let rig = Rig::new("keyed", &sbe).unwrap();
    let out = rig.dir().join("recorded");
    let out_text = out.to_str().unwrap();
    let report = rig
        .cli(&["record", "--out", out_text, "--seconds", "5"])
        .unwrap();
    assert_eq!(report["lost"], 0, "{report}");
    assert_ne!(report["books"], json!([]), "{report}");
    let mut capture = dp_capture::Capture::open(&out.join("binance.jsonl.gz")).unwrap();
    let (mut text, mut binary) = (String::new(), 0);
    while let Some(line) = capture.next_line().unwrap() {
        let line = String::from_utf8(line.to_vec()).unwrap();
        binary += usize::from(line.contains("raw_b64"));
        text += &line;
    }
    assert!(binary > 20, "{binary} binary messages");
    // Whatever stands between quotes in the keys file, line by line: the key, and the private key's text.
    let keys = std::fs::read_to_string(rig.dir().join("binance-sbe.toml")).unwrap();
    let words = keys.split(['"', '\n', '=']).map(str::trim);
    let secrets: Vec<_> = words.filter(|word| word.len() > 30).collect();
    assert!(secrets.len() > 1, "a key and its private half");
    for secret in secrets.iter().chain(&["signature", "X-MBX-APIKEY"]) {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_untouched_of(&rig, &["binance-sbe"]);
}

/// A price, whichever zeros it ends with.
fn number(text: &Value) -> String {
    let text = text.as_str().unwrap();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
