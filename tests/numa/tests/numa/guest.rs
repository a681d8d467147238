//! An emulated machine, booted for one report.

use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Seconds a boot may take: some six alone, ten times as much beside other work.
const BOOT_S_MAX: u64 = 240;
/// MiB of each node.
const NODE_MIB: usize = 256;
/// Drivers of the card, in the order they lean on each other.
const DRIVERS: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
];

/// What the machine is.
pub struct Machine {
    pub nodes: usize,
    pub cores_a_node: usize,
    pub threads_a_core: usize,
    /// 2 MiB pages reserved on each node.
    pub huge_pages: Vec<usize>,
    /// The node of its network card's slot.
    pub card_node: Option<usize>,
    /// `isolcpus=`.
    pub isolated: &'static str,
}

/// What `.ci/guest` fetched.
fn parts() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest");
    std::env::var_os("SPINLANE_GUEST").map_or(default, PathBuf::from)
}

/// Whether a machine can be booted here; says why not.
pub fn has_emulator() -> bool {
    let qemu = Command::new("qemu-system-x86_64")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let missing = if !qemu.is_ok_and(|status| status.success()) {
        "qemu-system-x86_64 is not installed".to_owned()
    } else if !parts().join("vmlinuz").exists() {
        format!("{} has no kernel: run .ci/guest", parts().display())
    } else {
        return true;
    };
    let must = std::env::var("REQUIRE").unwrap_or_default();
    assert!(
        !must.split(',').any(|it| it == "qemu"),
        "required, but {missing}"
    );
    println!("skipped: {missing}");
    false
}

/// Boots the machine and returns the probe's report.
pub fn boot(machine: &Machine) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let initramfs = dir.path().join("initramfs");
    std::fs::write(&initramfs, image()).unwrap();
    let start = Instant::now();
    let output = Command::new("timeout")
        .arg(BOOT_S_MAX.to_string())
        .arg("qemu-system-x86_64")
        // An AMD processor tells of its threads by a leaf that the emulator has not.
        .args(["-accel", "tcg,thread=multi", "-M", "q35"])
        .args(["-cpu", "max,vendor=GenuineIntel"])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(parts().join("vmlinuz"))
        .arg("-initrd")
        .arg(&initramfs)
        .args(arguments(machine))
        .args(["-append", &command_line(machine)])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!(
        "{} nodes: {} s from start to report and power-off",
        machine.nodes,
        start.elapsed().as_secs()
    );
    // What the guest says besides: nothing, where all is well.
    for line in text.lines().filter(|line| !line.contains("PROBE ")) {
        println!("guest: {line}");
    }
    let line = text.lines().find_map(|line| line.split_once("PROBE "));
    let Some((_, line)) = line else {
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!("no report ({}):\n{text}\n{errors}", output.status);
    };
    serde_json::from_str(line).unwrap()
}

fn arguments(machine: &Machine) -> Vec<String> {
    let cpus = machine.cores_a_node * machine.threads_a_core;
    let mut list = vec![
        "-m".to_owned(),
        format!("{}M", NODE_MIB * machine.nodes),
        "-smp".to_owned(),
        format!(
            "{},sockets={},cores={},threads={}",
            cpus * machine.nodes,
            machine.nodes,
            machine.cores_a_node,
            machine.threads_a_core
        ),
    ];
    let mut add = |option: &str, value: String| list.extend([option.to_owned(), value]);
    for node in 0..machine.nodes {
        let (first, last) = (node * cpus, (node + 1) * cpus - 1);
        add(
            "-object",
            format!("memory-backend-ram,id=m{node},size={NODE_MIB}M"),
        );
        add(
            "-numa",
            format!("node,nodeid={node},cpus={first}-{last},memdev=m{node}"),
        );
    }
    if let Some(node) = machine.card_node {
        // A PCI root of its own, on that node.
        add(
            "-device",
            format!("pxb-pcie,id=root,bus=pcie.0,bus_nr=64,numa_node={node}"),
        );
        add("-device", "pcie-root-port,id=under,bus=root".to_owned());
        add("-device", "virtio-net-pci,bus=under".to_owned());
    }
    list
}

fn command_line(machine: &Machine) -> String {
    let pages = machine.huge_pages.iter().enumerate();
    let pages: Vec<String> = pages
        .map(|(node, count)| format!("{node}:{count}"))
        .collect();
    let mut line = format!(
        "console=ttyS0 quiet panic=-1 hugepagesz=2M hugepages={}",
        pages.join(",")
    );
    if !machine.isolated.is_empty() {
        write!(line, " isolcpus={}", machine.isolated).expect("a string");
    }
    line
}

const INIT: &str = "#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
for driver in DRIVERS; do /bin/busybox insmod /$driver.ko; done
/numa-probe 2>&1
/bin/busybox poweroff -f
";

/// The first file system: busybox, the probe with its libraries, the card's drivers.
fn image() -> Vec<u8> {
    let mut archive = Archive::default();
    for folder in ["bin", "proc", "sys", "dev", "lib", "lib64"] {
        archive.add(folder, 0o040_755, &[]);
    }
    archive.add("dev/console", 0o020_600, &[]);
    archive.file("bin/busybox", &parts().join("busybox"));
    archive.add(
        "init",
        0o100_755,
        INIT.replace("DRIVERS", &DRIVERS.join(" ")).as_bytes(),
    );
    for driver in DRIVERS {
        let name = format!("{driver}.ko");
        archive.file(&name, &parts().join(&name));
    }
    let probe = Path::new(env!("CARGO_BIN_EXE_numa-probe"));
    archive.file("numa-probe", probe);
    for library in libraries(probe) {
        let name = library.file_name().unwrap().to_string_lossy();
        let folder = if name.starts_with("ld-linux") {
            "lib64"
        } else {
            "lib"
        };
        archive.file(&format!("{folder}/{name}"), &library);
    }
    archive.end()
}

/// Shared libraries of a program, as the loader finds them here.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.split_whitespace();
    words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// A `newc` archive (Documentation/driver-api/early-userspace/buffer-format.rst).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    count: usize,
}

impl Archive {
    fn file(&mut self, name: &str, from: &Path) {
        let bytes =
            std::fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        self.add(name, 0o100_755, &bytes);
    }

    fn add(&mut self, name: &str, mode: u32, bytes: &[u8]) {
        self.count += 1;
        // The console: character device 5, 1.
        let (major, minor) = if mode & 0o170_000 == 0o020_000 {
            (5, 1)
        } else {
            (0, 0)
        };
        let (size, name_size) = (bytes.len(), name.len() + 1);
        let fields = [
            self.count,
            mode as usize,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            major,
            minor,
            name_size,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        let size = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(size, 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }
}
