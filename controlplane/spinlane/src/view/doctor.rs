//! `spinlane doctor`: what the node asked of its machine, and what it found when it started.

use super::lanes::{Health, Lanes, SLOW_MS, Standing};
use crate::api::Token;
use crate::fail::Usage;
use crate::leftovers;
use crate::table::Table;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// Longest wait for the HTTP listener: it is on this machine.
const KNOCK: Duration = Duration::from_millis(300);

/// What the dataplane found, from the file it keeps (`host.json` of the state directory).
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Doctor {
    /// `well`, or `ill` when a fatal fact is not so and not waived.
    #[serde(default)]
    pub outcome: String,
    /// The node trades live: it would not have started ill.
    pub is_live: bool,
    /// Every fact, the node's first, then lane by lane.
    pub facts: Vec<Fact>,
}

/// One thing asked and found.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Fact {
    /// Its name, as `node.waive` writes it.
    pub id: String,
    /// The lane it is about; absent = the node.
    pub lane: Option<u8>,
    /// What was asked.
    pub asked: String,
    /// What was found.
    pub found: String,
    /// They agree.
    pub is_so: bool,
    /// A live node does not start without it.
    pub is_fatal: bool,
    /// The configuration does without it.
    pub is_waived: bool,
    /// What it costs, and the mend.
    pub mend: String,
}

/// The finding on what a killed dataplane has left.
fn left_over(changes: &[String]) -> Option<Fact> {
    (!changes.is_empty()).then(|| Fact {
        id: "leftovers".into(),
        lane: None,
        asked: "none".into(),
        found: changes.join(", "),
        is_so: false,
        is_fatal: false,
        is_waived: false,
        mend: "left by a dataplane that was killed: spinlane-dataplane --mend --config FILE, or start it again"
            .into(),
    })
}

impl Doctor {
    /// Reads the file of the last start. Errors: there is none, or it makes no sense.
    pub fn read(state_dir: &Path) -> anyhow::Result<Self> {
        let path = state_dir.join("host.json");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("{}: the dataplane has not started here yet", path.display())
        })?;
        let mut doctor: Self =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        doctor.facts.extend(left_over(&leftovers::find(state_dir)));
        doctor.outcome = String::from(if doctor.is_ill() { "ill" } else { "well" });
        Ok(doctor)
    }

    /// Adds how the lanes stand now: what was so at the start may have changed.
    pub fn add_lanes(&mut self, lanes: &Lanes) {
        let running = lanes.lanes.iter();
        let running = running.filter(|lane| lane.health != Health::Stopped);
        self.facts
            .extend(running.flat_map(|lane| [beat(lane), calls(lane)]));
        self.outcome = String::from(if self.is_ill() { "ill" } else { "well" });
    }

    /// Adds how the HTTP listener stands, where the configuration names one.
    pub fn add_api(&mut self, api: &dp_config::Api) {
        let token = Token::load(&api.token_file).err();
        let knock = TcpStream::connect_timeout(&api.listen, KNOCK).err();
        let token = token.map(|Usage(why)| why);
        let knock = knock.map(|error| format!("{error}: it listens while `spinlane run` does"));
        let mend = token.or(knock);
        self.facts.push(Fact {
            id: "api".into(),
            lane: None,
            asked: api.listen.to_string(),
            found: if mend.is_none() { "listens" } else { "not so" }.into(),
            is_so: mend.is_none(),
            is_fatal: false,
            is_waived: false,
            mend: mend.unwrap_or_default(),
        });
    }

    /// Whether something fatal is missing and nobody does without it.
    pub fn is_ill(&self) -> bool {
        let mut facts = self.facts.iter();
        facts.any(|fact| !fact.is_so && fact.is_fatal && !fact.is_waived)
    }

    /// For people: the table, then a mend for each thing that is not so.
    pub fn text(&self) -> String {
        let mut table = Table::new(&["fact", ">lane", "asked", "found", "verdict"]);
        let mut mends: Vec<String> = Vec::new();
        for fact in &self.facts {
            let verdict = match fact {
                Fact { is_so: true, .. } => "so",
                Fact {
                    is_waived: true, ..
                } => "waived",
                Fact { is_fatal: true, .. } => "NOT SO",
                _ => "not so",
            };
            table.row([
                fact.id.clone(),
                fact.lane.map_or("-".into(), |lane| lane.to_string()),
                fact.asked.clone(),
                fact.found.clone(),
                verdict.to_owned(),
            ]);
            let mend = format!("{}: {}", fact.id, fact.mend);
            if !fact.is_so && !fact.is_waived && !mends.contains(&mend) {
                mends.push(mend);
            }
        }
        let mode = if self.is_live { "live" } else { "test" };
        let mut text = format!("{}\n\nmode {mode}: {}", table.render(), self.outcome);
        for mend in mends {
            text.push_str("\n  ");
            text.push_str(&mend);
        }
        text
    }
}

fn beat(lane: &Standing) -> Fact {
    let age = lane.beat_age_ms.map(|ms| format!("{ms} ms"));
    Fact {
        id: "beat".into(),
        lane: Some(lane.lane),
        asked: format!("each {SLOW_MS} ms"),
        found: age.unwrap_or_else(|| "none".into()),
        is_so: lane.health == Health::Fine,
        is_fatal: lane.health.is_ill(),
        is_waived: false,
        mend: lane.complaint().unwrap_or_default(),
    }
}

fn calls(lane: &Standing) -> Fact {
    Fact {
        id: "refused_calls".into(),
        lane: Some(lane.lane),
        asked: "0".into(),
        found: lane.refused_calls.to_string(),
        is_so: lane.refused_calls == 0,
        is_fatal: false,
        is_waived: false,
        mend: "a lane asked the kernel for what is not on its list: see the log; it is a bug or a break-in"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(is_so: bool, is_fatal: bool, is_waived: bool) -> String {
        format!(
            "{{\"id\":\"isolated\",\"lane\":0,\"asked\":\"core 2\",\"found\":\"none\",\"is_so\":{is_so},\
             \"is_fatal\":{is_fatal},\"is_waived\":{is_waived},\"mend\":\"boot with isolcpus=\"}}"
        )
    }

    #[test]
    fn ill_is_what_is_fatal_missing_and_not_waived() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            (fact(true, true, false), "well", "so"),
            (fact(false, true, true), "well", "waived"),
            (fact(false, false, false), "well", "not so"),
            (fact(false, true, false), "ill", "NOT SO"),
        ];
        for (fact, outcome, verdict) in cases {
            let text = format!("{{\"is_live\":true,\"facts\":[{fact}]}}");
            std::fs::write(dir.path().join("host.json"), text).unwrap();
            let doctor = Doctor::read(dir.path()).unwrap();
            assert_eq!(doctor.outcome, outcome);
            let text = doctor.text();
            assert!(text.contains(verdict), "{text}");
            assert_eq!(
                text.contains("boot with isolcpus="),
                verdict.to_lowercase() == "not so"
            );
            assert!(
                text.lines().all(|line| line.chars().count() <= 80),
                "{text}"
            );
        }
    }

    #[test]
    fn a_node_that_never_started_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let error = format!("{:#}", Doctor::read(dir.path()).unwrap_err());
        assert!(error.contains("has not started here yet"), "{error}");
    }
}
