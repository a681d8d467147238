//! `spinlane`.
#![forbid(unsafe_code)]

use clap::Parser;
use spinlane::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Nothing here is mended by unwinding: what panics ends at once, tasks and threads of libraries too.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
    let cli = Cli::parse();
    let as_json = cli.json;
    match spinlane::app::run(cli) {
        Ok(code) => code,
        Err(error) => {
            spinlane::fail::print(&error, as_json);
            ExitCode::from(spinlane::fail::exit_code(&error))
        }
    }
}
