//! Arguments → configuration → [`patchbay::Acs::run`].

fn main() -> std::process::ExitCode {
    patchbay::cli::main()
}
