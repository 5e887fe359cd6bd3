use std::process::Command;

fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let flags = "-O2 -g -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone \
                 -mgeneral-regs-only -fno-stack-protector -fcf-protection=none";
    let run = |program: &str, args: Vec<&str>| {
        assert!(Command::new(program).args(args).status().unwrap().success(), "{program}");
    };
    let (object, archive) = (format!("{out}/c.o"), format!("{out}/libc_code.a"));
    run("cc", flags.split_whitespace().chain(["-c", "c.c", "-o", &object]).collect());
    run("ar", vec!["crs", &archive, &object]);
    println!("cargo::rustc-link-search=native={out}");
    println!("cargo::rustc-link-lib=static=c_code");
    println!("cargo::rerun-if-changed=c.c");
}
