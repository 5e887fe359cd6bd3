// How a guest is built, beside the script that says how it is linked. Included by whoever calls cargo.

/// The target that kernels are built for: `cfg(target_os = "none")` is true, as in the kernel.
const BARE: &str = "x86_64-unknown-none";

/// The host's own target, where the other one is not installed. What asks for `target_os` then sees an
/// operating system.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// The profile `lamprey`: as optimised as a release, as checked as a kernel's debug build. What a workspace
/// asks of its releases and would take our names away is taken back.
const PROFILE: [&str; 6] = [
    "profile.lamprey.inherits=\"release\"",
    "profile.lamprey.debug=2",
    "profile.lamprey.panic=\"abort\"",
    "profile.lamprey.overflow-checks=true",
    "profile.lamprey.strip=false",
    "profile.lamprey.split-debuginfo=\"off\"",
];

/// Code for the topmost two GiB, that knows it is checked: `cfg(lamprey)`.
const FLAGS: [&str; 5] = [
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Cno-redzone=yes",
    "--cfg=lamprey",
    "--check-cfg=cfg(lamprey)",
];

/// For the compiler driver that links for the host: entered without a C runtime.
const HOST_LINKER_FLAGS: [&str; 4] = [
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
    "-Clink-arg=-no-pie",
];

/// For the linker itself, which the other target calls.
const BARE_LINKER_FLAGS: [&str; 2] = ["-Crelro-level=off", "-Clink-arg=--no-pie"];

/// The flags of the compiler, as cargo reads them from `CARGO_ENCODED_RUSTFLAGS` without splitting at spaces.
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

/// Variables that would change a guest's code past the flags it is given.
const NOT_FOR_GUESTS: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
    "CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS",
];
