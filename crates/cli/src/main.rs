//! `lamprey`: see [`lamprey_cli`].

fn main() -> std::process::ExitCode {
    lamprey_cli::main("lamprey")
}
