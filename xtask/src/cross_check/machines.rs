//! What the image runs on. Every run has a time limit.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use serde::Deserialize;

use super::image;
use crate::project;

/// More than a hundred times what an emulator takes.
const EMULATOR_LIMIT: Duration = Duration::from_secs(120);
const LAMPREY_LIMIT: Duration = Duration::from_secs(600);

/// QEMU's status for the byte 10H at its exit port.
const QEMU_DONE: i32 = 0x10 << 1 | 1;

/// The firmware images that Debian's packages install.
const BOCHS_BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
const BOCHS_VGA: &str = "/usr/share/bochs/VGABIOS-lgpl-latest";

/// A machine to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Machine {
    /// QEMU's own code generator, the widest processor it has
    Qemu,
    /// Bochs, a processor with PCIDs
    Bochs,
    /// `lamprey run`
    Lamprey,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Machine::Qemu => "qemu",
            Machine::Bochs => "bochs",
            Machine::Lamprey => "lamprey",
        })
    }
}

impl Machine {
    pub(super) const ALL: [Machine; 3] = [Machine::Qemu, Machine::Bochs, Machine::Lamprey];

    /// Runs the image; what it wrote to the serial line. Its other output is kept in `folder`.
    pub(super) fn run(self, image: &Path, folder: &Path) -> anyhow::Result<String> {
        match self {
            Machine::Qemu => qemu(image, folder),
            Machine::Bochs => bochs(image, folder),
            Machine::Lamprey => lamprey(image, folder),
        }
    }

    /// The line in which it names its version.
    pub(super) fn version(self) -> anyhow::Result<String> {
        let (program, argument, mark): (PathBuf, _, _) = match self {
            Machine::Qemu => ("qemu-system-x86_64".into(), "--version", "version"),
            Machine::Bochs => ("bochs".into(), "--help", "Emulator"),
            Machine::Lamprey => (project::lamprey()?, "--version", "lamprey"),
        };
        let output = Command::new(program).arg(argument).output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().find(|line| line.contains(mark)).context("it tells no version")?;
        Ok(line.trim().to_owned())
    }
}

/// Installs Debian packages if `program` is missing.
fn provide(program: &str, packages: &[&str]) -> anyhow::Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).exists()) {
        return Ok(());
    }
    let user = Command::new("id").arg("-u").output().context("cannot run id")?.stdout;
    let advice = format!("apt-get install {}", packages.join(" "));
    ensure!(user == b"0\n", "there is no {program}; as root: {advice}");
    println!("installs {}", packages.join(" "));
    for arguments in [&["update"][..], &["install", "--yes", "--no-install-recommends"]] {
        let mut command = Command::new("apt-get");
        command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        if arguments.len() > 1 {
            command.args(packages);
        }
        let status = command.stdout(Stdio::null()).status().context("cannot run apt-get")?;
        ensure!(status.success(), "there is no {program}, and {advice} fails");
    }
    Ok(())
}

/// Runs `command`, its errors to `log`, its output to `output` or there, too; its exit status.
fn limited(
    command: &mut Command,
    log: &Path,
    output: Option<&Path>,
    limit: Duration,
) -> anyhow::Result<Option<i32>> {
    let errors = File::create(log)?;
    let output = output.map_or_else(|| errors.try_clone(), File::create)?;
    let mut child = command
        .stdin(Stdio::null())
        .stderr(errors)
        .stdout(output)
        .spawn()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            bail!("not done after {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn qemu(image: &Path, folder: &Path) -> anyhow::Result<String> {
    provide("qemu-system-x86_64", &["qemu-system-x86"])?;
    let serial = folder.join("qemu.serial");
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-accel", "tcg", "-cpu", "max", "-machine", "q35", "-smp", "2", "-m", "64"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"])
        .args(["-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .arg("-serial")
        .arg(format!("file:{}", serial.display()))
        .arg("-kernel")
        .arg(image);
    let log = folder.join("qemu.log");
    let status = limited(&mut command, &log, None, EMULATOR_LIMIT)?;
    let said = fs::read_to_string(&log)?;
    ensure!(status == Some(QEMU_DONE), "status {status:?}, {said:?}; see {}", serial.display());
    Ok(fs::read_to_string(serial)?)
}

fn bochs(image: &Path, folder: &Path) -> anyhow::Result<String> {
    provide("bochs", &["bochs", "bochsbios", "vgabios"])?;
    let (disk, serial) = (folder.join("bochs.disk"), folder.join("bochs.serial"));
    let (settings, orders) = (folder.join("bochsrc"), folder.join("bochs.orders"));
    fs::write(&disk, image::disk(image)?)?;
    // A run that was killed leaves its lock behind.
    let _ = fs::remove_file(folder.join("bochs.disk.lock"));
    fs::write(&serial, "")?;
    fs::write(&orders, "c\n")?;
    fs::write(
        &settings,
        format!(
            "config_interface: textconfig\n\
             display_library: rfb, options=\"timeout=0\"\n\
             romimage: file={BOCHS_BIOS}\n\
             vgaromimage: file={BOCHS_VGA}\n\
             megs: 64\n\
             cpu: model=corei7_icelake_u, count=2, ips=50000000, reset_on_triple_fault=0\n\
             ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n\
             ata0-master: type=disk, mode=flat, path={}, cylinders={}, heads=16, spt=63\n\
             boot: disk\n\
             com1: enabled=1, mode=file, dev={}\n\
             sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy\n\
             speaker: enabled=1, mode=none\n\
             panic: action=fatal\n",
            disk.display(),
            image::CYLINDERS,
            serial.display(),
        ),
    )?;
    let mut command = Command::new("bochs");
    command.arg("-q").arg("-f").arg(settings).arg("-rc").arg(orders);
    let log = folder.join("bochs.log");
    limited(&mut command, &log, None, EMULATOR_LIMIT)?;
    // Its status says nothing: it ends by a panic, which the guest asks for.
    let said = fs::read(&log)?;
    let asked = String::from_utf8_lossy(&said).contains("shutdown requested");
    ensure!(asked, "it was not shut down by the guest; see {}", log.display());
    Ok(fs::read_to_string(serial)?)
}

fn lamprey(image: &Path, folder: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(project::lamprey()?);
    let (log, serial) = (folder.join("lamprey.log"), folder.join("lamprey.serial"));
    let status = limited(command.arg("run").arg(image), &log, Some(&serial), LAMPREY_LIMIT)?;
    let said = fs::read_to_string(&log)?;
    let first = said.lines().next().unwrap_or_default();
    ensure!(
        status == Some(0),
        "`lamprey run` ends with {status:?}: {first}; see {}",
        log.display()
    );
    Ok(fs::read_to_string(serial)?)
}
