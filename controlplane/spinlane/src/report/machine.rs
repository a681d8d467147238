//! What the figures were measured on: without it they mean nothing.

use serde::Serialize;

/// The machine.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    /// Processor.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Runs under a hypervisor.
    pub is_virtual: bool,
    /// Cores kept free of other work, as the kernel was told; empty = none.
    pub isolated: String,
    /// Load over one, five and fifteen minutes.
    pub load: String,
    /// Memory, MiB.
    pub memory_mib: u64,
}

impl Machine {
    /// Reads what the kernel says; what it does not say stays empty.
    pub fn read() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or("", |(_, value)| value.trim())
        };
        let memory = read("/proc/meminfo");
        let memory_kib = memory.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        });
        let load = read("/proc/loadavg");
        Self {
            cpu: field("model name").to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            is_virtual: field("flags").split(' ').any(|flag| flag == "hypervisor"),
            isolated: read("/sys/devices/system/cpu/isolated").trim().to_owned(),
            load: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
            memory_mib: memory_kib.unwrap_or(0) / 1_024,
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        format!(
            "{}, {} cores{}, Linux {}, load {}",
            self.cpu,
            self.cores,
            if self.is_virtual { " (virtual)" } else { "" },
            self.kernel,
            self.load
        )
    }
}
