//! `spinlane-dataplane`: the shipped binary.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    dp_app::main(&dp_strategy::SHIPPED)
}
