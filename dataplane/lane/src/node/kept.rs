//! What strategies keep over a restart: where people put them, what they are set to, what they have learnt.
//!
//! ```text
//!   shared memory   the lane writes it at once; survives the process        ─▶ taken up at the next start
//!   STATE_DIR/strategies/NAME   the main thread copies it; survives a reboot ─▶ taken up where memory is fresh
//! ```
//! A file is text, so that it can be looked at. Its head and what was learnt are sealed apart: damage to the latter costs
//! what was learnt, damage to the head means that nobody knows whether it was stopped, so it is not started.

use dp_config::{Config, Role};
use dp_shm::twin::Words as _;
use dp_shm::{
    LEGS_SHOWN_MAX, PARAMS_MAX, ParamSpec, Region, STATE_WORDS_MAX, SavedState, StrategySpec,
    StrategyStatus, checksum,
};
use dp_strategy::Kind;
use dp_types::limit::STRATEGIES_MAX;
use dp_types::{InstrumentId, LaneId, StrategyId, StrategyState, Text, UnixNanos};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// First line of a file.
const TITLE: &str = "spinlane strategy 1";
/// A file of ours is a quarter as long at most.
const FILE_MAX: u64 = 16 << 10;
/// Words of a saved state before its integers.
const HEAD_WORDS: usize = 4;

/// What was kept of one strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// What it is: what was set and learnt under another identity is another's.
    pub identity: u64,
    /// Where it shall stand.
    pub goal: StrategyState,
    /// What it was set to.
    pub values: [i64; PARAMS_MAX],
    /// What the configuration said then.
    pub configured: [i64; PARAMS_MAX],
    /// What it had learnt.
    pub saved: Option<SavedState>,
}

impl Kept {
    /// As a line tells it. One that waits to be made again stands where it stood; one that was given up has failed.
    fn of(status: &StrategyStatus, identity: u64, saved: Option<SavedState>) -> Self {
        let waits = status.state == StrategyState::Failed && status.retry_at.0 > 0;
        Self {
            identity,
            goal: if waits || !status.is_seated {
                status.goal
            } else {
                status.state
            },
            values: status.values,
            configured: status.configured,
            saved: saved.filter(|saved| saved.len > 0),
        }
    }

    /// As the configuration says, whatever was set or learnt before.
    pub(super) const fn configured(section: &dp_config::Strategy) -> Self {
        Self::fresh(0, goal_of(section.start))
    }

    /// One nobody knows anything of.
    const fn fresh(identity: u64, goal: StrategyState) -> Self {
        Self {
            identity,
            goal,
            values: [0; PARAMS_MAX],
            configured: [0; PARAMS_MAX],
            saved: None,
        }
    }

    fn to_text(self) -> String {
        let list = |values: &[i64; PARAMS_MAX]| values.map(|it| it.to_string()).join(" ");
        let mut text = format!(
            "{TITLE}\nidentity {}\nstate {}\nvalues {}\nconfigured {}\n",
            self.identity,
            self.goal.name(),
            list(&self.values),
            list(&self.configured)
        );
        let sum = sum_of(&text);
        text.push_str(&format!("sum {sum}\n"));
        if let Some(saved) = self.saved {
            let words = saved.to_words();
            let words = &words[..HEAD_WORDS + (saved.len as usize).min(STATE_WORDS_MAX)];
            let words: Vec<String> = words.iter().map(u64::to_string).collect();
            text.push_str(&format!("saved {}\n", words.join(" ")));
        }
        text
    }

