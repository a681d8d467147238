//! `spinlane`.
#![forbid(unsafe_code)]

use clap::Parser;
use spinlane::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
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
