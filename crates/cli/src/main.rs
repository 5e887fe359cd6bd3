//! `lamprey`: see [`lamprey_cli`].

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    lamprey_cli::main("lamprey")
}
