//! Passes the target and the optimisation level to the library, which records them in the image.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name: &str| env::var(name).unwrap_or_else(|_| "unknown".into());
    println!("cargo::rustc-env=LAMPREY_TARGET_BUILT_FOR={}", of("TARGET"));
    println!("cargo::rustc-env=LAMPREY_OPT_LEVEL={}", of("OPT_LEVEL"));
}
