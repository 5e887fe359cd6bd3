//! `lamprey run`: a kernel boots, its serial line goes to standard output, and the exit code says how it ended.

mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tool::{folder, lamprey, run};

/// Returns the image of `guest/bare`, built once for all tests and later runs.
fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare");
        let mut command = Command::new(env!("CARGO"));
        // These variables would replace the flags that the guest needs.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(variable);
        }
        let status = command
            .args(["build", "--quiet", "--release", "--target-dir"])
            .arg(&target)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/bare"))
            .status();
        assert!(status.expect("cargo runs").success(), "guest/bare builds");
        target.join("x86_64-unknown-linux-gnu/release/bare")
    })
}

#[test]
fn the_guest_ends_on_every_schedule() {
    let folder = folder();
    let (exit, out, err) = run(lamprey(folder.path()).arg("run").arg(image()));
    assert_eq!((exit, &*err), (0, ""));
    assert!(out.ends_with("end: all groups have run\n"), "{out}");
    for seed in ["0", "1", "2", "3"] {
        let (exit, seeded, err) =
            run(lamprey(folder.path()).args(["run", "--seed", seed]).arg(image()));
        assert_eq!((exit, &*err), (0, ""), "seed {seed}");
        assert_eq!(seeded, out, "the guest's output does not depend on the schedule");
    }
}

#[test]
fn a_limit_exits_with_3_and_a_failing_guest_with_1() {
    let folder = folder();
    let (exit, out, err) = run(lamprey(folder.path()).args(["run", "--limit", "1k"]).arg(image()));
    assert_eq!((exit, &*out), (3, ""));
    assert!(err.starts_with("error: not ended after 1000 instructions: CPU0 at 0x"), "{err}");
    // The guest has tables for two CPUs.
    let (exit, out, err) = run(lamprey(folder.path()).args(["run", "--cpus", "3"]).arg(image()));
    assert_eq!(exit, 1);
    assert!(out.contains("panic: "), "{out}");
    assert_eq!(err, "error: the guest ended with 0x11; 0x10 is success\n");
}

#[test]
fn a_trace_prints_every_instruction_to_standard_error() {
    let folder = folder();
    let args = ["run", "--trace", "--limit", "100"];
    let (exit, _, err) = run(lamprey(folder.path()).args(args).arg(image()));
    assert_eq!(exit, 3);
    assert_eq!(err.lines().filter(|line| line.starts_with("cpu0 ")).count(), 100, "{err}");
}

#[test]
fn images_that_cannot_run_exit_with_2() {
    let folder = folder();
    let text = folder.path().join("text");
    fs::write(&text, "no ELF").expect("a file");
    let nameless = folder.path().join("nameless");
    let mut bytes = fs::read(image()).expect("the image");
    let name = b"\0boot_page_tables\0";
    let place = bytes.windows(name.len()).position(|window| window == name).expect("its symbol");
    bytes[place + 1] = b'B';
    fs::write(&nameless, bytes).expect("a file");
    let cases: [(&[&str], &Path, &str); 5] = [
        (&[], Path::new("absent"), "absent: no such file"),
        (&[], &text, "not an ELF file"),
        (&[], &nameless, "no symbol `boot_page_tables`"),
        (&["--memory", "1M"], image(), "are not in 0x100000 bytes of memory"),
        (&["--memory", "5000"], image(), "it must be a multiple of 4096"),
    ];
    for (flags, path, words) in cases {
        let (exit, out, err) = run(lamprey(folder.path()).arg("run").args(flags).arg(path));
        assert_eq!((exit, &*out), (2, ""), "{words}: {err}");
        assert!(err.starts_with("error: ") && err.contains(words), "{words}: {err}");
    }
    let (exit, _, err) = run(lamprey(folder.path()).args(["run", "--cpus", "0"]).arg(&text));
    assert_eq!(exit, 2);
    assert!(err.contains("0 is not in 1..=8"), "{err}");
}
