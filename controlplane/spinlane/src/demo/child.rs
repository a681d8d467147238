//! A process of the demo: started beside us, ended by its pid.

use super::{PATIENCE, POLL};
use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// Lines of a log shown when its process failed.
const LAST_LINES: usize = 12;

/// A running child.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    process: std::process::Child,
    log: PathBuf,
    is_over: bool,
}

impl Child {
    /// Starts a program found beside this one or on PATH; what it says goes to `log`.
    ///
    /// It gets a process group of its own: a Ctrl-C on the terminal is ours to pass on, in order.
    pub fn start(name: &'static str, args: &[String], log: &Path) -> anyhow::Result<Self> {
        let program = find(name)?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening {}", log.display()))?;
        let process = Command::new(&program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self {
            name,
            process,
            log: log.to_owned(),
            is_over: false,
        })
    }

    /// Errors: it has ended, with its last words.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => {
                self.is_over = true;
                bail!(
                    "{} ended by itself ({status}); {}",
                    self.name,
                    self.last_words()
                )
            }
        }
    }

    /// Asks it to end and waits. Errors: it did not end in order, with its last words.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.terminate();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait()? {
                self.is_over = true;
                return self.judge(status);
            }
            if Instant::now() > deadline {
                bail!("{} does not end; {}", self.name, self.last_words());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The end of its log and where it is.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(LAST_LINES)..)
            .unwrap_or(&[]);
        format!(
            "{} said last ({}):\n  {}",
            self.name,
            self.log.display(),
            tail.join("\n  ")
        )
    }

    fn judge(&self, status: ExitStatus) -> anyhow::Result<()> {
        if status.success() {
            return Ok(());
        }
        bail!(
            "{} ended badly ({status}); {}",
            self.name,
            self.last_words()
        )
    }

    fn terminate(&self) {
        // A child that has ended and is not reaped yet still owns its pid.
        let pid = Pid::from_raw(self.process.id().cast_signed());
        kill(pid, Signal::SIGTERM).ok();
    }
}

impl Drop for Child {
    /// The way out of a failed demo: end what was started, in order, and do not hang for ever.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.terminate();
        let deadline = Instant::now() + PATIENCE;
        while let Ok(None) = self.process.try_wait() {
            if Instant::now() > deadline {
                self.process.kill().ok();
                self.process.wait().ok();
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Ourselves, a program beside us, or one on PATH. Errors: none of them, with the mend.
pub fn find(name: &str) -> anyhow::Result<PathBuf> {
    let ourselves = std::env::current_exe().context("finding this program's own file")?;
    if name == "spinlane" {
        return Ok(ourselves);
    }
    let beside = ourselves.parent().map(|dir| dir.join(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join(name));
    beside.into_iter().chain(on_path).find(|file| file.is_file()).with_context(|| {
        format!(
            "{name} is neither beside {} nor on PATH; build it (cargo build --release) or install it",
            ourselves.display()
        )
    })
}
