//! Tells the library what it is built for, so that the image can say it.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name: &str| env::var(name).unwrap_or_else(|_| "unknown".into());
    println!("cargo::rustc-env=LAMPREY_TARGET_BUILT_FOR={}", of("TARGET"));
    println!("cargo::rustc-env=LAMPREY_OPT_LEVEL={}", of("OPT_LEVEL"));
}
