//! Arguments → configuration → [`patchbay::Acs::run`].

/// A session is a few hundred small allocations: glibc's allocator takes a quarter of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    patchbay::cli::main()
}
