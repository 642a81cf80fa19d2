//! Where a compiler for `wasm32-unknown-unknown` comes from, in this order:
//!
//! 1. the toolchain in use has the target;
//! 2. some compiler has the source of its own standard library (Debian's `rustc-web` and `rust-web-src`, or rustup's
//!    `rust-src`): cargo builds the standard library along, once per target directory;
//! 3. rustup fetches the target;
//! 4. as root, apt-get installs Debian's packages.
//!
//! The last two change the machine: they come last, say so, and `PATCHBAY_OFFLINE` forbids them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result, bail};

use super::TARGET;

/// How long `rustup target add` may take: some 20 MB, or a refusal where there is no network.
const RUSTUP_SECONDS_MAX: u64 = 20;

/// The SDK's `rust-version`.
const RUST_MINOR_MIN: u32 = 88;

const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// How to compile for the target.
#[derive(Debug, Clone)]
pub(super) struct Toolchain {
    /// A compiler other than cargo's own, that builds its standard library.
    from_source: Option<PathBuf>,
    /// Where `wasm-component-ld` and `wasm-ld` are.
    linkers: Vec<PathBuf>,
}

/// Finds a toolchain, fetching one if need be; looked for once in a process.
pub(super) fn find(dir: &Path) -> Result<Toolchain> {
    static FOUND: Mutex<Option<Result<Toolchain, String>>> = Mutex::new(None);
    let mut found = FOUND
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let result = found.get_or_insert_with(|| look_for(dir).map_err(|error| format!("{error:#}")));
    result.clone().map_err(anyhow::Error::msg)
}

fn look_for(dir: &Path) -> Result<Toolchain> {
    let Some(ambient) = Compiler::ask(OsStr::new("rustc"), dir) else {
        bail!("no Rust toolchain here: `cargo` and `rustc` must be in PATH (https://rustup.rs)");
    };
    let linkers = linkers(&ambient)?;
    if ambient.has_target() {
        return Ok(Toolchain {
            from_source: None,
            linkers,
        });
    }
    if let Some(rustc) = with_source(dir) {
        return Ok(Toolchain {
            from_source: Some(rustc),
            linkers,
        });
    }
    let offline = env::var_os("PATCHBAY_OFFLINE").is_some_and(|value| !value.is_empty());
    if !offline && add_target(dir) {
        return Ok(Toolchain {
            from_source: None,
            linkers,
        });
    }
    if is_debian() {
        let packages = DEBIAN_PACKAGES.join(" ");
        if offline || !is_root() {
            bail!(
                "no compiler for {TARGET} here; install one: `rustup target add {TARGET}`, \
                 or `sudo apt-get install --no-install-recommends {packages}`"
            );
        }
        install_debian_packages()?;
        if let Some(rustc) = with_source(dir) {
            return Ok(Toolchain {
                from_source: Some(rustc),
                linkers,
            });
        }
        bail!(
            "{packages} are installed, but no compiler with the source of its standard library was found"
        );
    }
    bail!("no compiler for {TARGET} here; install one: `rustup target add {TARGET}`")
}

impl Toolchain {
    /// Cargo with this toolchain's environment.
    pub(super) fn cargo(&self) -> Result<Command> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(self.linkers.iter().cloned().chain(env::split_paths(&path)))
            .context("PATH cannot be extended")?;
        cargo.env("PATH", path);
        if let Some(rustc) = &self.from_source {
            // Building std is not a stable feature of cargo: the variable unlocks it.
            cargo
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1")
                .arg("-Zbuild-std=std,panic_abort");
        }
        Ok(cargo)
    }
}

/// What a compiler says of itself.
struct Compiler {
    sysroot: PathBuf,
    host: String,
    minor: u32,
}

