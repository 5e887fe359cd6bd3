// How a guest is built, beside the script that says how it is linked. Included by whoever calls cargo.

/// The host's own target: no other has to be installed.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The profile `lamprey`: as optimised as a release, as checked as a kernel's debug build.
const PROFILE: [&str; 4] = [
    "profile.lamprey.inherits=\"release\"",
    "profile.lamprey.debug=2",
    "profile.lamprey.panic=\"abort\"",
    "profile.lamprey.overflow-checks=true",
];

/// Code for the topmost two GiB, entered without a C runtime.
const FLAGS: [&str; 7] = [
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Cno-redzone=yes",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
    "-Clink-arg=-no-pie",
];

/// Variables that would change a guest's code behind our back.
const NOT_FOR_GUESTS: [&str; 5] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
];
