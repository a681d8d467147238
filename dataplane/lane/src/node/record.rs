//! Recordings of what the engines of a node are told, where the configuration asks for them.

use super::NodeError;
use crate::cast;
use crate::inputs::{Ended, Recorder, Shelf, keep};
use dp_config::{Config, Role};
use dp_types::{Epoch, LaneId};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

/// One lane's recording.
struct One {
    lane: usize,
    path: PathBuf,
    shelf: Arc<Shelf>,
    /// Until its lane has taken it.
    recorder: Mutex<Option<Recorder>>,
}

/// Those of a node's start.
pub(super) struct Recordings {
    lanes: Vec<One>,
    bytes_max: u64,
}

impl Recordings {
    /// For each engine a file of its own. Errors: the directory cannot be made.
    pub(super) fn prepare(config: &Config, epoch: Epoch) -> Result<Self, NodeError> {
        let bytes_max = u64::from(config.node.inputs_mib_max) << 20;
        let mut lanes = Vec::new();
        if let Some(dir) = &config.node.inputs_dir {
            std::fs::create_dir_all(dir).map_err(|error| {
                super::sentence(format!("node.inputs_dir: {}: {error}", dir.display()))
            })?;
            let has_engine = |lane: &usize| !cast::venues(config, Role::Engine, *lane).is_empty();
            for lane in (0..config.lane.len()).filter(has_engine) {
                let shelf = Arc::new(Shelf::default());
                let name = format!("{}-{}-{lane}.inputs", config.node.name, epoch.0);
                lanes.push(One {
                    lane,
                    path: dir.join(name),
                    recorder: Mutex::new(Some(Recorder::new(Arc::clone(&shelf)))),
                    shelf,
                });
            }
        }
        Ok(Self { lanes, bytes_max })
    }

    /// A lane's, once.
    pub(super) fn take(&self, lane: LaneId) -> Option<Recorder> {
        let one = self
            .lanes
            .iter()
            .find(|it| it.lane == usize::from(lane.0))?;
        let mut held = one.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        held.take()
    }

    /// A thread for each file. What it returns must live until the lanes have ended.
    pub(super) fn start<'s>(&'s self, scope: &'s Scope<'s, '_>) -> Untaken<'s> {
        for one in &self.lanes {
            let name = format!("inputs-{}", one.lane);
            let spawned = std::thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, || self.keep(one));
            if let Err(error) = spawned {
                tracing::error!(lane = one.lane, %error, "no thread for its recording: it has none");
            }
        }
        Untaken(self)
    }

    fn keep(&self, one: &One) {
        let (lane, path) = (one.lane, one.path.display());
        tracing::info!(lane, file = %path, "inputs are recorded");
        match keep(&one.shelf, &one.path, self.bytes_max) {
            Ok(Ended::Whole { bytes }) => {
                tracing::info!(lane, file = %path, bytes, "inputs recorded");
            }
            Ok(Ended::TooSlow { bytes }) => {
                tracing::error!(lane, file = %path, bytes, "the disk was too slow: inputs are recorded up to there");
            }
            Ok(Ended::TooLong { bytes }) => {
                tracing::warn!(lane, file = %path, bytes, "node.inputs_mib_max reached: inputs are recorded up to there");
            }
            Err(error) => tracing::error!(lane, %error, "inputs are not recorded any more"),
        }
    }
}

/// Ends the recordings no lane has taken, lest their threads wait for ever.
pub(super) struct Untaken<'s>(&'s Recordings);

impl Drop for Untaken<'_> {
    fn drop(&mut self) {
        for one in &self.0.lanes {
            let mut held = one.recorder.lock().unwrap_or_else(PoisonError::into_inner);
            drop(held.take());
        }
    }
}
