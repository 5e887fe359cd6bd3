//! `cargo lamprey X`: `lamprey X`, as a subcommand of cargo. See [`lamprey_cli`].

fn main() -> std::process::ExitCode {
    lamprey_cli::main("cargo lamprey")
}
