//! `cargo lamprey X`: `lamprey X`, as a subcommand of cargo. See [`lamprey_cli`].

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    lamprey_cli::main("cargo lamprey")
}
