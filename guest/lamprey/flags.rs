// The build of a guest, beside the script that links it. Included by every caller of cargo.

/// The target that kernels are built for: `cfg(target_os = "none")` is true, as in the kernel.
const BARE: &str = "x86_64-unknown-none";

/// The host's own target, if the other one is not installed. Code that tests `target_os` then sees
/// an operating system.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// The profile `lamprey`: as optimised as a release, as checked as a kernel's debug build. Settings
/// that a workspace makes for its releases and that would remove our names are reverted.
const PROFILE: [&str; 6] = [
    "profile.lamprey.inherits=\"release\"",
    "profile.lamprey.debug=2",
    "profile.lamprey.panic=\"abort\"",
    "profile.lamprey.overflow-checks=true",
    "profile.lamprey.strip=false",
    "profile.lamprey.split-debuginfo=\"off\"",
];

/// Code for the topmost two GiB that can test for the checker: `cfg(lamprey)`.
const FLAGS: [&str; 5] = [
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Cno-redzone=yes",
    "--cfg=lamprey",
    "--check-cfg=cfg(lamprey)",
];

/// For the compiler driver that links for the host: no C runtime at the entry point.
const HOST_LINKER_FLAGS: [&str; 4] = [
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
    "-Clink-arg=-no-pie",
];

/// For the linker itself, which the other target calls.
const BARE_LINKER_FLAGS: [&str; 2] = ["-Crelro-level=off", "-Clink-arg=--no-pie"];

/// Encodes the flags of the compiler for `CARGO_ENCODED_RUSTFLAGS`, which cargo does not split at spaces.
fn encoded_flags(target: &str, script: &std::path::Path) -> std::ffi::OsString {
    let (linker, link_by) = match target == BARE {
        true => (&BARE_LINKER_FLAGS[..], "-Clink-arg=-T"),
        false => (&HOST_LINKER_FLAGS[..], "-Clink-arg=-Wl,-T,"),
    };
    let flags: Vec<&str> = FLAGS.iter().chain(linker).copied().chain([link_by]).collect();
    let mut encoded = std::ffi::OsString::from(flags.join("\x1f"));
    encoded.push(script);
    encoded
}

/// Variables that would change a guest's code despite the given flags.
const NOT_FOR_GUESTS: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
    "CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS",
];