    /// `None`: damaged, or not ours.
    fn from_text(text: &str) -> Option<Self> {
        let at = text.find("sum ")?;
        let (head, rest) = text.split_at(at);
        let mut rest = rest.lines();
        let sum: u64 = rest.next()?.strip_prefix("sum ")?.parse().ok()?;
        if sum != sum_of(head) {
            return None;
        }
        let mut lines = head.lines();
        let mut next = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        if next("spinlane")? != &TITLE["spinlane ".len()..] {
            return None;
        }
        let identity = next("identity")?.parse().ok()?;
        let goal = StrategyState::from_name(next("state")?)?;
        let values = list_of(next("values")?)?;
        let configured = list_of(next("configured")?)?;
        let saved = rest.next().and_then(|line| line.strip_prefix("saved "));
        Some(Self {
            identity,
            goal,
            values,
            configured,
            // What cannot be read is told like what is damaged: by whoever wants to take it up.
            saved: saved.map(|words| saved_of(words).unwrap_or_else(damaged)),
        })
    }
}

/// Something that no strategy takes up.
fn damaged() -> SavedState {
    let mut words = [0; 127];
    words[1] = 1 << 32;
    SavedState::from_words(&words).unwrap_or_else(|| SavedState::seal(0, 0, UnixNanos(0), &[0]))
}

fn saved_of(text: &str) -> Option<SavedState> {
    let mut words = [0; 127];
    let mut slots = words.iter_mut();
    for word in text.split(' ') {
        *slots.next()? = word.parse().ok()?;
    }
    SavedState::from_words(&words)
}

fn list_of(text: &str) -> Option<[i64; PARAMS_MAX]> {
    let mut values = [0; PARAMS_MAX];
    let mut words = text.split(' ');
    for value in &mut values {
        *value = words.next()?.parse().ok()?;
    }
    words.next().is_none().then_some(values)
}

fn sum_of(text: &str) -> u64 {
    checksum(text.bytes().map(u64::from))
}

