//! What the packages are made of is there.

use std::path::Path;
use std::process::Command;

use super::served::run;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What is built before a package is made.
const BUILT: &str = "target/";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Whether there is such a file; `*` stands for any name.
fn exists(path: &str) -> bool {
    match path.split_once('*') {
        None => Path::new(ROOT).join(path).exists(),
        Some((directory, end)) => {
            let entries = std::fs::read_dir(Path::new(ROOT).join(directory)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.into_iter().any(|name| name.ends_with(end))
        }
    }
}

/// What the Debian package has, by where it is installed.
fn assets() -> Vec<(String, String)> {
    let manifest: toml::Table = read("host/Cargo.toml").parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let assets = deb["assets"].as_array().unwrap().iter().map(|asset| {
        let part = |at: usize| asset[at].as_str().unwrap().to_owned();
        (part(0).trim_start_matches("../").to_owned(), part(1))
    });
    assets.collect()
}

#[test]
fn what_the_debian_package_has_is_there() {
    let assets = assets();
    for (source, _) in assets
        .iter()
        .filter(|(source, _)| !source.starts_with(BUILT))
    {
        assert!(exists(source), "{source}");
    }
    let manifest: toml::Table = read("host/Cargo.toml").parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    for conffile in deb["conf-files"].as_array().unwrap() {
        let path = conffile.as_str().unwrap().trim_start_matches('/');
        assert!(
            assets.iter().any(|(_, to)| to == path),
            "{path} is not installed"
        );
    }
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        let path = format!("packaging/debian/{script}");
        let text = read(&path);
        assert!(text.contains("\n#DEBHELPER#\n"), "{script}");
        let checked = Command::new("sh")
            .arg("-n")
            .arg(Path::new(ROOT).join(path))
            .status();
        assert!(checked.unwrap().success(), "{script}");
    }
    assert!(exists("packaging/patchbay.service"));
}

/// The unit names files that the package installs, or that are made when it is.
#[test]
fn the_unit_and_the_package_agree() {
    let unit = read("packaging/patchbay.service");
    let line = |key: &str| {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("the unit has no {key}"))
            .to_owned()
    };
    let installed: Vec<String> = assets()
        .into_iter()
        .map(|(_, to)| format!("/{to}"))
        .collect();
    let start = line("ExecStart");
    let words: Vec<&str> = start.split(' ').collect();
    assert_eq!(words[..3], ["/usr/bin/patchbay", "serve", "--config"]);
    assert!(installed.contains(&"/usr/bin/".to_owned()));
    assert!(installed.contains(&words[3].to_owned()), "{start}");
    let config: toml::Table = read("examples/patchbay.toml").parse().unwrap();
    let data = format!("/var/lib/{}", line("StateDirectory"));
    assert_eq!(config["data_directory"].as_str(), Some(data.as_str()));
    let writable = line("ReadWritePaths");
    assert_eq!(
        config["plugin_directory"].as_str(),
        Some(writable.trim_start_matches('-'))
    );
    assert!(read("packaging/debian/postinst").contains(&format!("--home {data} patchbay")));
    assert_eq!(
        (line("Type"), line("User")),
        ("notify".to_owned(), "patchbay".to_owned())
    );
    let page = line("Documentation");
    let page = page.strip_prefix("file:/usr/share/doc/patchbay/").unwrap();
    assert!(exists(&format!("docs/{page}")));
}

#[test]
fn what_the_image_copies_is_there() {
    let image = read("packaging/Dockerfile");
    let copied = image.lines().filter_map(|line| line.strip_prefix("COPY "));
    let mut sources = 0;
    for line in copied {
        let words: Vec<&str> = line
            .split(' ')
            .filter(|word| !word.starts_with("--"))
            .collect();
        for source in &words[..words.len() - 1] {
            let source = source.trim_start_matches("/src/");
            sources += 1;
            assert!(source.starts_with(BUILT) || exists(source), "{source}");
        }
    }
    assert_eq!(sources, 4);
    assert!(image.contains("\nUSER patchbay\n"));
    // Each port that the configuration has is told.
    for port in ["7547", "7557", "3478", "5222"] {
        assert!(image.contains(&format!("{port}/")), "{port}");
    }
    let config = Path::new(ROOT).join("packaging/container.toml");
    let checked = run(&["config", "check", config.to_str().unwrap()]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}