impl Compiler {
    /// `dir` matters because rustup's choice depends on it.
    fn ask(rustc: &OsStr, dir: &Path) -> Option<Self> {
        let sysroot = output(
            Command::new(rustc)
                .args(["--print", "sysroot"])
                .current_dir(dir),
        )?;
        let version = output(Command::new(rustc).arg("-vV").current_dir(dir))?;
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name));
        Some(Self {
            sysroot: PathBuf::from(sysroot.trim()),
            host: field("host: ")?.to_owned(),
            minor: field("release: ")?.split('.').nth(1)?.parse().ok()?,
        })
    }

    fn rustlib(&self) -> PathBuf {
        self.sysroot.join("lib").join("rustlib")
    }

    fn has_target(&self) -> bool {
        self.rustlib().join(TARGET).is_dir()
    }

    fn has_source(&self) -> bool {
        self.rustlib()
            .join("src/rust/library/std/Cargo.toml")
            .is_file()
    }
}

/// A compiler new enough that has the source of its own standard library.
fn with_source(dir: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain([PathBuf::from("/usr/bin")]);
    let mut compilers = places
        .map(|place| place.join(program("rustc")))
        .filter(|rustc| rustc.is_file());
    compilers.find(|rustc| {
        Compiler::ask(rustc.as_os_str(), dir)
            .is_some_and(|compiler| compiler.has_source() && compiler.minor >= RUST_MINOR_MIN)
    })
}

/// The directories of the linker and of `wasm-ld`, which it calls: those of rustup's toolchains come with them.
fn linkers(ambient: &Compiler) -> Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    let rustup = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".rustup")));
    let toolchains = rustup.and_then(|rustup| std::fs::read_dir(rustup.join("toolchains")).ok());
    let others = toolchains
        .into_iter()
        .flatten()
        .flatten()
        .map(|toolchain| toolchain.path());
    for sysroot in [ambient.sysroot.clone()].into_iter().chain(others) {
        let bin = sysroot.join("lib/rustlib").join(&ambient.host).join("bin");
        places.push(bin.join("gcc-ld"));
        places.push(bin);
    }
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut found: Vec<PathBuf> = Vec::new();
    for (tool, how) in [
        ("wasm-component-ld", "`cargo install wasm-component-ld`"),
        ("wasm-ld", "the package `lld`"),
    ] {
        match places
            .iter()
            .find(|place| place.join(program(tool)).is_file())
        {
            Some(place) => found.push(place.clone()),
            None => bail!(
                "the linker {tool} was not found: rustup's toolchains bring it along, else {how}"
            ),
        }
    }
    Ok(found)
}

/// `rustup target add`, where rustup is; whether it worked.
fn add_target(dir: &Path) -> bool {
    let mut rustup = Command::new("rustup");
    rustup
        .args(["target", "add", TARGET])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let Ok(mut child) = rustup.spawn() else {
        return false;
    };
    eprintln!("rustup target add {TARGET} (at most {RUSTUP_SECONDS_MAX} s)");
    let deadline = Instant::now() + Duration::from_secs(RUSTUP_SECONDS_MAX);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(100)),
            _ => break,
        }
    }
    // It may be gone already.
    let _ = child.kill();
    let _ = child.wait();
    false
}

fn install_debian_packages() -> Result<()> {
    eprintln!(
        "apt-get install --no-install-recommends {} (about 140 MB)",
        DEBIAN_PACKAGES.join(" ")
    );
    let install = || {
        apt_get()
            .args(["install", "-y", "--no-install-recommends"])
            .args(DEBIAN_PACKAGES)
            .status()
    };
    if install().context("cannot run apt-get")?.success() {
        return Ok(());
    }
    eprintln!("apt-get update, then again");
    // What went wrong with the lists shows in the second attempt.
    let _ = apt_get().arg("update").status();
    if !install().context("cannot run apt-get")?.success() {
        bail!(
            "apt-get could not install {}",
            DEBIAN_PACKAGES.join(" and ")
        );
    }
    Ok(())
}

/// Its talk goes to stderr: stdout is for the caller.
fn apt_get() -> Command {
    let mut apt_get = Command::new("apt-get");
    apt_get
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(std::io::stderr());
    apt_get
}

fn is_debian() -> bool {
    Path::new("/usr/bin/apt-get").is_file()
}

fn is_root() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // The process's own entry belongs to its effective user.
        std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
    }
    #[cfg(not(unix))]
    false
}

fn program(name: &str) -> OsString {
    OsString::from(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// The output of a command that succeeded.
fn output(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