fn file_of(config: &Config, name: &str) -> PathBuf {
    config.node.state_dir.join("strategies").join(name)
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// On disk when this returns, whole or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let aside = path.with_extension("new");
    let mut file = File::create(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    File::open(dir)?.sync_all()
}

/// What a strategy is, for its line.
pub(super) fn spec_of(config: &Config, id: StrategyId, kind: &Kind) -> StrategySpec {
    let name = config.strategy_name(id).unwrap_or_default();
    let legs = config
        .strategy
        .get(usize::from(id.0))
        .map(dp_config::Strategy::legs);
    let mut all = format!("{name}\n{}\n", kind.name);
    for leg in legs.iter().flatten() {
        all.push_str(&format!("{} {}\n", leg.venue, leg.symbol));
    }
    let mut params = [ParamSpec::default(); PARAMS_MAX];
    for (spec, param) in params.iter_mut().zip(kind.params) {
        all.push_str(&format!("{} {}\n", param.name, param.unit.name()));
        *spec = ParamSpec {
            name: Text::lossy(param.name),
            unit: param.unit as u8,
            range: param.range,
        };
    }
    StrategySpec {
        name: Text::lossy(&name),
        kind: Text::lossy(kind.name),
        identity: sum_of(&all),
        params_count: kind.params.len().min(PARAMS_MAX) as u8,
        params,
    }
}

/// Before the run is announced: no line says of the run before that its strategies have seats.
pub(super) fn unseat(region: &Region) {
    let lines = (0..STRATEGIES_MAX as u16).filter_map(|id| region.strategy(StrategyId(id)));
    for line in lines {
        let Some(status) = line.read().filter(|status| status.is_seated) else {
            continue;
        };
        line.write(&StrategyStatus {
            state: StrategyState::Loaded,
            goal: Kept::of(&status, 0, None).goal,
            is_seated: false,
            ..status
        });
    }
}

/// Before there are lanes: what was kept of each strategy of the configuration, and their lines as they are until each
/// takes its seat.
pub(super) fn take_up(config: &Config, kinds: &[Kind], region: &Region) -> Vec<Kept> {
    let ids = || (0..STRATEGIES_MAX as u16).map(StrategyId);
    // All of them before any is written: strategies may have changed places.
    let lines: Vec<(Text<31>, Kept)> = ids()
        .filter_map(|id| {
            let spec = region.strategy_spec(id)?.read()?;
            let status = region.strategy(id)?.read()?;
            let saved = region.strategy_state(id).and_then(dp_shm::twin::Twin::read);
            Some((spec.name, Kept::of(&status, spec.identity, saved)))
        })
        .collect();
    let mut all = Vec::new();
    for (id, section) in ids().zip(&config.strategy) {
        let goal = goal_of(section.start);
        let Some(kind) = kinds.iter().find(|kind| kind.name == section.kind) else {
            all.push(Kept::fresh(0, goal));
            continue;
        };
        let spec = spec_of(config, id, kind);
        let line = lines.iter().find(|(name, _)| *name == spec.name);
        let found = line
            .map(|(_, kept)| *kept)
            .or_else(|| of_file(config, spec.name.as_str()));
        let kept = match found {
            None => Kept::fresh(spec.identity, goal),
            // Never started: what the configuration says of starting is still to come.
            Some(kept) if kept.goal == StrategyState::Loaded => Kept { goal, ..kept },
            Some(kept) => kept,
        };
        publish(config, region, id, &spec, &kept);
        all.push(kept);
    }
    // Lines of strategies that are no more.
    for id in ids().skip(config.strategy.len()) {
        if let Some(line) = region.strategy_spec(id).filter(|line| line.version() > 0) {
            line.write(&StrategySpec::default());
        }
    }
    all
}

fn of_file(config: &Config, name: &str) -> Option<Kept> {
    let path = file_of(config, name);
    let told = match read(&path) {
        Ok(text) => match Kept::from_text(&text) {
            Some(kept) => return Some(kept),
            None => "it is damaged".to_owned(),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
    };
    tracing::error!(
        file = %path.display(),
        why = told,
        "whether this strategy was stopped is not known: it is not started; `spinlane strategy start {name}`"
    );
    Some(Kept::fresh(0, StrategyState::Stopped))
}

/// Where the configuration wants a strategy.
const fn goal_of(starts: bool) -> StrategyState {
    if starts {
        StrategyState::Running
    } else {
        StrategyState::Loaded
    }
}

/// Its lines until it takes its seat.
fn publish(config: &Config, region: &Region, id: StrategyId, spec: &StrategySpec, kept: &Kept) {
    let section = &config.strategy[usize::from(id.0)];
    let legs = section.legs();
    let venue = legs.first().map(|leg| leg.venue.as_str());
    let lanes = venue.map(|venue| config.lanes_of(Role::Engine, venue));
    let lane = lanes.and_then(|lanes| lanes.first().copied()).unwrap_or(0);
    let mut shown = [InstrumentId(0); LEGS_SHOWN_MAX];
    for (slot, leg) in shown.iter_mut().zip(&legs) {
        let found = region.instruments().iter().find(|entry| {
            let it = &entry.instrument;
            it.venue.name() == leg.venue && it.symbol.as_str() == leg.symbol
        });
        *slot = found.map_or(InstrumentId(u32::MAX), |entry| entry.instrument.id);
    }
    if let (Some(line), Some(status), Some(state)) = (
        region.strategy_spec(id),
        region.strategy(id),
        region.strategy_state(id),
    ) {
        line.write(spec);
        status.write(&StrategyStatus {
            state: StrategyState::Loaded,
            goal: kept.goal,
            lane: LaneId(lane as u8),
            legs_count: legs.len() as u8,
            legs: shown,
            values: kept.values,
            configured: kept.configured,
            ..StrategyStatus::default()
        });
        let nothing = SavedState::seal(spec.identity, 0, UnixNanos(0), &[]);
        state.write(&kept.saved.unwrap_or(nothing));
    }
}

/// Copies what strategies keep to the disk, from the main thread.
pub(super) struct Keeper {
    /// Of each strategy the lines' versions last looked at, and the file's text.
    seen: Vec<((u64, u64), String)>,
}

impl Keeper {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            seen: vec![((0, 0), String::new()); config.strategy.len()],
        }
    }

    /// Writes the files of strategies that stand elsewhere, are set or have learnt something since.
    pub(super) fn keep(&mut self, config: &Config, region: &Region) {
        for (id, (versions, written)) in (0..).map(StrategyId).zip(&mut self.seen) {
            let (Some(status), Some(state)) = (region.strategy(id), region.strategy_state(id))
            else {
                continue;
            };
            let now = (status.version(), state.version());
            if now == *versions {
                continue;
            }
            *versions = now;
            let spec = region.strategy_spec(id).and_then(dp_shm::twin::Twin::read);
            let (Some(spec), Some(status)) = (spec, status.read()) else {
                continue;
            };
            if !status.is_seated {
                continue;
            }
            let text = Kept::of(&status, spec.identity, state.read()).to_text();
            if text == *written {
                continue;
            }
            let path = file_of(config, spec.name.as_str());
            match write(&path, &text) {
                Ok(()) => *written = text,
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "what a strategy keeps is not on disk");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        Kept {
            identity: u64::MAX,
            goal: StrategyState::Stopped,
            values: core::array::from_fn(|at| at as i64 - 5),
            configured: [i64::MIN; PARAMS_MAX],
            saved: Some(SavedState::seal(7, 2, UnixNanos(9), &[1, -2, 3])),
        }
    }

    /// A run that ended before its strategies had seats forgets nothing of the run before it.
    #[test]
    fn what_has_no_seat_yet_is_kept_as_it_was_left() {
        let dir = tempfile::tempdir().unwrap();
        let shape = dp_shm::Shape::new(1, 1, 256, 256);
        let (region, _) = Region::open_or_create(&dir.path().join("shm"), &shape).unwrap();
        let line = region.strategy(StrategyId(3)).unwrap();
        for (state, retry_at, want) in [
            (StrategyState::Running, 0, StrategyState::Running),
            (StrategyState::Paused, 0, StrategyState::Paused),
            (StrategyState::Stopped, 0, StrategyState::Stopped),
            (StrategyState::Failed, 9, StrategyState::Paused),
            (StrategyState::Failed, 0, StrategyState::Failed),
        ] {
            line.write(&StrategyStatus {
                state,
                goal: StrategyState::Paused,
                is_seated: true,
                retry_at: UnixNanos(retry_at),
                values: [4; PARAMS_MAX],
                ..StrategyStatus::default()
            });
            for _ in 0..2 {
                unseat(&region);
                let status = line.read().unwrap();
                assert_eq!(
                    (status.state, status.is_seated),
                    (StrategyState::Loaded, false)
                );
                let kept = Kept::of(&status, 1, None);
                assert_eq!((kept.goal, kept.values), (want, [4; PARAMS_MAX]));
            }
        }
    }

    #[test]
    fn a_file_comes_back_as_it_was_written() {
        for kept in [
            kept(),
            Kept {
                saved: None,
                ..kept()
            },
        ] {
            assert_eq!(Kept::from_text(&kept.to_text()), Some(kept));
        }
    }

    #[test]
    fn damage_to_what_was_learnt_costs_that_and_damage_to_the_head_all() {
        let text = kept().to_text();
        let head_len = text.find("sum ").unwrap();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'4' { b'5' } else { b'4' };
            let read = Kept::from_text(&String::from_utf8(bytes).unwrap());
            if at < head_len {
                assert_eq!(read, None, "at {at}");
            } else if let Some(read) = read {
                let opened = read.saved.as_ref().and_then(SavedState::open);
                assert_eq!(
                    (read.goal, opened),
                    (StrategyState::Stopped, None),
                    "at {at}"
                );
            }
        }
        for end in 0..text.len() - 1 {
            if let Some(read) = Kept::from_text(&text[..end]) {
                assert_eq!(read.saved.as_ref().and_then(SavedState::open), None);
            }
        }
    }
}
