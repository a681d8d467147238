//! `spinlane-dataplane`: the shipped binary.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    dp_lane::app::main(&dp_strategy::SHIPPED)
}
