//! All that the server sends to devices is valid by the Broadband Forum's schemas, in each
//! version of the protocol. What these schemas cannot see is checked in `schemas/holes.rs`.

mod emitted;
mod holes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use cwmp::Version;

/// The schemas, on the machines where they are.
fn schemas() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cwmp-xsd");
    if directory.is_dir() {
        return Some(directory);
    }
    println!("skipped: {} is not there", directory.display());
    None
}

/// Validates all these files by the schema of one version: what is wrong, by file.
fn invalid(schemas: &Path, version: &str, files: &[PathBuf]) -> BTreeMap<PathBuf, String> {
    let output = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(schemas.join(format!("driver-cwmp-{version}.xsd")))
        .args(files)
        .output()
        .unwrap_or_else(|error| panic!("xmllint does not run ({error}): tests/run installs it"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut invalid = BTreeMap::new();
    for file in files {
        let name = file.to_str().unwrap();
        if !said.lines().any(|line| line == format!("{name} validates")) {
            let about = said
                .lines()
                .filter(|line| line.contains(name))
                .collect::<Vec<_>>()
                .join("\n");
            invalid.insert(
                file.clone(),
                if about.is_empty() {
                    said.clone()
                } else {
                    about
                },
            );
        }
    }
    assert_eq!(output.status.success(), invalid.is_empty(), "{said}");
    invalid
}

fn number(version: Version) -> String {
    version.as_str().replace('.', "-")
}

#[test]
fn all_that_is_sent_is_valid() {
    let Some(schemas) = schemas() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for version in Version::ALL {
        let known = holes::global_elements(&schemas.join(format!("cwmp-{}.xsd", number(version))));
        let mut files = Vec::new();
        let messages = emitted::all(version);
        let least = if version < Version::V1_2 { 43 } else { 51 };
        assert!(messages.len() >= least, "{version}: {}", messages.len());
        for (count, (name, message)) in messages.iter().enumerate() {
            let xml = message.to_xml();
            for hole in holes::holes(&xml, version.namespace(), &known) {
                wrong.push(format!("{version} {name}: {hole}\n{xml}"));
            }
            let file = directory
                .path()
                .join(format!("{}-{count:03}-{name}.xml", number(version)));
            std::fs::write(&file, xml).unwrap();
            files.push(file);
        }
        for (file, error) in invalid(&schemas, &number(version), &files) {
            wrong.push(format!(
                "{error}\n{}",
                std::fs::read_to_string(file).unwrap()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The checks do see what is wrong: `bad-` and `gap-` samples fail, `ok-` ones pass.
#[test]
fn the_samples_are_told_apart() {
    let Some(schemas) = schemas() else { return };
    let mut samples: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in std::fs::read_dir(schemas.join("samples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let version = name.split_once('-').unwrap().1[..3].to_owned();
        samples.entry(version).or_default().push(path);
    }
    let mut seen = 0;
    for (version, files) in samples {
        let invalid = invalid(&schemas, &version, &files);
        let known = holes::global_elements(&schemas.join(format!("cwmp-{version}.xsd")));
        let namespace = Version::from_number(&version.replace('-', "."))
            .unwrap()
            .namespace();
        for file in files {
            let holes = holes::holes(&std::fs::read_to_string(&file).unwrap(), namespace, &known);
            let name = file.file_name().unwrap().to_str().unwrap();
            let passes = holes.is_empty() && !invalid.contains_key(&file);
            assert_eq!(
                passes,
                name.starts_with("ok-"),
                "{name}: {holes:?} {:?}",
                invalid.get(&file)
            );
            seen += 1;
        }
    }
    assert!(seen >= 14, "{seen}");
}
