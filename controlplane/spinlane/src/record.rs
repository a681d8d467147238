//! `spinlane record`: becomes the trading program's own recorder, so that signals and its words are its.

use crate::cli::RecordArgs;
use crate::demo::child::find;
use crate::fail::Usage;
use anyhow::Context as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Replaces this process. Errors: no configuration is named, or the program cannot be started.
pub fn run(args: &RecordArgs, config: Option<&Path>, as_json: bool) -> anyhow::Result<()> {
    let Some(config) = config else {
        let why = "record: name the node's configuration: --config FILE";
        return Err(Usage(why.into()).into());
    };
    let program = find("spinlane-dataplane")?;
    let mut command = Command::new(&program);
    command.arg("record").arg("--config").arg(config);
    command.arg("--out").arg(&args.out);
    if let Some(seconds) = args.seconds {
        command.args(["--seconds", &seconds.to_string()]);
    }
    if as_json {
        command.arg("--json");
    }
    Err(command.exec()).with_context(|| format!("starting {}", program.display()))
}
